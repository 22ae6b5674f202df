"""A TCP relay in front of a server: connections that go dead without a word, or break."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class _Way:
    """One connection with its two ends."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self.open.wait()
                writer.write(data)
                await writer.drain()
            await self.open.wait()
            writer.close()


@dataclass(slots=True, eq=False)
class Relay:
    """An async context manager on a free port of loopback, in front of `target` (host:port)."""

    target: str
    address: str = ""
    connections: int = 0
    _ways: set[_Way] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks)

    def freeze(self) -> None:
        """Nothing comes through the present connections any more, and nobody is told."""
        for way in self._ways:
            way.open.clear()

    def cut(self) -> None:
        """Break the present connections."""
        for way in self._ways:
            way.open.set()
            way.near.transport.abort()
            way.far.transport.abort()

    def close(self) -> None:
        """Break everything, and listen no more."""
        assert self._server is not None
        self._server.close()
        self.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        host, _, port = self.target.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            self._tasks.discard(task)
            return
        way = _Way(writer, far_writer)
        way.open.set()
        self._ways.add(way)
        try:
            await asyncio.gather(way.pump(reader, far_writer), way.pump(far_reader, writer))
        finally:
            self._ways.discard(way)
            writer.transport.abort()
            far_writer.transport.abort()
            self._tasks.discard(task)
