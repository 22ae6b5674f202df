"""The history of one container: a bounded list of lines that streams read by position."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from typing import Protocol, TypeVar

from shipper.emulator.ledger import Ledger, Printed
from shipper.emulator.scenario import ReplayOrder

_TRIM_STEP = (
    1024  # lines are dropped in steps, because dropping from the front of a list moves all that follow
)


ItemT_co = TypeVar("ItemT_co", covariant=True)


class Source(Protocol[ItemT_co]):
    """What a stream reads: `peek`, write, `advance` by what was written, and `close` in every case.

    The bell given when it was made rings whenever `peek` or `finished` may have changed.
    """

    @property
    def finished(self) -> bool:
        """Whether nothing is left and nothing will come."""

    def peek(self, limit: int) -> Sequence[ItemT_co]:
        """The next lines (or events), at most `limit`, without moving on. Empty if there are none now."""

    def advance(self, count: int) -> None:
        """The first `count` lines of the last `peek` were sent."""

    def close(self) -> None:
        """The stream is over. Idempotent."""


class Container:
    """What one container printed. Positions count from its first line and never change.

    `floor` is the first position that can still be replayed. Lines below it stay in memory only while an open reader
    has not passed them, as a follower of a rotated file still reads the old file to its end, and at most `hold`.
    """

    __slots__ = (
        "_base", "_hold", "_ledger", "_limit", "_lines", "_order", "_readers", "_sent", "_shuffles", "carried",
        "drained", "ended", "floor", "removed", "started_ms",
    )  # fmt: skip

    def __init__(self, started_ms: int, ledger: Ledger, limit: int, order: ReplayOrder) -> None:
        self.started_ms = started_ms
        self.floor = 0
        self.ended = False  # prints no more; its history can still be read
        self.removed = False  # its history cannot be asked for any more; open readers go on to its end
        self.carried = False  # somebody was sent a line of it
        self.drained = False  # it has ended, and a reader has brought everything to the last line
        self._ledger = ledger
        self._limit = limit
        self._hold = max(4 * limit, 200_000)
        self._order = order
        self._lines: list[Printed] = []
        self._sent = bytearray()
        self._base = 0
        self._readers: set[Reader] = set()
        self._shuffles = 0

    @property
    def end(self) -> int:
        """The position after the newest line."""
        return self._base + len(self._lines)

    def append(self, line: Printed) -> None:
        """Print one line."""
        self._lines.append(line)
        self._sent.append(0)
        excess = self.end - self._limit - self.floor
        if excess > 0:
            self.floor += excess
            if self.floor - self._base >= _TRIM_STEP:
                self._release()
        self._ring()

    def rotate(self, keep: int) -> None:
        """Make all but the newest `keep` lines unreachable for new replays."""
        self.floor = max(self.floor, self.end - keep)
        self._release()

    def finish(self) -> None:
        """Print no more. Open readers end after the last line; the history stays readable until `remove`."""
        self.ended = True
        self._ring()

    def remove(self) -> None:
        """Make the history unreachable for new readers (the container was replaced, or the pod is gone)."""
        self.ended = self.removed = True
        self._ring()
        self._release()

    @property
    def length(self) -> int:
        """How many lines a replay brings now."""
        return 0 if self.removed else self.end - self.floor

    def lines_within_reach(self) -> list[Printed]:
        """What a replay would bring now, for whoever compares; nobody is taken to have had it."""
        return [] if self.removed else self._lines[self.floor - self._base :]

    def replayable(self, newest: int) -> list[Printed]:
        """The newest lines that a replay brings now, in the order in which it brings them; counted as sent."""
        if self.removed or newest <= 0:
            return []
        order = self._replay()[-newest:]
        self._mark(order)
        return [self._lines[position - self._base] for position in order]

    def reader(self, bell: asyncio.Event, *, from_start: bool) -> Reader:
        """Open a reader: the replay (or nothing), then every line printed from now on."""
        reader = Reader(self, bell, deque(self._replay()) if from_start else None, self.end)
        self._readers.add(reader)
        return reader

    def _replay(self) -> list[int]:
        positions = range(self.floor, self.end)
        if self._order is ReplayOrder.ARRIVAL:
            return list(positions)
        if self._order is ReplayOrder.SHUFFLED:
            draw = random.Random(self._shuffles)
            self._shuffles += 1
            return sorted(
                positions,
                key=lambda at: (self._lines[at - self._base].timestamp_ms // 1000, draw.random()),
            )
        return sorted(positions, key=lambda position: self._lines[position - self._base].timestamp_ms)

    def _ring(self) -> None:
        for reader in self._readers:
            reader.bell.set()

    def _mark(self, positions: Sequence[int]) -> None:
        self.carried |= bool(positions)
        for position in positions:
            if position >= self._base:
                self._sent[position - self._base] = 1

    def _release(self) -> None:
        """Forget what neither a replay nor an open reader can still bring; tell the ledger what was never sent."""
        reach = self.end if self.removed else self.floor
        upto = max(
            min([reach, *(reader.lowest() for reader in self._readers)]), min(reach, self.end - self._hold)
        )
        count = upto - self._base
        if count <= 0:
            return
        self._ledger.lose(
            line for line, sent in zip(self._lines[:count], self._sent[:count], strict=True) if not sent
        )
        del self._lines[:count]
        del self._sent[:count]
        self._base = upto
        for reader in self._readers:
            reader.forget_below(upto)


class Reader:
    """One stream's place in one container's history; a `Source`."""

    __slots__ = ("_container", "_from_start", "_peeked", "_position", "_replay", "bell")

    def __init__(
        self, container: Container, bell: asyncio.Event, replay: deque[int] | None, position: int
    ) -> None:
        self.bell = bell
        self._container = container
        self._from_start = replay is not None
        self._replay = replay or deque()
        self._position = position
        self._peeked: list[int] = []

    @property
    def finished(self) -> bool:
        return self._container.ended and not self._replay and self._position >= self._container.end

    def lowest(self) -> int:
        """The lowest position that this reader will still bring."""
        return min(self._replay) if self._replay else self._position

    def forget_below(self, base: int) -> None:
        """The reader lagged too far behind: lines below `base` are no longer in memory."""
        self._position = max(self._position, base)
        if self.lowest() < base:
            self._replay = deque(position for position in self._replay if position >= base)

    def peek(self, limit: int) -> Sequence[Printed]:
        container = self._container
        base = container._base
        if self._replay:
            self._peeked = [self._replay[i] for i in range(min(limit, len(self._replay)))]
            return [container._lines[position - base] for position in self._peeked]
        self._peeked = list(range(self._position, min(self._position + limit, container.end)))
        start = self._position - base
        return container._lines[start : start + len(self._peeked)]

    def advance(self, count: int) -> None:
        sent = self._peeked[:count]
        for position in sent:
            if self._replay:
                if self._replay[0] == position:
                    self._replay.popleft()
            else:
                self._position = max(self._position, position + 1)
        self._container._mark(sent)
        self._peeked = []

    def close(self) -> None:
        self._container.drained |= self._from_start and self.finished
        self._container._readers.discard(self)
        self._container._release()
