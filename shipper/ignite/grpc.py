"""Ignite over gRPC: unary calls and streams as HTTP/2 bodies, decoded in bulk.

Why not grpc.aio: its cost is per message, and replay is the only way the platform offers to resume
(docs/performance.md). One client for calls and streams also means one place for TLS, tokens, deadlines and
statuses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

import pyqwest
from google.protobuf.message import DecodeError
from pyqwest import Headers, HTTPTransport, Request, Response

from shipper import __version__
from shipper.ignite import decode, plausible, reflection, wanted
from shipper.ignite.auth import TokenSource
from shipper.ignite.contract import Call, Contract, Source, bundled, derive
from shipper.ignite.framing import Deframer, Messages, frame, split
from shipper.ignite.lanes import Lane, Lanes
from shipper.ignite.port import EventPage, LogChunk, LogPage
from shipper.ignite.status import CallFailed, Code, Status, code_of, from_http
from shipper.model import App, Replica

log = logging.getLogger("shipper.ignite")

CALL_TIMEOUT_S: Final = (
    10.0  # unary calls answer in milliseconds; a dead connection must be found within a minute
)
_DEAD_AFTER: Final = 2  # timeouts in a row on one lane before it is given up
_MOST_PAGES: Final = 1_000  # a server whose cursor never ends must not keep us asking

_TRANSPORT_ERRORS: Final = (OSError, pyqwest.RemoteProtocolError, pyqwest.ReadError, pyqwest.WriteError)


@dataclass(slots=True)
class GrpcPlatform:
    """The `Platform` port over gRPC. `connect` makes a transport; `base_url` is `http(s)://host:port`.

    Close with `aclose`. All on one event loop.
    """

    base_url: str
    organization: str
    tokens: TokenSource
    connect: Callable[[], HTTPTransport]
    headers: Mapping[str, str] = field(default_factory=dict)
    call_timeout_s: float = CALL_TIMEOUT_S
    lanes: Lanes = field(init=False)
    _contract: Contract | None = None
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _timeouts: dict[Lane, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lanes = Lanes(self.connect)

    async def aclose(self) -> None:
        """Close all connections; streams on them end."""
        await self.lanes.aclose()

    # ---- the port ----

    async def list_apps(self) -> list[str]:
        names: list[str] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            call, request = await self._request("ListApps", cursor=cursor)
            page = await self._unary(call, request)
            names.extend(row.name if isinstance(row.name, str) else row.name.decode() for row in page.apps)
            cursor = page.next_cursor
            if not cursor:
                return names
        raise CallFailed(Status(Code.INTERNAL, f"ListApps did not end after {_MOST_PAGES} pages"))

    async def list_replicas(self, app: App) -> list[Replica]:
        call, request = await self._request("ListAppReplicas", app)
        page = await self._unary(call, request)
        replicas = [decode.replica(call.response, app, row) for row in page.replicas]
        if self._guessing:
            for replica in replicas:
                plausible.check_replica(replica)
        return replicas

    async def get_logs(self, app: App, replica_id: str) -> LogPage:
        call, request = await self._request("GetAppLogs", app, replica_id=replica_id)
        page = await self._unary(call, request)
        return LogPage(decode.LogDecoder(call.response, replica_id).chunk(page.lines), page.truncated)

    async def get_events(self, app: App) -> EventPage:
        call, request = await self._request("GetAppEvents", app)
        page = await self._unary(call, request)
        return EventPage(tuple(decode.event(call.response, row) for row in page.events), page.truncated)

    @asynccontextmanager
    async def stream_logs(self, app: App, replica_id: str) -> AsyncIterator[AsyncIterator[LogChunk]]:
        call, request = await self._request("StreamAppLogs", app, replica_id=replica_id, from_start=True)
        async with self._stream(call.path, request) as reads:
            yield self._log_chunks(reads, decode.LogDecoder(call.response, replica_id))

    @asynccontextmanager
    async def stream_events(self, app: App) -> AsyncIterator[AsyncIterator[EventPage]]:
        call, request = await self._request("StreamAppEvents", app)
        async with self._stream(call.path, request) as reads:
            yield (decode.events(call.response, messages) async for messages in reads)

    # ---- the contract ----

    async def contract(self) -> Contract:
        """The server's contract, asked for once; a failure to ask is CallFailed and is tried again by the
        next caller.
        """
        if self._contract is None:
            async with self._connecting:
                if self._contract is None:
                    self._contract = await self._ask_contract()
        return self._contract

    async def _ask_contract(self) -> Contract:
        files = await reflection.fetch(self._exchange, wanted.SERVICE)
        if files is not None:
            return derive(files, Source.REFLECTION)
        log.warning(
            "%s offers no gRPC reflection: field numbers come from the bundled .proto, and the first messages are checked for "
            "plausibility",
            self.base_url,
        )
        return bundled()

    @property
    def _guessing(self) -> bool:
        return self._contract is not None and self._contract.source is Source.BUNDLED

    async def _exchange(self, path: str, message: bytes) -> list[bytes]:
        reads = await self._read_all(path, message)
        return [single for messages in reads for single in split(messages.wrapped)]

    async def _request(self, method: str, app: App | None = None, **fields: object) -> tuple[Call, bytes]:
        contract = await self.contract()
        call = contract.calls.get(method)
        if call is None:
            raise CallFailed(
                Status(Code.UNIMPLEMENTED, f"the server has no method {wanted.SERVICE}/{method}")
            )
        fields["organization_name"] = self.organization if app is None else app.organization
        if app is not None:
            fields["app_name"] = app.name
        return call, contract.encode(method, **fields)

    # ---- calls ----

    async def _unary(self, call: Call, request: bytes) -> Any:
        reads = await self._read_all(call.path, request)
        wrapped = b"".join(messages.wrapped for messages in reads)
        count = sum(messages.count for messages in reads)
        if count != 1:
            raise CallFailed(
                Status(Code.INTERNAL, f"{call.name} answered {count} messages where one belongs")
            )
        try:
            return call.response.texts.FromString(wrapped).items[0]
        except DecodeError:
            pass
        try:
            return call.response.raws.FromString(wrapped).items[0]
        except DecodeError as error:
            raise CallFailed(
                Status(Code.INTERNAL, f"{call.name} answered a message that cannot be decoded")
            ) from error

    async def _read_all(self, path: str, request: bytes) -> list[Messages]:
        lane: Lane | None = None
        try:
            async with asyncio.timeout(self.call_timeout_s):
                async with self._open(path, request) as (lane, response):
                    return [messages async for messages in _reads(response)]
        except TimeoutError as error:
            if lane is not None:
                self._timed_out(lane)
            raise CallFailed(
                Status(
                    Code.DEADLINE_EXCEEDED, f"{self.base_url} did not answer within {self.call_timeout_s:g} s"
                )
            ) from error

    def _timed_out(self, lane: Lane) -> None:
        self._timeouts[lane] = self._timeouts.get(lane, 0) + 1
        if self._timeouts[lane] >= _DEAD_AFTER:
            self._timeouts.pop(lane)
            self.lanes.suspect(lane)
            log.warning("%s does not answer on an open connection: using a new one", self.base_url)

    @asynccontextmanager
    async def _stream(self, path: str, request: bytes) -> AsyncIterator[AsyncIterator[Messages]]:
        async with self._open(path, request) as (_, response):
            yield _reads(response)

    @asynccontextmanager
    async def _open(self, path: str, request: bytes) -> AsyncIterator[tuple[Lane, Response]]:
        """Send a request and hand out the answer; every error of transport or status becomes CallFailed."""
        token = await self.tokens.token()
        lane = self.lanes.acquire()
        try:
            response = await lane.transport.execute(self._http_request(path, request, token))
            async with response:
                _refuse_other_than_grpc(response)
                yield lane, response
            self._timeouts.pop(lane, None)
        except pyqwest.StreamError as error:
            raise CallFailed(self._broken(lane, error)) from error
        except CallFailed as error:
            if error.status.code is Code.UNAUTHENTICATED and token is not None:
                self.tokens.refuse(token)
            raise
        except TimeoutError:
            raise
        except _TRANSPORT_ERRORS as error:
            raise CallFailed(Status(Code.UNAVAILABLE, _reason(error))) from error
        finally:
            await self.lanes.release(lane)

    def _http_request(self, path: str, request: bytes, token: str | None) -> Request:
        headers = Headers(
            [
                *self.headers.items(),
                ("content-type", "application/grpc"),
                ("te", "trailers"),
                ("grpc-accept-encoding", "identity,gzip"),
                ("user-agent", f"shipper/{__version__}"),
            ]
        )
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        return Request("POST", self.base_url + path, headers, frame(request))

    def _broken(self, lane: Lane, error: pyqwest.StreamError) -> Status:
        if error.code is pyqwest.StreamErrorCode.REFUSED_STREAM:
            self.lanes.full(lane)
            return Status(
                Code.UNAVAILABLE, "the server refused another stream on this connection", retry_after_s=0.0
            )
        if error.code is pyqwest.StreamErrorCode.ENHANCE_YOUR_CALM:
            return Status(Code.RESOURCE_EXHAUSTED, "the server asks for fewer requests")
        return Status(Code.UNAVAILABLE, f"the stream was reset ({error.code.name})")

    async def _log_chunks(
        self, reads: AsyncIterator[Messages], decoder: decode.LogDecoder
    ) -> AsyncIterator[LogChunk]:
        unchecked = self._guessing
        async for messages in reads:
            chunk = decoder.decode(messages)
            if unchecked and messages.count:
                plausible.check_lines(decoder.replica_id, chunk, messages.count)
                unchecked = False
            yield chunk


async def _reads(response: Response) -> AsyncIterator[Messages]:
    """Complete messages per read, until the end that the trailers describe."""
    deframer = Deframer()
    async for data in response.content:
        messages = deframer.feed(data if type(data) is bytes else bytes(data))
        if messages.count or messages.bad:
            yield messages
    status = _status(response.trailers) or _status(response.headers)
    if status is None:
        raise CallFailed(Status(Code.UNAVAILABLE, "the connection was cut before the call ended"))
    if status.code is not Code.OK:
        raise CallFailed(status)
    if deframer.incomplete:
        raise CallFailed(Status(Code.UNAVAILABLE, "the call ended in the middle of a message"))


def _refuse_other_than_grpc(response: Response) -> None:
    """Raise for an immediate refusal (status in the headers) and for answers that are no gRPC, such as a
    proxy's page.
    """
    status = _status(response.headers)
    if status is not None and status.code is not Code.OK:
        raise CallFailed(status)
    kind = response.headers.get("content-type") or ""
    if status is None and (response.status != 200 or not kind.startswith("application/grpc")):
        wait = response.headers.get("retry-after") or ""
        raise CallFailed(
            Status(
                from_http(response.status) if response.status != 200 else Code.UNKNOWN,
                f"HTTP {response.status} with content-type {kind or 'absent'!r}: this is not a gRPC answer; check ignite.endpoint",
                retry_after_s=float(wait) if wait.isdigit() else None,
            )
        )


def _status(headers: Headers) -> Status | None:
    number = headers.get("grpc-status")
    if number is None:
        return None
    pushback = headers.get("grpc-retry-pushback-ms") or ""
    return Status(
        code_of(number),
        unquote(headers.get("grpc-message") or "", errors="replace"),
        retry_after_s=int(pushback) / 1000 if pushback.isdigit() else None,
    )


def _reason(error: BaseException) -> str:
    """The innermost text of a transport error, on one line."""
    text = str(error) or type(error).__name__
    return " ".join(text.split())[:500]
