"""Lines of stack traces as one entry each: a fold over the entries of one partition.

How the lines are cut into calls of `feed`, and whether a `state` and a `resume` lie between them, changes nothing in
what comes out. Entries come out in the order in which they are complete: lines of one replica and stream never
overtake each other, but a trace comes after what other streams printed while it was.

Whether a trace goes on is decided by its own stream. So that the last words of a replica do not wait for ever beside
others that go on printing, a trace is also over when the others' records have gone on for twice the longest wait
between its lines, or for some thousand records. If its stream then goes on with it all the same (it was late), the
rest is one more entry, as it is where a trace is longer than one entry may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from shipper.entry import Entry
from shipper.model import Kind
from shipper.transform.held import Key, Trace, key_of
from shipper.transform.stacks.port import Verdict
from shipper.transform.stacks.shapes import MAYBE_LINES
from shipper.transform.stacks.table import RUNTIMES, Opening, may_open, opening

if TYPE_CHECKING:
    from shipper.config.joining import JoinSettings

MAX_BYTES: Final = 128 << 10
MAX_STATE: Final = 240 << 10  # bytes of all traces of a partition as they are stored
_PATIENCE: Final = 20_000  # records of others after which a trace is over, whatever their times say
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class JoinLimits:
    """Bounds of one joined entry: lines, bytes, and milliseconds of record time between two of its lines."""

    max_lines: int = 1_000
    max_bytes: int = MAX_BYTES
    max_wait_ms: int = 2_000

    @classmethod
    def of(cls, settings: JoinSettings) -> JoinLimits:
        """The limits that a sink's `join` section asks for."""
        return cls(max_lines=settings.max_lines, max_wait_ms=round(settings.max_wait * 1_000))

    @property
    def hold_s(self) -> float:
        """How long delivery lets held lines wait for more before it flushes them."""
        return self.max_wait_ms / 1_000 + 1.0


class Joiner:
    """Joins the stack traces in the lines of one partition. Entries of other kinds pass as they are."""

    def __init__(self, limits: JoinLimits) -> None:
        self._limits = limits
        self._traces: dict[Key, Trace] = {}  # in the order of their last lines
        self._size = 0
        self._newest_ms = 0  # of the records since there was no trace
        self._records = 0

    @classmethod
    def resume(cls, state: bytes, limits: JoinLimits) -> Joiner:
        """A joiner that goes on where `state` was taken; empty or unreadable state is a new one."""
        joiner = cls(limits)
        if state:
            try:
                joiner._restore(orjson.loads(state))
            except (ValueError, TypeError, KeyError, AttributeError):
                return cls(limits)
        return joiner

    @property
    def held(self) -> int:
        """How many records are held back, in no entry yet."""
        return sum(len(trace.entries) for trace in self._traces.values())

    def feed(self, entries: Sequence[Entry]) -> list[Entry]:
        """The entries that these complete. A joined one is the first line's entry with `text` and the record's
        `line` all lines (parted by line feeds), `lines` their number, and `failure` what the trace says.

        Entries are taken as decoded: what was read from them before does not outlive a stored state.
        """
        if entries and entries[0].kind is not Kind.LOGS:
            return list(entries)
        out: list[Entry] = []
        traces = self._traces
        for entry in entries:
            if traces:
                self._beside(entry, out)
            elif may_open(entry.text):
                self._begin(entry, opening(entry.text), out)
            else:
                out.append(entry)
        return out

    def flush(self) -> list[Entry]:
        """What is held back, joined as far as it goes: nothing more will come."""
        out: list[Entry] = []
        for trace in list(self._traces.values()):
            self._end(trace, out)
        return out

    def state(self) -> bytes:
        """What is held back, for `resume`: less than 256 KiB, empty where there is nothing to keep."""
        if not self._traces:
            return b""
        traces = [trace.stored() for trace in self._traces.values()]
        return orjson.dumps([_VERSION, self._newest_ms, self._records, traces])

    # ---- one record ----

    def _beside(self, entry: Entry, out: list[Entry]) -> None:
        """Take a record while there are traces, of its stream or of others."""
        self._records += 1
        if entry.timestamp_ms > self._newest_ms:
            self._newest_ms = entry.timestamp_ms
        self._give_up(out)
        trace = self._traces.get(key_of(entry.record))
        if trace is not None:
            self._follow(trace, entry, out)
        elif may_open(entry.text):
            self._begin(entry, opening(entry.text), out)
        else:
            out.append(entry)

    def _begin(self, entry: Entry, opened: Opening | None, out: list[Entry]) -> None:
        """Hold the first line of what may become a trace, or let the line pass."""
        if opened is None:
            out.append(entry)
            return
        runtime, verdict, phase = opened
        trace = Trace(key_of(entry.record), runtime)
        size = trace.size_of(entry)
        if size > self._limits.max_bytes:
            out.append(entry)
            return
        if not self._traces:
            self._newest_ms, self._records = entry.timestamp_ms, 0
        self._size += trace.base
        self._take(trace, entry, size, verdict, phase, out)

    def _follow(self, trace: Trace, entry: Entry, out: list[Entry]) -> None:
        """Take the next line of a trace's own stream."""
        verdict, phase = Verdict.END, ""
        if abs(entry.timestamp_ms - trace.last_ms) <= self._limits.max_wait_ms:
            verdict, phase = RUNTIMES[trace.runtime].step(trace.phase, entry.text.rstrip())
        opened = None if verdict is Verdict.PART else opening(entry.text)
        if verdict is Verdict.MAYBE and (opened is not None or trace.doubts >= MAYBE_LINES):
            verdict = Verdict.END
        size = 0 if verdict is Verdict.END else trace.size_of(entry)
        full = len(trace.entries) >= self._limits.max_lines or trace.held + size > self._limits.max_bytes
        if verdict is Verdict.END or (full and verdict is Verdict.MAYBE):
            self._end(trace, out)
            self._begin(entry, opened, out)
            return
        if full:
            trace.sure = len(trace.entries)
            self._release(trace, out)
            size = trace.size_of(entry)  # more, where it is the first
        self._take(trace, entry, size, verdict, phase, out)

    def _take(
        self, trace: Trace, entry: Entry, size: int, verdict: Verdict, phase: str, out: list[Entry]
    ) -> None:
        """Put a line into a trace, which becomes the last of all to be given up."""
        trace.phase = phase
        trace.last_ms, trace.seen_ms, trace.seen_at = entry.timestamp_ms, self._newest_ms, self._records
        self._traces.pop(trace.key, None)
        self._traces[trace.key] = trace
        if size > self._limits.max_bytes:  # too large to be held, though it is a part
            out.append(entry)
            return
        self._size += size
        trace.add(entry, size)
        if verdict is Verdict.PART:
            trace.sure = len(trace.entries)
        while self._size > MAX_STATE and len(self._traces) > 1:
            self._give_way(next(iter(self._traces.values())), out)

    # ---- the end of a trace ----

    def _give_up(self, out: list[Entry]) -> None:
        """Let go of traces that others have left behind."""
        latest_ms = self._newest_ms - 2 * self._limits.max_wait_ms
        latest = self._records - _PATIENCE
        while self._traces:
            oldest = next(iter(self._traces.values()))
            if oldest.seen_ms >= latest_ms and oldest.seen_at >= latest:
                return
            self._give_way(oldest, out)

    def _give_way(self, trace: Trace, out: list[Entry]) -> None:
        """Hand out what a trace holds; what was one for certain may still go on, once more as long."""
        if not trace.sure:
            self._end(trace, out)
            return
        self._release(trace, out)
        trace.seen_ms, trace.seen_at = self._newest_ms, self._records
        self._traces[trace.key] = self._traces.pop(trace.key)

    def _end(self, trace: Trace, out: list[Entry]) -> None:
        self._release(trace, out)
        self._size -= trace.base
        del self._traces[trace.key]

    def _release(self, trace: Trace, out: list[Entry]) -> None:
        self._size -= trace.held
        out.extend(trace.release())

    def _restore(self, stored: Any) -> None:
        version, newest_ms, records, rows = stored
        if version != _VERSION:
            raise ValueError("another version's state")
        self._newest_ms, self._records = int(newest_ms), int(records)
        for row in rows:
            trace = Trace.restored(row)
            self._traces[trace.key] = trace
            self._size += trace.base + trace.held
