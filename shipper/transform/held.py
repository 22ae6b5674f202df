"""The open end of one stack trace: lines of one replica and stream that are in no entry yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, TypeAlias

from shipper.entry import Entry
from shipper.transform.decoding import encode
from shipper.transform.stacks.table import RUNTIMES

Key: TypeAlias = tuple[str, str]

_OVERHEAD: Final = 160  # bytes of a trace in the stored state beside its records and its key


def key_of(record: Mapping[str, Any]) -> Key:
    """The replica and stream that printed a line."""
    return str(record.get("replica_id", "")), str(record.get("stream", ""))


def stored_size(entry: Entry) -> int:
    """The bytes that an entry takes in the stored state."""
    return len(encode((entry,)))


@dataclass(slots=True)
class Trace:
    """A trace so far, or what may become one.

    The first `sure` of its entries are a part of it for certain, the others only if a later line says so. `last_ms`
    is the time of its last line; `seen_ms` and `seen_at` say when that came: the newest time and the number of
    records in the partition. `held` counts the bytes that its entries take in the stored state. `named` says that
    an entry which was handed out has said what failed.
    """

    key: Key
    runtime: str
    phase: str = ""
    last_ms: int = 0
    seen_ms: int = 0
    seen_at: int = 0
    entries: list[Entry] = field(default_factory=list)
    sure: int = 0
    held: int = 0
    named: bool = False

    @property
    def size(self) -> int:
        """The bytes that all of it takes in the stored state."""
        return self.held + _OVERHEAD + 6 * (len(self.key[0]) + len(self.key[1]))

    @property
    def doubts(self) -> int:
        """How many lines at the end only may be a part."""
        return len(self.entries) - self.sure

    def add(self, entry: Entry, size: int) -> None:
        self.entries.append(entry)
        self.held += size

    def release(self) -> list[Entry]:
        """Its lines as entries: those that are sure joined, the others as they were printed. Nothing is held then."""
        entries, sure = self.entries, self.sure
        self.entries, self.sure, self.held = [], 0, 0
        return [self._joined(entries[:sure]), *entries[sure:]] if sure else entries

    def stored(self) -> list[Any]:
        """As the stored state has it, but for its entries; of those only how many there are."""
        times = [self.last_ms, self.seen_ms, self.seen_at]
        return [*self.key, self.runtime, self.phase, *times, self.sure, self.named, len(self.entries)]

    @classmethod
    def restored(cls, row: Sequence[Any], entries: Iterator[Entry]) -> Trace:
        """The inverse of `stored`; takes its entries from the front. Raises ValueError for what no trace can be."""
        replica, stream, runtime, phase, last_ms, seen_ms, seen_at, sure, named, count = row
        trace = cls(
            (str(replica), str(stream)), runtime, str(phase), int(last_ms), int(seen_ms), int(seen_at)
        )
        for entry in islice(entries, count):
            trace.add(entry, stored_size(entry))
        if runtime not in RUNTIMES or len(trace.entries) != count or not 0 <= sure <= count:
            raise ValueError("no trace is stored like this")
        trace.sure, trace.named = sure, bool(named)
        return trace

    def _joined(self, entries: list[Entry]) -> Entry:
        """One entry, whose failure is that of the whole trace: a piece that goes on with it has none."""
        failure = None
        if not self.named:
            failure = RUNTIMES[self.runtime].failure([entry.text.rstrip() for entry in entries])
            self.named = failure is not None
        first = entries[0]
        if len(entries) == 1 and failure is None:
            return first
        text = "\n".join([entry.text for entry in entries])
        record = {**first.record, "line": text}
        return Entry(record, first.kind, first.timestamp_ms, text, lines=len(entries), failure=failure)
