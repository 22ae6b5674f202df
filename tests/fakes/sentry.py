"""Records as a Sentry sink gets them."""

from __future__ import annotations

from typing import Any

from shipper.archive.layout import hour_of
from shipper.entry import CodeFrame, Entry, Failure, Level
from shipper.model import Kind, Partition

NOW_MS = 1_790_000_000_000
LOGS = frozenset({"logs"})
TRACE = (
    CodeFrame("main", "/usr/local/lib/python3.12/site-packages/gunicorn/app.py", 12),
    CodeFrame("handle", "/app/checkout/views.py", 40),
    CodeFrame("charge", "/app/checkout/pay.py", 88),
)


def line(
    text: str = "hello",
    *,
    at: int = NOW_MS,
    app: str = "checkout",
    replica: str = "checkout-7d9f8b6c5-x2x9p",
    marks: frozenset[str] = LOGS,
    **changes: Any,
) -> Entry:
    """A log line that a route wants in Sentry Logs."""
    record = {
        "timestamp_ms": at,
        "organization": "acme-corp",
        "app": app,
        "replica_id": replica,
        "cluster_id": "eu-1",
        "node_name": "node-3",
        "stream": "stderr",
        "line": text,
    }
    return Entry(record, Kind.LOGS, at, text, marks=marks, **changes)


def traceback(
    message: str = "card declined",
    *,
    frames: tuple[CodeFrame, ...] = TRACE,
    language: str = "python",
    **changes: Any,
) -> Entry:
    """A joined traceback that no route wants in Sentry Logs."""
    text = f"Traceback (most recent call last):\n  ...\nPaymentError: {message}"
    failure = Failure(language, "PaymentError", message, frames)
    return line(text, **{"marks": frozenset(), "failure": failure, "lines": 8, **changes})


def event(
    reason: str = "OOMKilling",
    kind: str | int | None = None,
    message: str = "Memory cgroup out of memory: Killed process 1",
    *,
    at: int = NOW_MS,
    app: str = "checkout",
    replica: str = "checkout-7d9f8b6c5-x2x9p",
    count: int = 1,
    **changes: Any,
) -> Entry:
    """A platform event."""
    record: dict[str, Any] = {
        "timestamp_ms": at,
        "organization": "acme-corp",
        "app": app,
        "replica_id": replica,
        "reason": reason,
        "message": message,
        "count": count,
        "severity": "Warning",
    }
    if kind is not None:
        record["kind"] = kind
    return Entry(record, Kind.EVENTS, at, message, **changes)


def gap(at: int = NOW_MS, **changes: Any) -> Entry:
    """A known loss."""
    record = {
        "timestamp_ms": at,
        "organization": "acme-corp",
        "app": "checkout",
        "replica_id": "r-1",
        "lost": None,
    }
    record |= {"stream_kind": "logs", "reason": "rotated", "detail": "the replay began late"}
    return Entry(record, Kind.GAPS, at, "the replay began late", **changes)


def partition(kind: Kind = Kind.LOGS, app: str = "checkout") -> Partition:
    return Partition(kind, "acme-corp", app, hour_of(NOW_MS))


__all__ = ["LOGS", "NOW_MS", "TRACE", "Level", "event", "gap", "line", "partition", "traceback"]
