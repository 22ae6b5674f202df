"""The server's side of HTTP/1.1 for the load server: a connection answers one request after the other, in chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast
from urllib.parse import parse_qsl, unquote, urlsplit

_CHUNK: Final = 64 * 1024
_HIGH: Final = 512 * 1024  # bytes that may wait in the socket's buffer
_REASONS: Final = {200: "OK", 404: "Not Found", 501: "Not Implemented"}

Answer = Callable[["Exchange"], None]
"""Answers a request."""


class Exchange:
    """One request and its answer. `source` is the body: what is appended there is sent with the next `pump`, in chunks
    as large as they get, or as it is where it has its chunks already (`chunked`).
    """

    def __init__(self, connection: Connection, target: str, headers: dict[str, str]) -> None:
        parts = urlsplit(target)
        self.path = [unquote(part) for part in parts.path.split("/")[1:]]
        self.query = dict(parse_qsl(parts.query))
        self.headers = headers
        self.source = bytearray()
        self.chunked = False
        self.sent = 0
        self.held = False
        self.ends = False
        self.on_close: Callable[[], object] = lambda: None
        self._connection = connection

    @property
    def unsent(self) -> int:
        return len(self.source) - self.sent

    def begin(self) -> None:
        """Status and headers of a stream."""
        self._connection.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
        )

    def answer(self, body: bytes, status: int = 200) -> None:
        """A whole answer."""
        head = f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json\r\n"
        self._connection.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)

    def refuse(self, code: int, message: str) -> None:
        """An answer that is only a status."""
        self.answer(b'{"code":%d,"message":"%b"}' % (code, message.encode()), {5: 404, 12: 501}[code])

    def pump(self) -> None:
        """Send what is there, as far as the socket takes it."""
        while not self.held and self.unsent and not self._connection.full:
            data = bytes(self.source[self.sent : self.sent + _CHUNK])
            self.sent += len(data)
            self._connection.write(data if self.chunked else b"%x\r\n%b\r\n" % (len(data), data))
        if self.ends and not self.unsent:
            self.ends = False
            self._connection.write(b"0\r\n\r\n")


class Connection(asyncio.Protocol):
    """One connection; `answer` is called with each request. Requests have no bodies here."""

    def __init__(self, answer: Answer) -> None:
        self.full = False
        self._answer = answer
        self._received = bytearray()
        self._exchange: Exchange | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=_HIGH)

    def connection_lost(self, error: Exception | None) -> None:
        if self._exchange is not None:
            self._exchange.on_close()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self._exchange is not None:
            self._exchange.pump()

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            first, *lines = self._received[:end].decode("latin-1").split("\r\n")
            del self._received[: end + 4]
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            if self._exchange is not None:
                self._exchange.on_close()
            self._exchange = Exchange(self, first.split(" ")[1], headers)
            self._answer(self._exchange)

    def write(self, data: bytes) -> None:
        """Hand to the socket."""
        if not self._transport.is_closing():
            self._transport.write(data)
