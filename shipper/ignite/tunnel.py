"""A transport that connects to one host and shows another's name: `ignite.tls.server_name`.

The HTTP client takes the name that a certificate must carry from the URL and has no other place for it. So the URL
has that name, and the client reaches it through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6) of our own on
loopback, which leads to the real host and nowhere else. TLS goes through it end to end; the relay sees ciphertext.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pyqwest import Request, Response

from shipper.ignite.lanes import Transport

_PIECE: Final = 256 * 1024
_CONNECT_TIMEOUT_S: Final = 10.0


@dataclass(slots=True)
class Tunnel:
    """`make` makes a transport that uses the proxy at a URL. The relay starts with the first request."""

    host: str
    port: int
    make: Callable[[str], Transport]
    _relay: asyncio.Server | None = None
    _transport: Transport | None = None
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _led: set[asyncio.Task[None]] = field(default_factory=set)

    async def execute(self, request: Request, /) -> Response:
        """Send a request through the relay."""
        async with self._starting:
            if self._transport is None:
                self._relay = await asyncio.start_server(self._accept, "127.0.0.1", 0)
                port = self._relay.sockets[0].getsockname()[1]
                self._transport = self.make(f"http://127.0.0.1:{port}")
        return await self._transport.execute(request)

    async def aclose(self) -> None:
        """Close everything that was opened."""
        transport, self._transport = self._transport, None
        relay, self._relay = self._relay, None
        if transport is not None:
            with suppress(Exception):
                await transport.aclose()
        if relay is not None:
            relay.close()
        led = list(self._led)
        for task in led:
            task.cancel()
        await asyncio.gather(*led, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A task of our own: one that asyncio makes complains when it is cancelled (seen on 3.11)."""
        task = asyncio.create_task(self._lead(reader, writer), name="relay")
        self._led.add(task)
        task.add_done_callback(self._led.discard)

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of the client: open the real one, whatever host it asks for, and pass bytes on."""
        try:
            await reader.readuntil(b"\r\n\r\n")
            await self._pass_through(reader, writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            pass  # the client sees its connection end
        finally:
            writer.close()

    async def _pass_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                far_reader, far_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:  # the timeout among them
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            await writer.drain()
            return
        try:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            async with asyncio.TaskGroup() as both:
                both.create_task(_pass_on(reader, far_writer), name="relay to the platform")
                both.create_task(_pass_on(far_reader, writer), name="relay from the platform")
        except* OSError:
            pass  # one side broke: both end
        finally:
            far_writer.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the one side ends; then the other is told so."""
    while data := await reader.read(_PIECE):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
