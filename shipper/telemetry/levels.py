"""The gauges of the buffer: how full it is, shown now and then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from shipper.meter import Meter

EVERY_S: Final = 2.0


class LetterCount(Protocol):
    """How many dead letters there are."""

    @property
    def letters(self) -> int: ...


class Fill(Protocol):
    """How full a buffer is; sizes in bytes. A sink without dead letters may be absent."""

    @property
    def bytes(self) -> int: ...
    @property
    def disk_bytes(self) -> int: ...
    @property
    def limit_bytes(self) -> int: ...
    @property
    def frames(self) -> int: ...
    @property
    def dead_letters(self) -> Mapping[str, LetterCount]: ...


async def show_fill(fill: Callable[[], Fill], meter: Meter, *, every_s: float = EVERY_S) -> None:
    """Set the gauges at once and then again and again, until cancelled. `fill` answers from memory."""
    shown: set[str] = set()
    while True:
        now = fill()
        meter.level("buffer_bytes", now.bytes)
        meter.level("buffer_disk_bytes", now.disk_bytes)
        meter.level("buffer_limit_bytes", now.limit_bytes)
        meter.level("buffer_frames", now.frames)
        shown |= now.dead_letters.keys()
        for sink in shown:
            kept = now.dead_letters.get(sink)
            meter.level("dead_letters", kept.letters if kept is not None else 0, sink)
        await asyncio.sleep(every_s)
