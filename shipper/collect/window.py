"""The lines of one subscription that were taken last, as fingerprints, and between which times older ones were
forgotten. Pure.

Of every line that was ever taken one of two things holds: its fingerprint is in the window, or its time lies
within `forgotten`. So a line that is in neither was never taken, whatever its time says.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

LATENESS_MS: Final = 10_000  # lines may be late by some seconds, live and otherwise in the replay: twice that
MAX_HELD: Final = 65_536  # fingerprints: half a megabyte for a replica that prints more than that in LATENESS
MIN_HELD: Final = 256  # also for a replica that prints a line an hour; 2 KiB a subscription
_SEGMENT: Final = 2_048  # fingerprints a row: what one commit writes again is at most that
_SEGMENT_LEAST: Final = 64  # a slow replica's rows are that long, however long they take
_SEGMENT_MS: Final = LATENESS_MS // 4

NOTHING: Final = (1, 0)  # a span that holds no time


@dataclass(slots=True)
class Segment:
    """Fingerprints in the order they were taken, with the span of their times (Unix ms)."""

    seq: int
    oldest: int
    newest: int
    prints: array[int] = field(default_factory=lambda: array("Q"))

    def pack(self) -> bytes:
        """As one row of the buffer."""
        return array("q", [self.oldest, self.newest]).tobytes() + self.prints.tobytes()

    @classmethod
    def unpack(cls, seq: int, data: bytes) -> Segment:
        """The inverse of `pack`."""
        span, prints = array("q"), array("Q")
        span.frombytes(data[:16])
        prints.frombytes(data[16:])
        return cls(seq, span[0], span[1], prints)


@dataclass(slots=True)
class Window:
    """`newest` is the newest time taken, None before the first line. Segments are in the order of taking."""

    newest: int | None = None
    forgotten: tuple[int, int] = NOTHING
    segments: list[Segment] = field(default_factory=list)
    next_seq: int = 0
    held: int = 0
    _clean_below: int = 0  # segments below this number are stored as they are

    # ---- asking ----

    @property
    def last(self) -> int | None:
        """The fingerprint of the line taken last."""
        return self.segments[-1].prints[-1] if self.segments else None

    @property
    def oldest(self) -> int | None:
        """The oldest time in the window."""
        return min((segment.oldest for segment in self.segments), default=None)

    def holds(self, fingerprint: int) -> bool:
        """Whether the window has this line."""
        return any(fingerprint in segment.prints for segment in self.segments)

    def tally(self) -> Counter[int]:
        """How often each line of the window was taken."""
        tally: Counter[int] = Counter()
        for segment in self.segments:
            tally.update(segment.prints)
        return tally

    def misses(self, times: Sequence[int], prints: Sequence[int]) -> int:
        """How many of these lines, in the platform's order, were never taken.

        Lines among the forgotten times count where they follow the last line that the window has: the clock was
        set back, and they are new.
        """
        known: set[int] = set()
        for segment in self.segments:
            known.update(segment.prints)
        low, high = self.forgotten
        last = max((index for index, print_ in enumerate(prints) if print_ in known), default=len(prints))
        return sum(
            print_ not in known and (index > last or not low <= time <= high)
            for index, (time, print_) in enumerate(zip(times, prints, strict=True))
        )

    def lately(self, count: int) -> list[int]:
        """The fingerprints of as many of the lines taken last, in their order."""
        found: list[int] = []
        for segment in reversed(self.segments):
            if len(found) >= count:
                break
            found = [*segment.prints, *found]
        return found[-count:] if count else []

    # ---- taking ----

    def add(self, times: Sequence[int], prints: array[int]) -> None:
        """Remember lines that were taken, in their order."""
        if not times:
            return
        newest, oldest = max(times), min(times)
        at = 0
        while at < len(prints):
            segment = self._writable(oldest, newest)
            room = _SEGMENT - len(segment.prints)
            segment.prints.extend(prints[at : at + room])
            segment.oldest = min(segment.oldest, oldest)
            segment.newest = max(segment.newest, newest)
            self._clean_below = min(self._clean_below, segment.seq)
            at += room
        self.held += len(prints)
        self.newest = newest if self.newest is None else max(self.newest, newest)
        self._prune(self.newest - LATENESS_MS)

    def _writable(self, oldest: int, newest: int) -> Segment:
        if self.segments:
            last = self.segments[-1]
            span = max(last.newest, newest) - min(last.oldest, oldest)
            size = len(last.prints)
            if size < _SEGMENT_LEAST or (size < _SEGMENT and span <= _SEGMENT_MS):
                return last
        segment = Segment(self.next_seq, oldest, newest)
        self.next_seq += 1
        self.segments.append(segment)
        return segment

    def _prune(self, floor: int) -> None:
        """Forget what is older than `floor`, but never the last MIN_HELD; hold no more than MAX_HELD.

        A line from the future stays at the head, and what came after it behind it, until MAX_HELD: while the
        clock is behind, times say little, and fingerprints much.
        """
        while len(self.segments) > 1:
            first = self.segments[0]
            if self.held <= MAX_HELD and (first.newest > floor or self.held - len(first.prints) < MIN_HELD):
                return
            self._forget(self.segments.pop(0))

    def _forget(self, segment: Segment) -> None:
        low, high = self.forgotten
        if low > high:
            self.forgotten = segment.oldest, segment.newest
        else:
            self.forgotten = min(low, segment.oldest), max(high, segment.newest)
        self.held -= len(segment.prints)

    def forget_all(self) -> None:
        """Keep only between which times lines were taken."""
        for segment in self.segments:
            self._forget(segment)
        self.segments.clear()

    def begin_anew(self) -> None:
        """Another container: of what was taken nothing can come again."""
        self.segments.clear()
        self.held, self.newest, self.forgotten = 0, None, NOTHING

    # ---- to and from the buffer ----

    @property
    def first_seq(self) -> int:
        """The number of the first segment that is still needed."""
        return self.segments[0].seq if self.segments else self.next_seq

    def rows(self, *, changed: bool) -> tuple[tuple[int, bytes], ...]:
        """Segments as rows: all of them, or those that changed since `stored`."""
        return tuple(
            (segment.seq, segment.pack())
            for segment in self.segments
            if not changed or segment.seq >= self._clean_below
        )

    def stored(self) -> None:
        """Everything is stored as it is now."""
        self._clean_below = self.next_seq

    def unsaved(self) -> None:
        """Nothing is known to be stored."""
        self._clean_below = 0

    def load(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Take over the segments that were stored."""
        self.segments = [Segment.unpack(seq, data) for seq, data in rows]
        self.held = sum(len(segment.prints) for segment in self.segments)
        self.stored()
