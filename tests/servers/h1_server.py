"""A scriptable HTTP/1.1 server: it sends the bytes that a test asks for, the wrong ones too."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

NDJSON = {"content-type": "application/x-ndjson"}


@dataclass(slots=True, eq=False)
class Request:
    """One request and the means to answer it, well or badly."""

    method: str
    target: str
    headers: dict[str, str]
    writer: asyncio.StreamWriter

    async def raw(self, data: bytes) -> None:
        """Bytes, whatever they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        """A whole answer with its length."""
        await self.raw(_head(status, {"content-length": str(len(body)), **headers}) + body)

    async def open(self, status: int = 200, **headers: str) -> None:
        """The head of an answer in chunks."""
        await self.raw(_head(status, {"transfer-encoding": "chunked", **headers}))

    async def send(self, *pieces: bytes) -> None:
        """A chunk for each piece."""
        await self.raw(b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces))

    async def end(self) -> None:
        """The last chunk."""
        await self.raw(b"0\r\n\r\n")

    def abort(self) -> None:
        """Break the connection."""
        self.writer.transport.abort()


Script = Callable[[Request], Awaitable[None]]


@dataclass(slots=True, eq=False)
class H1Server:
    """An async context manager on a free port of loopback. `script` answers each request; the connection is kept."""

    script: Script
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    address: str = ""
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> H1Server:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while not writer.is_closing():
                    head = await reader.readuntil(b"\r\n\r\n")
                    request = _request(head, writer)
                    self.requests.append(request)
                    await self.script(request)
        finally:
            self._serving.discard(task)
            writer.transport.abort()


def _request(head: bytes, writer: asyncio.StreamWriter) -> Request:
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if line)
    }
    return Request(method, target, headers, writer)


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Whatever\r\n{lines}\r\n".encode("latin-1")
