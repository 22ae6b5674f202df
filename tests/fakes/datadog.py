"""Records as a Datadog sink gets them."""

from __future__ import annotations

from typing import Any, Final

from shipper.archive.layout import hour_of
from shipper.entry import Entry
from shipper.model import Kind, Partition

NOW_MS: Final = 1_790_000_000_000
NODE: Final = "ip-10-0-3-17"


def log_entry(
    text: str = "hello", *, timestamp_ms: int = NOW_MS, record: dict[str, Any] | None = None, **read: Any
) -> Entry:
    """A log line of `checkout`; `record` changes its fields (None takes one out), `read` is what was read from it."""
    fields = {
        "timestamp_ms": timestamp_ms,
        "organization": "acme-corp",
        "app": "checkout",
        "replica_id": "checkout-7d9f6c5b4-x2x9p",
        "cluster_id": "eu-1",
        "node_name": NODE,
        "stream": "stderr",
        "line": text,
        **(record or {}),
    }
    known = {name: value for name, value in fields.items() if value is not None}
    return Entry(known, Kind.LOGS, timestamp_ms, text, **read)


def event_entry(
    text: str = "Memory cgroup out of memory", *, timestamp_ms: int = NOW_MS, **changes: Any
) -> Entry:
    """A platform event: an OOM kill, unless `changes` of its fields say otherwise."""
    fields = {
        "timestamp_ms": timestamp_ms,
        "organization": "acme-corp",
        "app": "checkout",
        "replica_id": "checkout-7d9f6c5b4-x2x9p",
        "kind": "OOM_KILLED",
        "reason": "OOMKilling",
        "message": text,
        "count": 1,
        "severity": "Warning",
        **changes,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    return Entry(known, Kind.EVENTS, timestamp_ms, text)


def build_entry(text: str = "Step 3/9 : RUN pip install .", **changes: Any) -> Entry:
    """A line of a build's log."""
    fields = {
        "timestamp_ms": NOW_MS,
        "organization": "acme-corp",
        "app": "checkout",
        "build_id": "b-4711",
        "source": "build",
        "line": text,
        **changes,
    }
    return Entry(fields, Kind.BUILDS, NOW_MS, text)


def gap_entry(detail: str = "", **changes: Any) -> Entry:
    """A known loss."""
    fields = {
        "timestamp_ms": NOW_MS,
        "organization": "acme-corp",
        "app": "checkout",
        "replica_id": "checkout-7d9f6c5b4-x2x9p",
        "stream_kind": "logs",
        "from_ms": NOW_MS - 60_000,
        "to_ms": NOW_MS - 1_000,
        "reason": "rotated",
        "detail": detail,
        "lost": None,
        **changes,
    }
    return Entry(fields, Kind.GAPS, NOW_MS, detail)


def partition_of(entry: Entry) -> Partition:
    """The partition that an entry is of."""
    return Partition(
        entry.kind, entry.record["organization"], entry.record["app"], hour_of(entry.timestamp_ms)
    )
