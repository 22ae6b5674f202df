"""How far a log subscription has been taken, and which lines of a replay are new. Pure: no clock, no I/O.

The platform gives no sequence number and no `since`: a subscription resumes only by replay from the start. So
the cursor knows lines by content. It holds a window of fingerprints of the lines taken last and a watermark,
LATENESS below the newest time taken:

- a replayed line whose fingerprint is in the window is a repeat, as often as it was taken;
- a replayed line at or below the watermark is old;
- everything else is new.

A connection is *resuming* until the window is used up or the replay has gone LATENESS past what had been
taken. From there on it is *live*: nothing comes twice on one connection, so everything is new, and only
fingerprints are kept for the next time.

Two things bend these rules, both from clocks that are wrong: once the very last line taken has come by, what
follows is new whatever its time says (a clock that was set back), and the window always keeps the last
MIN_HELD lines whatever their time (so that the rule holds).

When a replay begins later than everything taken, the stretch between is a gap.
"""

from __future__ import annotations

from array import array
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from shipper.model import CursorWrite, StoredCursor

LATENESS_MS: Final = (
    10_000  # lines may be late by some seconds, in the live stream and otherwise in the replay: twice that
)
MAX_HELD: Final = 65_536  # fingerprints: half a megabyte for a replica that prints more than that in LATENESS
MIN_HELD: Final = 256  # for clocks that jump; 2 KiB a subscription
_SEGMENT: Final = 2_048  # fingerprints a row: what one commit writes again is at most that
_SEGMENT_MS: Final = LATENESS_MS // 4
_VERSION: Final = 1


@dataclass(slots=True)
class _Segment:
    """Fingerprints in the order they were taken, with the span of their times."""

    seq: int
    oldest: int
    newest: int
    prints: array[int] = field(default_factory=lambda: array("Q"))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Times between which lines may be missing, in Unix ms, both ends exclusive."""

    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Sifted:
    """What to keep of a chunk: indices, or None for all of it. `gap` is set once per connection, when one
    shows.
    """

    keep: Sequence[int] | None
    repeats: int = 0
    gap: Stretch | None = None


ALL: Final = Sifted(None)


@dataclass(slots=True)
class Cursor:
    """The cursor of one log subscription. Not shared between tasks.

    `restart_count`, `started_ms` describe the container whose lines were taken last; `clean` says that the
    last connection was read to the end that the server gave it; `closed` that the replica is gone and read to
    its end.
    """

    key: str
    newest: int | None = None
    taken: int = 0
    restart_count: int = 0
    started_ms: int = 0
    clean: bool = False
    closed: bool = False
    _watermark: int = -(2**63)
    _anchor: int | None = None
    _segments: deque[_Segment] = field(default_factory=deque)
    _held: int = 0
    _next_seq: int = 0
    _dirty: set[int] = field(default_factory=set)
    # of the current connection:
    _expected: Counter[int] | None = None
    _last: int = 0
    _tail_seen: bool = False
    _overlap: bool = False
    _first: bool = True
    _restarted: bool = False
    _began_at: int = 0
    _first_ms: int = 0
    _first_print: int = 0
    _floor: int = 0

    # ---- a connection ----

    @property
    def live(self) -> bool:
        """Whether everything that comes now is new."""
        return self._expected is None

    def begin(self, *, restarted: bool = False) -> None:
        """A new connection replays from the start. `restarted`: the platform says that the container is
        another one, so its history begins anew (unless the replay shows that it does not).
        """
        self._first, self._restarted = True, restarted
        self._tail_seen = self._overlap = False
        if self.newest is None:
            self._expected = None
            return
        self._expected = Counter()
        for segment in self._segments:
            self._expected.update(segment.prints)
        self._last = self._segments[-1].prints[-1]
        self._began_at = self.newest
        self._floor = min(self._watermark, *(segment.oldest - 1 for segment in self._segments))

    def sift(self, times: Sequence[int], prints: Callable[[], array[int]]) -> Sifted:
        """Decide about a chunk and remember what of it is kept.

        `prints` makes the chunk's fingerprints; it is not called for lines that are old by their time alone.
        """
        if not times:
            return ALL
        gap = self._see_first(times[0], prints) if self._first else None
        if self._expected is None:
            self._remember(times, prints())
            return Sifted(None, gap=gap)
        if not self._tail_seen and max(times) <= self._floor:
            self._overlaps()
            return Sifted((), repeats=len(times))
        return self._resume(self._expected, times, prints())

    def _see_first(self, first_ms: int, prints: Callable[[], array[int]]) -> Stretch | None:
        """Look at the first line of a connection; the gap before it, where another container's history
        begins.
        """
        self._first = False
        self._first_ms = first_ms
        self._first_print = first = prints()[0]
        if self._anchor is None:
            self._anchor = first
        if (
            self._restarted
            and self._expected is not None
            and first != self._anchor
            and first not in self._expected
        ):
            self._expected = None
            self._anchor = first
            return Stretch(self._began_at, first_ms)
        return None

    def _overlaps(self) -> None:
        """The replay reaches back to what was taken (or a gap was noted): its first line begins the history
        from now on.
        """
        if not self._overlap:
            self._overlap = True
            self._anchor = self._first_print

    def _resume(self, expected: Counter[int], times: Sequence[int], prints: array[int]) -> Sifted:
        keep: list[int] = []
        gap: Stretch | None = None
        index = 0
        for index, (time, print_) in enumerate(zip(times, prints, strict=True)):
            if expected.get(print_):
                self._match(expected, print_)
                if not expected:
                    self._expected = None
                    break
            elif time <= self._watermark and not self._tail_seen:
                self._overlaps()
            else:
                if not self._overlap and time > self._began_at:
                    gap = Stretch(self._began_at, self._first_ms)
                    self._overlaps()
                keep.append(index)
                if time > self._began_at + LATENESS_MS:
                    self._expected = None
                    break
        if self._expected is None:
            keep.extend(range(index + 1, len(times)))
        if len(keep) == len(times):
            self._remember(times, prints)
            return Sifted(None, gap=gap)
        self._remember([times[i] for i in keep], array("Q", [prints[i] for i in keep]))
        return Sifted(keep, repeats=len(times) - len(keep), gap=gap)

    def _match(self, expected: Counter[int], print_: int) -> None:
        self._overlaps()
        self._tail_seen = self._tail_seen or print_ == self._last
        if expected[print_] == 1:
            del expected[print_]
        else:
            expected[print_] -= 1

    def misses(self, times: Sequence[int], prints: array[int]) -> int:
        """How many of these lines were never taken, as far as the window tells. Changes nothing."""
        known: set[int] = set()
        for segment in self._segments:
            known.update(segment.prints)
        return sum(
            time > self._watermark and print_ not in known for time, print_ in zip(times, prints, strict=True)
        )

    # ---- the window ----

    def _remember(self, times: Sequence[int], prints: array[int]) -> None:
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
            self._dirty.add(segment.seq)
            at += room
        self.taken += len(prints)
        self._held += len(prints)
        self.newest = newest if self.newest is None else max(self.newest, newest)
        self._watermark = max(self._watermark, self.newest - LATENESS_MS)
        self._prune()

    def _writable(self, oldest: int, newest: int) -> _Segment:
        if self._segments:
            last = self._segments[-1]
            span = max(last.newest, newest) - min(last.oldest, oldest)
            if len(last.prints) < _SEGMENT and (span <= _SEGMENT_MS or self._held < MIN_HELD):
                return last
        segment = _Segment(self._next_seq, oldest, newest)
        self._next_seq += 1
        self._segments.append(segment)
        return segment

    def _prune(self) -> None:
        """Forget what is below the watermark, but for the last MIN_HELD; never hold more than MAX_HELD,
        raising the watermark.
        """
        segments = self._segments
        while len(segments) > 1:
            first = segments[0]
            size = len(first.prints)
            if self._held > MAX_HELD:
                self._watermark = max(self._watermark, first.newest)
            elif first.newest > self._watermark or self._held - size < MIN_HELD:
                return
            segments.popleft()
            self._held -= size
            self._dirty.discard(first.seq)

    # ---- to and from the buffer ----

    def write(self) -> CursorWrite:
        """What the next commit has to store; marks it as stored."""
        write = self._written(lambda segment: segment.seq in self._dirty)
        self._dirty.clear()
        return write

    def whole(self) -> CursorWrite:
        """Everything, for a reader that has nothing of it yet; does not count as stored."""
        return self._written(lambda _: True)

    def _written(self, chosen: Callable[[_Segment], bool]) -> CursorWrite:
        state = {
            "v": _VERSION,
            "newest": self.newest,
            "watermark": self._watermark,
            "anchor": self._anchor,
            "taken": self.taken,
            "next_seq": self._next_seq,
            "restart_count": self.restart_count,
            "started_ms": self.started_ms,
            "clean": self.clean,
            "closed": self.closed,
        }
        rows = tuple((segment.seq, _pack(segment)) for segment in self._segments if chosen(segment))
        first = self._segments[0].seq if self._segments else self._next_seq
        return CursorWrite(self.key, orjson.dumps(state), rows, drop_below=first)

    @classmethod
    def load(cls, stored: StoredCursor) -> Cursor:
        """The cursor as it was committed. Raises ValueError for a state that this version cannot read."""
        state: dict[str, Any] = orjson.loads(stored.state)
        if state.get("v") != _VERSION:
            raise ValueError(
                f"cursor {stored.key} has version {state.get('v')!r}, this shipper reads {_VERSION}"
            )
        cursor = cls(
            key=stored.key,
            newest=state["newest"],
            taken=state["taken"],
            restart_count=state["restart_count"],
            started_ms=state["started_ms"],
            clean=state["clean"],
            closed=state["closed"],
        )
        cursor._watermark = state["watermark"]
        cursor._anchor = state["anchor"]
        cursor._next_seq = state["next_seq"]
        cursor._segments = deque(_unpack(stored.segments))
        cursor._held = sum(len(segment.prints) for segment in cursor._segments)
        return cursor


def _pack(segment: _Segment) -> bytes:
    return array("q", [segment.oldest, segment.newest]).tobytes() + segment.prints.tobytes()


def _unpack(rows: Iterable[tuple[int, bytes]]) -> Iterable[_Segment]:
    for seq, data in rows:
        span = array("q")
        span.frombytes(data[:16])
        prints = array("Q")
        prints.frombytes(data[16:])
        yield _Segment(seq, span[0], span[1], prints)
