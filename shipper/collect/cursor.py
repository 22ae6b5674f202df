"""How far a log subscription has been taken, and which lines of a replay are new. Pure: no clock, no I/O.

The platform gives no sequence number and no `since`: a subscription resumes only by replay from the start. So
the cursor knows lines by content (see `window`):

- a replayed line whose fingerprint is in the window is a repeat, as often as it was taken;
- a replayed line whose time lies among those of the forgotten lines is old;
- everything else was never taken and is new.

A connection is *resuming* until the window is used up or the replay has gone LATENESS past what had been
taken. From there on it is *live*: nothing comes twice on one connection, so everything is new, and only
fingerprints are kept for the next time.

A clock that was set back brings new lines with times of forgotten ones. Where the replay comes in the order of
printing (a log file does), the whole window passes before the first new line, so they are met live. Where a
rotation has cut into the window it cannot be used up; then the passing of the line taken last says that what
follows is new. That rule is lifted again if the line passes that used to begin the history: then nothing was
rotated away, and the replay is sorted by time. Of a sorted replay, lines that were printed while no stream was
open, after the clock was set back into times that were forgotten, cannot be told from old ones.

When a replay begins later than everything taken, the stretch between is a gap. A replay may begin with lines that are
new but older than the newest taken; whether they are late or all that a rotation left, only what follows them says, or
the end of the connection. Until then the question is open, and it is stored with the cursor: the process may be killed.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from shipper.collect.window import LATENESS_MS, MIN_HELD, Window
from shipper.model import CursorWrite, StoredCursor

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Stretch:
    """Times between which lines may be missing, in Unix ms, both ends exclusive."""

    from_ms: int
    to_ms: int


@dataclass(frozen=True, slots=True)
class Doubt:
    """A stretch of which the next listings tell what became of it.

    `restart_count` is the container that had been taken before it. `lossy`: that one was not read to its end.
    `first`: nothing had been taken yet, so something is missing only if what was taken is of a later container.
    """

    stretch: Stretch
    restart_count: int
    lossy: bool
    first: bool = False


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
class _Open:
    """What connections have brought of which it is not clear yet whether a gap lies before it: how many new lines,
    which are the last of the window, and between which times and with which line their replays began.

    `late` are those of connections before. That they come again says nothing about what was taken before them.
    """

    kept: int = 0
    from_ms: int = 0
    to_ms: int = 0
    first_print: int = 0
    late: Counter[int] = field(default_factory=Counter)

    def begins(self, time: int, print_: int) -> None:
        """The first line of a replay."""
        self.from_ms = min(self.from_ms, time) if self.kept else time
        self.to_ms = max(self.to_ms, time) if self.kept else time
        self.first_print = print_


@dataclass(slots=True)
class _Replay:
    """One connection for as long as it resumes. `former` is the fingerprint that began the history until now."""

    began_at: int
    floor: int  # lines of forgotten times up to here cannot be in the window
    former: int | None
    restarted: bool
    certainly: bool
    open: _Open
    expected: Counter[int] | None = None
    last: int | None = None
    overlaps: bool = False  # the replay reaches back to what was taken, or the gap before it was noted
    passed: bool = False  # the line taken last has come by
    suspect: bool = False  # said to be of another container, with times of this one

    def gap_at(self, time: int) -> Stretch | None:
        """The gap that a new line of this time shows, if it is the first to show one."""
        self.open.kept += 1
        if time <= self.began_at and self.open.kept < MIN_HELD:
            return None  # a late line may come first, and what it is late for behind it
        return self.gap()

    def gap(self) -> Stretch | None:
        """The gap that what was kept shows, once."""
        if not self.is_open:
            return None
        self.overlaps = True
        return Stretch(min(self.began_at, self.open.from_ms), max(self.began_at, self.open.to_ms))

    @property
    def is_open(self) -> bool:
        """Whether something new was kept, and nothing has shown yet whether a gap lies before it."""
        return bool(self.open.kept) and not self.overlaps


@dataclass(slots=True)
class Cursor:
    """The cursor of one log subscription. Not shared between tasks.

    `restart_count`, `started_ms` describe the container whose lines were taken last; `clean` says that it was
    read to the end that the server gave it; `closed` that the replica is gone and read to its end; `doubt` is a
    gap that is not yet certain.
    """

    key: str
    taken: int = 0
    restart_count: int = 0
    started_ms: int = 0
    clean: bool = False
    closed: bool = False
    doubt: Doubt | None = None
    window: Window = field(default_factory=Window)
    _anchor: int | None = None  # the fingerprint of the line that begins the history
    _first: bool = True  # of the present connection no line has come yet
    _replay: _Replay | None = None
    _left: _Open | None = None  # open when the process that wrote this ended

    @property
    def newest(self) -> int | None:
        """The newest time taken, Unix ms."""
        return self.window.newest

    # ---- a connection ----

    @property
    def live(self) -> bool:
        """Whether everything that comes now is new."""
        return self._replay is None

    def begin(self, *, restarted: bool = False, certainly: bool = False) -> None:
        """A new connection replays from the start. `restarted`: the platform says that the container is another
        one, so its history begins anew, unless the replay shows that it does not; `certainly`: nor could a
        sidecar have been meant, so that times like those of the history before are a clock that was set back.
        """
        self._first = True
        left, self._left = self._still_open(), None
        newest = self.window.newest
        if newest is None:
            self._replay = None
            return
        if left is not None:
            left.late = Counter(self.window.lately(left.kept))
        oldest, floor = self.window.oldest, self.window.forgotten[1]
        if oldest is not None:
            floor = min(floor, oldest - 1)
        self._replay = _Replay(newest, floor, self._anchor, restarted, certainly, left or _Open())

    def sift(self, times: Sequence[int], prints: Callable[[], array[int]]) -> Sifted:
        """Decide about a chunk and remember what of it is kept.

        `prints` makes the chunk's fingerprints; it is not called for lines that are old by their time alone.
        """
        if not times:
            return ALL
        made = prints() if self._first else None
        gap = self._see_first(times[0], made[0]) if made else None
        replay = self._replay
        if replay is None:
            self._keep(times, made or prints())
            return Sifted(None, gap=gap)
        if not replay.passed and max(times) <= replay.floor and min(times) >= self.window.forgotten[0]:
            self._overlaps(replay)
            return Sifted((), repeats=len(times))
        return self._resume(replay, times, made or prints())

    def end(self) -> Stretch | None:
        """The connection has ended; the gap that it shows, if none did before."""
        gap = None if self._replay is None else self._replay.gap()
        if gap is not None and self._replay is not None:
            self._anchor = self._replay.open.first_print
        return gap

    def _still_open(self) -> _Open | None:
        """What is not clear yet, of this connection or of the one before."""
        if self._replay is None:
            return self._left
        return self._replay.open if self._replay.is_open else None

    def _see_first(self, time: int, print_: int) -> Stretch | None:
        """Look at the first line of a connection; the gap before it, where another container's history begins."""
        self._first = False
        replay = self._replay
        if replay is None:
            self._anchor = print_
            return None
        replay.open.begins(time, print_)
        if not replay.restarted or print_ == replay.former or self.window.holds(print_):
            return None
        low, high = self.window.forgotten
        if (
            low <= time <= high and not replay.certainly
        ):  # the history that we know, rotated: something else in the pod restarted
            replay.suspect = True
            return None
        self._replay, self._anchor = None, print_
        self.window.begin_anew()
        return Stretch(min(replay.began_at, replay.open.from_ms) if replay.is_open else replay.began_at, time)

    def _overlaps(self, replay: _Replay) -> None:
        """The replay reaches back to what was taken: its first line begins the history from now on."""
        if not replay.overlaps and not replay.suspect:
            replay.overlaps = True
            self._anchor = replay.open.first_print

    def _resume(self, replay: _Replay, times: Sequence[int], prints: array[int]) -> Sifted:
        if replay.expected is None:
            replay.expected, replay.last = self.window.tally(), self.window.last
        expected = replay.expected
        low, high = self.window.forgotten
        ends_at = replay.began_at + LATENESS_MS
        keep: list[int] = []
        gap: Stretch | None = None
        index = 0
        for index, (time, print_) in enumerate(zip(times, prints, strict=True)):
            if print_ in expected:
                self._match(replay, expected, print_)
                if not expected and not replay.is_open:
                    self._replay = None
                    break
            elif low <= time <= high and (not replay.passed or print_ == replay.former):
                self._pass_over(replay, print_)
            else:
                if (shown := replay.gap_at(time)) is not None:
                    gap, self._anchor = shown, replay.open.first_print
                keep.append(index)
                if time > ends_at:
                    self._replay = None
                    break
        if self._replay is None:
            keep.extend(range(index + 1, len(times)))
        if len(keep) == len(times):
            self._keep(times, prints)
            return Sifted(None, gap=gap)
        self._keep([times[i] for i in keep], array("Q", [prints[i] for i in keep]))
        return Sifted(keep, repeats=len(times) - len(keep), gap=gap)

    def _match(self, replay: _Replay, expected: Counter[int], print_: int) -> None:
        """A line of the window."""
        if replay.open.late[print_]:
            replay.open.late[print_] -= 1
        else:
            replay.suspect = False
            self._overlaps(replay)
        replay.passed = replay.passed or print_ == replay.last
        if expected[print_] == 1:
            del expected[print_]
        else:
            expected[print_] -= 1

    def _pass_over(self, replay: _Replay, print_: int) -> None:
        """An old line that the window does not have any more."""
        self._overlaps(replay)
        if print_ == replay.former:
            replay.passed = False
            self._anchor = print_

    def _keep(self, times: Sequence[int], prints: array[int]) -> None:
        self.taken += len(times)
        self.window.add(times, prints)

    def forget_lines(self) -> None:
        """Shrink to what a subscription needs that will hardly come back."""
        self.window.forget_all()

    # ---- to and from the buffer ----

    def write(self) -> CursorWrite:
        """What the next commit has to store; marks it as stored."""
        write = CursorWrite(
            self.key, self._state(), self.window.rows(changed=True), drop_below=self.window.first_seq
        )
        self.window.stored()
        return write

    def whole(self) -> CursorWrite:
        """Everything, for a reader that has nothing of it yet; does not count as stored."""
        return CursorWrite(
            self.key, self._state(), self.window.rows(changed=False), drop_below=self.window.first_seq
        )

    def _state(self) -> bytes:
        doubt, still = self.doubt, self._still_open()
        state = orjson.dumps(
            {
                "v": _VERSION,
                "newest": self.window.newest,
                "forgotten": self.window.forgotten,
                "anchor": self._anchor,
                "taken": self.taken,
                "next_seq": self.window.next_seq,
                "restart_count": self.restart_count,
                "started_ms": self.started_ms,
                "clean": self.clean,
                "closed": self.closed,
                "doubt": doubt
                and [
                    doubt.stretch.from_ms,
                    doubt.stretch.to_ms,
                    doubt.restart_count,
                    doubt.lossy,
                    doubt.first,
                ],
                "open": still and [still.kept, still.from_ms, still.to_ms, still.first_print],
            }
        )
        return memoryview(state).tobytes()  # what orjson gives keeps four kilobytes, whatever is in it

    @staticmethod
    def is_closed(stored: StoredCursor) -> bool:
        """Whether the replica of a stored cursor is gone and read to its end."""
        return bool(orjson.loads(stored.state).get("closed"))

    @classmethod
    def load(cls, stored: StoredCursor) -> Cursor:
        """The cursor as it was committed. Raises ValueError for a state that this version cannot read."""
        state: dict[str, Any] = orjson.loads(stored.state)
        if state.get("v") != _VERSION:
            raise ValueError(
                f"cursor {stored.key} has version {state.get('v')!r}, this shipper reads {_VERSION}"
            )
        low, high = state["forgotten"]
        window = Window(state["newest"], (low, high), next_seq=state["next_seq"])
        window.load(stored.segments)
        cursor = cls(
            stored.key,
            state["taken"],
            state["restart_count"],
            state["started_ms"],
            state["clean"],
            state["closed"],
            window=window,
        )
        if state["doubt"] is not None:
            from_ms, to_ms, restart_count, lossy, first = state["doubt"]
            cursor.doubt = Doubt(Stretch(from_ms, to_ms), restart_count, lossy, first)
        cursor._anchor = state["anchor"]
        if (still := state.get("open")) is not None:
            cursor._left = _Open(*still)
        return cursor
