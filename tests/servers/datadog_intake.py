"""Datadog on loopback, as far as a shipper of logs and events meets it: strict where its pages are, and scripted.

What it enforces is the table of https://docs.datadoghq.com/api/latest/logs/#send-logs: a key, JSON, an encoding that it
knows, at most 5 MB after decompression and 1,000 logs, each an object with a message. What Datadog does in silence is
kept apart, to be looked at: logs above 1 MB are cut, logs outside its window of time vanish.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Any, Final, Self

import zstandard
from aiohttp import web
from datadog_api_client import ApiClient, Configuration
from datadog_api_client.v1.model.event_create_request import EventCreateRequest
from datadog_api_client.v2.model.http_log import HTTPLog

KEY: Final = "0123456789abcdef0123456789abcdef"
MOST_BYTES: Final = 5_000_000
MOST_LOGS: Final = 1000
LARGEST_LOG: Final = 1_000_000
OLDEST_S: Final = 18 * 3600
NEWEST_S: Final = 2 * 3600
_READABLE: Final = 64 * 1024 * 1024  # of a request that is too large


class Fault(Enum):
    """What happens to one request in place of an answer."""

    HANG = auto()  # it is read, and never answered
    RESET = auto()  # it is read, and the connection is reset
    LOSE_ANSWER = auto()  # it is taken, and the connection is reset


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer that is given whatever is asked. `reached` is set when it is, `after` lets it wait."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = "{}"
    content_type: str = "application/json"
    reached: asyncio.Event | None = None
    after: asyncio.Event | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """A request, as it was on the wire."""

    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class DatadogIntake:
    """Logs intake, Events API and key validation behind one URL, as for `endpoint_url`.

    Each request to the intake or the Events API takes the next of `script`, and is served when that is empty.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, clock: Callable[[], float] = time.time) -> None:
        self._tls = tls
        self._clock = clock
        self._closing = asyncio.Event()
        self.script: deque[Fault | Canned] = deque()
        self.requests: list[Received] = []
        self.bodies: list[list[dict[str, Any]]] = []
        """The logs of each request that was taken."""
        self.cut: list[dict[str, Any]] = []
        self.vanished: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.arrived = asyncio.Event()
        """Set by every request."""
        self.key = KEY
        self.judge: Callable[[list[dict[str, Any]]], Canned | None] = lambda logs: None
        """Asked about the logs of each request that is fine otherwise; an answer of its own refuses them."""
        self.hold_validation: asyncio.Event | None = None
        """Keys are validated only once it is set."""
        self.refuse: Callable[[dict[str, Any]], bool] = lambda _: False
        """A request with such a log is answered 400."""
        self.url = ""

    @property
    def logs(self) -> list[dict[str, Any]]:
        """All logs that were taken, in the order of their arrival."""
        return [log for body in self.bodies for log in body]

    @property
    def messages(self) -> list[str]:
        """Their messages."""
        return [log["message"] for log in self.logs]

    def plan(self, script: Iterable[Fault | Canned]) -> None:
        """Forget what was to happen, and let this happen."""
        self.script = deque(script)

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=_READABLE)
        application.router.add_post("/api/v2/logs", self._take_logs)
        application.router.add_post("/api/v1/events", self._take_event)
        application.router.add_get("/api/v1/validate", self._validate)
        # Encodings are this program's business, and a cancelled handler must not be left behind.
        self._runner = web.AppRunner(
            application,
            auto_decompress=False,
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=0.1,
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        await self._runner.cleanup()

    # ---- what is served ----

    async def _take_logs(self, request: web.Request) -> web.StreamResponse:
        body = await self._received(request)
        planned = self.script.popleft() if self.script else None
        if planned is not None and planned is not Fault.LOSE_ANSWER:
            return await self._planned(request, planned)
        try:
            self._check_key(request)
            logs = _logs_in(request, body)
        except Refused as refused:
            return _answer(refused.status, refused.why)
        if (refusal := self.judge(logs)) is not None:
            return await self._planned(request, refusal)
        if any(map(self.refuse, logs)):
            return _answer(400, "a log is not to this server's liking")
        self._keep(logs)
        if planned is Fault.LOSE_ANSWER:
            _reset(request)
        return web.json_response({}, status=202)

    async def _take_event(self, request: web.Request) -> web.StreamResponse:
        body = await self._received(request)
        if self.script:
            return await self._planned(request, self.script.popleft())
        try:
            self._check_key(request)
            event = _event_in(body, self._clock())
        except Refused as refused:
            return _answer(refused.status, refused.why)
        self.events.append(event)
        return web.json_response({"status": "ok", "event": {"id": len(self.events)}}, status=202)

    async def _validate(self, request: web.Request) -> web.StreamResponse:
        await self._received(request)
        if self.hold_validation is not None:
            await self.hold_validation.wait()
        try:
            self._check_key(request)
        except Refused as refused:
            return _answer(403, refused.why)  # this endpoint knows no other refusal
        return web.json_response({"valid": True})

    async def _received(self, request: web.Request) -> bytes:
        body = await request.read()
        self.requests.append(Received(request.path, dict(request.headers), body))
        self.arrived.set()
        return body

    async def _planned(self, request: web.Request, planned: Fault | Canned) -> web.StreamResponse:
        if isinstance(planned, Fault):
            if planned is Fault.HANG:
                await self._closing.wait()
            _reset(request)
            return web.Response()
        if planned.reached is not None:
            planned.reached.set()
        if planned.after is not None:
            await planned.after.wait()
        return web.Response(
            status=planned.status,
            headers=planned.headers,
            text=planned.body,
            content_type=planned.content_type,
        )

    def _check_key(self, request: web.Request) -> None:
        key = request.headers.get("DD-API-KEY")
        if key is None:
            raise Refused(401, "Unauthorized")
        if key != self.key:
            raise Refused(403, "Forbidden")

    def _keep(self, logs: list[dict[str, Any]]) -> None:
        now_s = self._clock()
        for log in logs:
            if len(json.dumps(log, ensure_ascii=False, separators=(",", ":")).encode()) > LARGEST_LOG:
                self.cut.append(log)
            age_s = now_s - log.get("timestamp", now_s * 1000) / 1000
            if not -NEWEST_S <= age_s <= OLDEST_S:
                self.vanished.append(log)
        if logs:
            self.bodies.append(logs)


class Refused(Exception):
    """The request is not what the page says."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


def read_by_the_client(logs: list[dict[str, Any]]) -> list[Any]:
    """The logs as Datadog's own client understands them: an independent reading of the contract."""
    return list(_understood(json.dumps(logs), HTTPLog).value)


def _understood(text: str, model: type) -> Any:
    with ApiClient(Configuration()) as client:
        return client.deserialize(text, (model,), True)


def _logs_in(request: web.Request, body: bytes) -> list[dict[str, Any]]:
    if request.content_type != "application/json":
        raise Refused(415, "not application/json")
    plain = _decompressed(request.headers.get("Content-Encoding", "identity"), body)
    if len(plain) > MOST_BYTES:
        raise Refused(413, "Payload too large")
    try:
        logs = json.loads(plain)
    except ValueError as error:
        raise Refused(400, f"not JSON: {error}") from error
    if not isinstance(logs, list) or len(logs) > MOST_LOGS:
        raise Refused(400, f"not an array of at most {MOST_LOGS} logs")
    for log in logs:
        if not isinstance(log, dict) or not isinstance(log.get("message"), str):
            raise Refused(400, "not a log with a message")
    return logs


def _decompressed(encoding: str, body: bytes) -> bytes:
    try:
        match encoding:
            case "identity":
                return body
            case "gzip":
                return zlib.decompress(body, 31)
            case "deflate":
                return zlib.decompress(body)
            case "zstd":
                return zstandard.ZstdDecompressor().decompress(body, max_output_size=_READABLE)
    except (zlib.error, zstandard.ZstdError) as error:
        raise Refused(400, f"not {encoding}: {error}") from error
    raise Refused(400, f"unknown encoding {encoding}")


def _event_in(body: bytes, now_s: float) -> dict[str, Any]:
    """Datadog's own model is the judge of names, types, lengths and enumerations."""
    try:
        event: dict[str, Any] = json.loads(body)
        understood = _understood(body.decode(), EventCreateRequest)
    except Exception as error:
        raise Refused(400, str(error)) from error
    if understood._unparsed:
        raise Refused(400, "a value that its enumeration does not have")
    if now_s - event["date_happened"] > OLDEST_S:
        raise Refused(400, "older than 18 hours")
    return event


def _answer(status: int, why: str) -> web.Response:
    return web.json_response({"errors": [{"status": str(status), "detail": why}]}, status=status)


def _reset(request: web.Request) -> None:
    transport = request.transport
    assert transport is not None
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
