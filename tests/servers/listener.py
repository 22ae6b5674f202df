"""An HTTP server on loopback that writes down what reaches it and answers the same to everything."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Heard:
    """A request."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Listener:
    """What answers. With `endless` the body goes on until the client has enough; `written` counts its bytes."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    endless: bool = False
    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    written: int = 0

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.content.read()
        self.heard.append(Heard(request.method, request.path, dict(request.headers), body))
        if not self.endless:
            return web.Response(status=self.status, headers=self.headers, body=self.body)
        answer = web.StreamResponse(status=self.status, headers=self.headers)
        await answer.prepare(request)
        piece = b" " * 65_536
        while True:
            await answer.write(piece)
            self.written += len(piece)


@asynccontextmanager
async def listening(listener: Listener, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """Serve while the block runs."""
    server = web.Server(listener._answer, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    listener.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield listener
    finally:
        await runner.cleanup()
