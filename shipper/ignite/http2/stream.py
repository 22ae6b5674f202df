"""One request's answer, as its connection brings it in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from shipper.ignite.http2.window import STREAM_WINDOW, Inbound
from shipper.ignite.transport import NO_HEADERS, TransportError

MOST_AT_ONCE: Final = (
    256 * 1024
)  # handed over; more than caches hold costs more than another turn of the loop
_PIECES: Final = 64  # pieces may be many, but on the average not small: each costs its overhead
_LEAST_PIECE: Final = 512


class Carrier(Protocol):
    """What a stream needs of its connection."""

    def taken(self, stream: Stream, size: int) -> None:
        """The reader took so many bytes of the stream's body."""

    def drop(self, stream: Stream) -> None:
        """The reader wants no more."""


class Stream:
    """A `Response` over HTTP/2. Its connection fills it; one reader empties it."""

    __slots__ = (
        "_carrier",
        "_failure",
        "_pieces",
        "_waiting",
        "ended",
        "headers",
        "id",
        "inbound",
        "status",
        "trailers",
        "unread",
    )

    def __init__(self, carrier: Carrier, stream_id: int) -> None:
        self.id = stream_id
        self.status = 0
        self.headers: Mapping[str, str] = NO_HEADERS
        self.trailers: Mapping[str, str] = NO_HEADERS
        self.inbound = Inbound(STREAM_WINDOW)
        self.unread = 0
        self.ended = False
        self._carrier = carrier
        self._failure: TransportError | None = None
        self._pieces: list[bytes] = []
        self._waiting: asyncio.Future[None] | None = None

    # ---- the reader's side ----

    async def begun(self) -> None:
        while not self.status:
            if self._failure is not None:
                raise self._failure
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting

    def body(self) -> Stream:
        return self

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self.ended:
                raise StopAsyncIteration
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        data = self._next()
        self.unread -= len(data)
        self._carrier.taken(self, len(data))
        return data

    def close(self) -> None:
        self._carrier.drop(self)
        self._pieces.clear()
        self.unread = 0

    # ---- the connection's side ----

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """Status and headers."""
        self.status, self.headers = status, headers
        self._wake()

    def add(self, piece: bytes) -> None:
        """Bytes of the body."""
        pieces = self._pieces
        pieces.append(piece)
        self.unread += len(piece)
        if len(pieces) > _PIECES and len(pieces) > _PIECES + self.unread // _LEAST_PIECE:
            self._pieces = [b"".join(pieces)]
        if self._waiting is not None:
            self._wake()

    def end(self, trailers: Mapping[str, str] = NO_HEADERS) -> None:
        """Nothing more comes."""
        self.ended, self.trailers = True, trailers
        self._wake()

    def fail(self, failure: TransportError) -> None:
        """Nothing more comes, though there should; what came before can still be read."""
        self._failure = failure
        self._wake()

    def _next(self) -> bytes:
        """What came, in one piece that is not much larger than MOST_AT_ONCE."""
        pieces = self._pieces
        if len(pieces) == 1:
            return pieces.pop()
        if self.unread <= MOST_AT_ONCE:
            self._pieces = []
            return b"".join(pieces)
        count = size = 0
        while size < MOST_AT_ONCE:
            size += len(pieces[count])
            count += 1
        self._pieces = pieces[count:]
        return b"".join(pieces[:count])

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
