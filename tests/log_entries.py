"""Log records as the entries that a pipeline decodes, for tests."""

from __future__ import annotations

from collections.abc import Iterable

from shipper.entry import Entry
from shipper.model import Kind


def entry_of(line: str, at_ms: int = 1_000, replica: str = "r-1", stream: str = "stderr") -> Entry:
    """A log entry as decoding makes it."""
    record = {
        "timestamp_ms": at_ms,
        "organization": "acme",
        "app": "shop",
        "replica_id": replica,
        "stream": stream,
        "line": line,
    }
    return Entry(record, Kind.LOGS, at_ms, line)


def entries_of(
    lines: Iterable[str], at_ms: int = 1_000, replica: str = "r-1", stream: str = "stderr"
) -> list[Entry]:
    """Lines of one stream, printed at once."""
    return [entry_of(line, at_ms, replica, stream) for line in lines]
