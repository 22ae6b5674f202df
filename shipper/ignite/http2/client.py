"""A `Transport` over HTTP/2: one connection that takes requests, made when it is needed and replaced when it ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, cast

from shipper.ignite.dial import Dial
from shipper.ignite.http2.connection import Connection, agreed
from shipper.ignite.http2.keepalive import DEFAULT, Timing
from shipper.ignite.http2.stream import Stream
from shipper.ignite.transport import ConnectFailed, ConnectionLost, NoHttp2, Request, TransportError

CONNECT_TIMEOUT_S: Final = 10.0
_CLOSE_TIMEOUT_S: Final = 1.0


@dataclass(slots=True)
class Http2Transport:
    """Requests to one server. A connection that says goodbye keeps its requests, and a new one gets the next."""

    dial: Dial
    authority: str
    timing: Timing = DEFAULT
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    _connection: Connection | None = None
    _connecting: asyncio.Task[Connection] | None = None
    _open: set[Connection] = field(default_factory=set)
    _closed: bool = False

    @property
    def limit(self) -> int | None:
        return None if self._connection is None else self._connection.limit

    async def send(self, request: Request, /) -> Stream:
        return (await self._ready()).send(request)

    async def aclose(self) -> None:
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
        connections = list(self._open)
        for connection in connections:
            connection.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                for connection in connections:
                    await asyncio.shield(connection.lost)
        for connection in connections:
            connection.abort()

    async def _ready(self) -> Connection:
        """The connection, made first if there is none. All who wait share one attempt."""
        if self._closed:
            raise ConnectionLost("the connections are closed")
        if self._connection is not None and self._connection.takes_more:
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name=f"connect to {self.authority}")
            self._connecting.add_done_callback(self._connected)
        attempt = self._connecting
        # Waited for from outside: one caller that is cancelled must not take the connection from the others.
        await asyncio.wait({attempt})
        if attempt.cancelled():
            raise ConnectionLost("the connections are closed")
        error = attempt.exception()
        if isinstance(error, TransportError):
            raise error.again()
        return attempt.result()

    async def _connect(self) -> Connection:
        """A connection whose server has said what it takes."""
        scheme = "http" if self.dial.tls is None else "https"
        transport: asyncio.BaseTransport | None = None
        try:
            async with asyncio.timeout(self.connect_timeout_s) as scope:
                transport, connection = await self.dial(
                    lambda: Connection(scheme, self.authority, self.timing)
                )
                _check_protocol(transport)
                await asyncio.shield(connection.ready)
        except BaseException as error:
            if transport is not None:
                cast(asyncio.Transport, transport).abort()
            if isinstance(error, TimeoutError) and scope.expired():
                raise ConnectFailed(f"no connection within {self.connect_timeout_s:g} s") from None
            raise
        return connection

    def _connected(self, attempt: asyncio.Task[Connection]) -> None:
        self._connecting = None
        if attempt.cancelled() or attempt.exception() is not None:
            return
        connection = self._connection = attempt.result()
        self._open.add(connection)
        connection.lost.add_done_callback(lambda _: self._lost(connection))

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection.calm_asked:
            self.timing = self.timing.calmer()


def _check_protocol(transport: asyncio.BaseTransport) -> None:
    """Over TLS, both sides must have agreed to HTTP/2."""
    if not agreed(transport):
        raise NoHttp2("the server did not agree to HTTP/2 when TLS was set up (ALPN)")
