"""The open end of one stack trace: lines of one replica and stream that are in no entry yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import orjson

from shipper.entry import Entry
from shipper.model import Kind
from shipper.transform.decoding import decode, encode
from shipper.transform.stacks.table import RUNTIMES

Key: TypeAlias = tuple[str, str]

_OVERHEAD: Final = 160  # bytes of a trace in the stored state beside its records and its key


def key_of(record: Mapping[str, Any]) -> Key:
    """The replica and stream that printed a line."""
    return str(record.get("replica_id", "")), str(record.get("stream", ""))


def pack(entry: Entry, first: Entry) -> str | tuple[int, str]:
    """An entry as the stored state has it: its time and line where the rest is as in the trace's first, which is the
    rule, or else its record.
    """
    line = entry.record.get("line")
    if entry is not first and type(line) is str:
        likely = {**first.record, "timestamp_ms": entry.timestamp_ms, "line": line}
        if likely == entry.record:
            return entry.timestamp_ms, line
    return encode((entry,)).decode()


def unpack(packed: Any, first: Entry | None) -> Entry:
    """The inverse of `pack`. Raises ValueError or TypeError for what it cannot be."""
    if isinstance(packed, str):
        (entry,), _ = decode(Kind.LOGS, packed.encode())
        return entry
    time_ms, line = packed
    if first is None or not isinstance(time_ms, int) or not isinstance(line, str):
        raise TypeError("no line is stored like this")
    return Entry({**first.record, "timestamp_ms": time_ms, "line": line}, Kind.LOGS, time_ms, line)


@dataclass(slots=True)
class Trace:
    """A trace so far, or what may become one.

    The first `sure` of its entries are a part of it for certain, the others only if a later line says so. `last_ms`
    is the time of its last line; `seen_ms` and `seen_at` say when that came: the newest time and the number of
    records in the partition. `held` counts the bytes that its entries take in the stored state, `base` is the most
    that all else of it takes. `named` says that an entry which was handed out has said what failed.
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
    base: int = field(init=False)

    def __post_init__(self) -> None:
        self.base = _OVERHEAD + 6 * (len(self.key[0]) + len(self.key[1]))

    @property
    def doubts(self) -> int:
        """How many lines at the end only may be a part."""
        return len(self.entries) - self.sure

    def size_of(self, entry: Entry) -> int:
        """The bytes that another entry would take in the stored state."""
        return len(orjson.dumps(pack(entry, self.entries[0] if self.entries else entry))) + 1

    def add(self, entry: Entry, size: int) -> None:
        self.entries.append(entry)
        self.held += size

    def release(self) -> list[Entry]:
        """Its lines as entries: those that are sure joined, the others as they were printed. Nothing is held then."""
        entries, sure = self.entries, self.sure
        self.entries, self.sure, self.held = [], 0, 0
        return [self._joined(entries[:sure]), *entries[sure:]] if sure else entries

    def stored(self) -> list[Any]:
        """As the stored state has it."""
        packed = [pack(entry, self.entries[0]) for entry in self.entries]
        times = [self.last_ms, self.seen_ms, self.seen_at]
        return [*self.key, self.runtime, self.phase, *times, self.sure, self.named, packed]

    @classmethod
    def restored(cls, row: Sequence[Any]) -> Trace:
        """The inverse of `stored`. Raises ValueError or TypeError for what it cannot be."""
        replica, stream, runtime, phase, last_ms, seen_ms, seen_at, sure, named, packed = row
        if runtime not in RUNTIMES or not 0 <= sure <= len(packed):
            raise ValueError("no trace is stored like this")
        trace = cls(
            (str(replica), str(stream)), runtime, str(phase), int(last_ms), int(seen_ms), int(seen_at)
        )
        for one in packed:
            entry = unpack(one, trace.entries[0] if trace.entries else None)
            trace.add(entry, trace.size_of(entry))
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
