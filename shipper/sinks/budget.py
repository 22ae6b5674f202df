"""A limit on the bytes that are held in memory at once, handed out in the order of asking."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final


class ByteBudget:
    """At most `limit` bytes are held at a time; what is larger than the limit is held alone.

    First come, first served: a large holder is not passed over for ever by small ones. All on one event loop.
    """

    def __init__(self, limit: int) -> None:
        self.limit: Final = limit
        self._held = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def held(self) -> int:
        """The bytes that are held now."""
        return self._held

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Hold `size` bytes for as long as the block runs; waits until there is room."""
        size = min(max(size, 0), self.limit)
        await self._take(size)
        try:
            yield
        finally:
            self._held -= size
            self._admit()

    async def _take(self, size: int) -> None:
        if not self._waiting and self._held + size <= self.limit:
            self._held += size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._held -= size  # it was our turn already, and nobody will use it
            elif (size, turn) in self._waiting:
                self._waiting.remove((size, turn))
            self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if (
                not turn.cancelled()
            ):  # else it leaves, and does not know it yet: several are cancelled at once
                if self._held + size > self.limit:
                    return
                self._held += size
                turn.set_result(None)
            self._waiting.popleft()
