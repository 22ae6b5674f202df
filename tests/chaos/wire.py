"""A TCP proxy between the daemon and the platform: resets, silence, a trickle, and no way through."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass(eq=False, slots=True)
class _Pair:
    """One connection and what belongs to it behind the proxy."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    silent: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Wire:
    """Listens on loopback and passes bytes on. `refusing` and `slow` concern everything, `silence` what is open now."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._upstream = (host, int(port))
        self._pairs: set[_Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.refusing = False
        self.slow = False
        self.address = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.reset()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def reset(self) -> int:
        """Reset every connection; says how many."""
        pairs = list(self._pairs)
        for pair in pairs:
            pair.over.set()
            _reset(pair.client)
            pair.server.transport.abort()
        return len(pairs)

    def silence(self) -> int:
        """Let every connection of now stay open for ever and carry nothing more; says how many."""
        for pair in self._pairs:
            pair.silent = True
        return len(self._pairs)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError):
                await self._connect(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refusing:
            _reset(writer)
            return
        behind, server = await asyncio.open_connection(*self._upstream)
        pair = _Pair(writer, server)
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(reader, server, pair, slow=False), name="wire-up")
                tasks.create_task(self._pass(behind, writer, pair, slow=True), name="wire-down")
        except* OSError:
            pass
        finally:
            self._pairs.discard(pair)
            server.transport.abort()

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, pair: _Pair, *, slow: bool
    ) -> None:
        while data := await source.read(65536):
            if pair.silent or self.refusing:
                continue
            if not (slow and self.slow):
                sink.write(data)
            else:
                await self._trickle(data, sink)
            await sink.drain()
        if pair.silent:  # nobody hears of the end either
            await pair.over.wait()
        raise ConnectionResetError  # one side has ended: the other is ended too

    async def _trickle(self, data: bytes, sink: asyncio.StreamWriter) -> None:
        for start in range(0, len(data), 40):
            sink.write(data[start : start + 40])
            if self.slow:
                await asyncio.sleep(0.02)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
