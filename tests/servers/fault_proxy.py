"""An HTTP proxy in front of a server that misbehaves as a script says, and records what was on the wire."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Fault(Enum):
    """What happens to one request."""

    PASS = auto()
    LOSE_ANSWER = auto()  # the server does it; the connection is reset in place of its answer
    RESET = auto()  # the connection is reset when the request is read; the server never sees it
    STALL = auto()  # the request is read, and never answered
    STALL_AFTER_HEADERS = auto()  # the server does it; the head of an answer comes and no body
    TRUNCATE = auto()  # the server does it; the answer ends before its Content-Length
    NEVER_READ = auto()  # the connection is taken, and nothing is read from it
    GARBAGE = auto()  # the answer is not HTTP


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it was on the wire. `body` still has its chunk framing, if it had any."""

    method: str
    target: str
    headers: dict[str, str]  # names in lower case
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Canned:
    """An answer that is given without asking the server. `status` may have header lines after it."""

    status: bytes
    body: bytes = b""


def refusal(status: bytes, code: bytes) -> Canned:
    """An error as S3 words it."""
    return Canned(status, b"<Error><Code>%s</Code><Message>of the test</Message></Error>" % code)


SLOW_DOWN = refusal(b"503 Slow Down", b"SlowDown")
SLOW_DOWN_FOR_7_S = refusal(b"503 Slow Down\r\nRetry-After: 7", b"SlowDown")
CAPTIVE_PORTAL = Canned(b"200 OK\r\nContent-Type: text/html", b"<html>Please log in</html>")


class FaultProxy:
    """Listens on loopback; each request takes the next fault of `script`, or passes when that is empty.

    One request a connection. What the server stores is not changed by anything that happens on the way back.
    """

    def __init__(self, upstream: str, tls: ssl.SSLContext | None = None) -> None:
        where = urlsplit(upstream)
        self._upstream = (where.hostname, where.port)
        self._tls = tls
        self._closing = asyncio.Event()
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.script: deque[Fault | Canned] = deque()
        self.requests: list[Recorded] = []
        self.url = ""

    def plan(self, faults: Iterable[Fault | Canned]) -> None:
        """Forget what is planned and recorded, and plan this."""
        self.script = deque(faults)
        self.requests.clear()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.close()
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await self._one_request(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            del self._open[task]

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.script and self.script[0] is Fault.NEVER_READ:
            self.script.popleft()
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            await self._closing.wait()
            return
        head = await reader.readuntil(b"\r\n\r\n")
        request = await _read_request(head, reader)
        self.requests.append(request)
        fault = self.script.popleft() if self.script else Fault.PASS
        match fault:
            case Canned():
                length = len(fault.body)
                head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (
                    fault.status,
                    length,
                )
                writer.write(head + (b"" if request.method == "HEAD" else fault.body))
                await writer.drain()
            case Fault.GARBAGE:
                writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
                await writer.drain()
            case Fault.RESET:
                _reset(writer)
            case Fault.STALL:
                await self._closing.wait()
            case _:
                await self._forwarded(fault, request, head, writer)

    async def _forwarded(
        self, fault: Fault, request: Recorded, head: bytes, writer: asyncio.StreamWriter
    ) -> None:
        answer = await self._forward(head, request.body)
        match fault:
            case Fault.LOSE_ANSWER:
                _reset(writer)
            case Fault.STALL_AFTER_HEADERS:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
                await writer.drain()
                await self._closing.wait()
            case Fault.TRUNCATE:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<half")
                await writer.drain()
            case _:
                writer.write(answer)
                await writer.drain()

    async def _forward(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._upstream)
        first, rest = head.split(b"\r\n", 1)
        kept = [line for line in rest.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        writer.write(first + b"\r\nConnection: close\r\n" + b"\r\n".join(kept) + body)
        await writer.drain()
        answer = await reader.read(-1)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        return answer


async def _read_request(head: bytes, reader: asyncio.StreamReader) -> Recorded:
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines[1:] if line)
    }
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await reader.readuntil(b"0\r\n\r\n")
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Recorded(method, target, headers, body)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
