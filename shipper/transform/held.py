"""The open end of one stack trace: lines of one replica and stream that are in no entry yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import orjson

from shipper.entry import Entry
from shipper.model import Kind
from shipper.transform.stacks.table import RUNTIMES

Key: TypeAlias = tuple[str, str]

_OVERHEAD: Final = 160  # bytes of a trace in the stored state beside its records and its key


def key_of(record: Mapping[str, Any]) -> Key:
    """The replica and stream that printed a line."""
    return str(record.get("replica_id", "")), str(record.get("stream", ""))


def entry_of(record: dict[str, Any]) -> Entry:
    """A log record as an entry, before anything is read from it."""
    return Entry(record, Kind.LOGS, int(record.get("timestamp_ms", 0)), str(record.get("line", "")))


def stored_size(record: Mapping[str, Any]) -> int:
    """The bytes that a record takes in the stored state."""
    return len(orjson.dumps(record)) + 1


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
        """As the stored state has it."""
        records = [entry.record for entry in self.entries]
        times = [self.last_ms, self.seen_ms, self.seen_at]
        return [*self.key, self.runtime, self.phase, *times, self.sure, self.named, records]

    @classmethod
    def restored(cls, row: Sequence[Any]) -> Trace:
        """The inverse of `stored`. Raises ValueError or TypeError for what it cannot be."""
        replica, stream, runtime, phase, last_ms, seen_ms, seen_at, sure, named, records = row
        if runtime not in RUNTIMES or not 0 <= sure <= len(records):
            raise ValueError("not a trace")
        trace = cls(
            (str(replica), str(stream)), runtime, str(phase), int(last_ms), int(seen_ms), int(seen_at)
        )
        for record in records:
            trace.add(entry_of(record), stored_size(record))
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
        record.pop("line_base64", None)
        return Entry(record, first.kind, first.timestamp_ms, text, lines=len(entries), failure=failure)
