"""A Sentry on loopback that takes nothing that breaks a rule, and refuses on demand."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tests.servers.sentry_envelope import BadEnvelope, Envelope, parse

KEY = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Scripted:
    """An answer in place of the usual one. `hang` answers nothing, `reset` cuts the connection."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    hang: bool = False
    reset: bool = False
    keep: bool = False  # take the envelope all the same


@dataclass
class SentryStub:
    """`taken` are the envelopes that were accepted. `script` are the answers to come, `only` limits them to one item
    type; then `judge` answers, or nothing is wrong.

    `problems` is what broke a rule; it is answered 400 and must be empty in the end.
    """

    port: int = 0
    scheme: str = "http"
    project: int = 7
    script: list[Scripted] = field(default_factory=list)
    only: str | None = None
    judge: Callable[[Envelope], Scripted | None] = lambda _: None
    taken: list[Envelope] = field(default_factory=list)
    requests: list[web.BaseRequest] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return f"{self.scheme}://{KEY}@127.0.0.1:{self.port}/{self.project}"

    @property
    def events(self) -> list[dict[str, object]]:
        return [envelope.event for envelope in self.taken if envelope.item.type == "event"]

    @property
    def containers(self) -> list[list[dict[str, object]]]:
        return [envelope.logs for envelope in self.taken if envelope.item.type == "log"]

    @property
    def logs(self) -> list[dict[str, object]]:
        return [log for container in self.containers for log in container]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        body = await request.content.read()  # read() would stop at a limit of its own
        try:
            envelope = self._read(request, body)
        except BadEnvelope as error:
            self.problems.append(str(error))
            return web.json_response({"detail": str(error)}, status=400)
        if envelope is None:
            return web.json_response({"detail": "bad sentry DSN"}, status=403)
        applies = self.script and self.only in (None, envelope.item.type)
        answer = self.script.pop(0) if applies else self.judge(envelope) or Scripted(keep=True)
        if answer.keep:
            self.taken.append(envelope)
        if answer.hang:
            await asyncio.Event().wait()
        if answer.reset:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=answer.status, headers=answer.headers, text=answer.body or "{}")

    def _read(self, request: web.BaseRequest, body: bytes) -> Envelope | None:
        for name, value in (
            ("Content-Type", "application/x-sentry-envelope"),
            ("Content-Encoding", "gzip"),
        ):
            if request.headers.get(name) != value:
                raise BadEnvelope(f"{name} is {request.headers.get(name)}")
        fields = dict(
            part.split("=", 1)
            for part in request.headers["X-Sentry-Auth"].removeprefix("Sentry ").split(", ")
        )
        if fields.get("sentry_version") != "7" or not fields.get("sentry_client", "").startswith("shipper/"):
            raise BadEnvelope(f"X-Sentry-Auth: {fields}")
        # aiohttp has unpacked the body by its Content-Encoding already.
        envelope = parse(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        right = fields.get("sentry_key") == KEY and request.path == f"/api/{self.project}/envelope/"
        return envelope if right else None


@asynccontextmanager
async def sentry_stub(tls: ssl.SSLContext | None = None) -> AsyncIterator[SentryStub]:
    """A stub, listening for as long as the block runs; in the end no rule may have been broken."""
    stub = SentryStub(scheme="http" if tls is None else "https")
    runner = web.ServerRunner(web.Server(stub.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    stub.port = runner.addresses[0][1]
    try:
        yield stub
    finally:
        await runner.cleanup()
    assert stub.problems == []
