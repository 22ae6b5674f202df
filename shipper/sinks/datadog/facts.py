"""What platform events and gaps say of themselves: a line of text for people, a status, and the facts to search by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from shipper.entry import Entry, Level
from shipper.model import Kind

STATUSES: Final[Mapping[Level, str]] = {level: level.value for level in Level}

_OOM_KILLED: Final = "OOM_KILLED"
_EVENT_FACTS: Final = ("kind", "reason", "severity", "count")
_GAP_FACTS: Final = ("stream_kind", "reason", "from_ms", "to_ms", "lost")
_SEVERITIES: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.FATAL: ("fatal", "crit", "emerg", "alert"),
    Level.ERROR: ("err", "fail"),
    Level.WARN: ("warn",),
    Level.DEBUG: ("debug", "trace"),
}


def facts_of(entry: Entry) -> dict[str, Any]:
    """What belongs into the log of an event or a gap besides; the lines of builds are lines."""
    if entry.kind is Kind.EVENTS:
        return {
            "message": event_text(entry),
            "status": STATUSES[event_level(entry)],
            "event": _some(entry.record, _EVENT_FACTS),
        }
    if entry.kind is Kind.GAPS:
        return {
            "message": gap_text(entry),
            "status": STATUSES[entry.level or Level.WARN],
            "gap": _some(entry.record, _GAP_FACTS),
        }
    return {}


def event_level(entry: Entry) -> Level:
    """How bad a platform event is: an OOM kill is always an error, else its severity says it, which is Kubernetes'
    `Normal` or `Warning`, or a word that other loggers use.
    """
    if entry.record.get("kind") == _OOM_KILLED:
        return Level.ERROR
    if entry.level is not None:
        return entry.level
    severity = str(entry.record.get("severity", "")).lower()
    return next((level for level, words in _SEVERITIES.items() if severity.startswith(words)), Level.INFO)


def event_name(entry: Entry) -> str:
    """What happened, in a word: the platform's reason, else the kind."""
    return str(entry.record.get("reason") or entry.record.get("kind") or "event")


def event_text(entry: Entry) -> str:
    """A platform event in one line: `OOMKilling: Memory cgroup out of memory (3 times)`."""
    text = f"{event_name(entry)}: {entry.text}" if entry.text else event_name(entry)
    count = entry.record.get("count")
    return f"{text} ({count} times)" if isinstance(count, int) and count > 1 else text


def gap_text(entry: Entry) -> str:
    """A gap in one line."""
    record = entry.record
    lost = record.get("lost")
    what = "records" if lost is None else f"{lost} record{'' if lost == 1 else 's'}"
    whose = record.get("replica_id") or record.get("app")
    text = (
        f"gap: {what} of {record.get('stream_kind')} of {whose} could not be had ({record.get('reason')}),"
        f" from {moment(record.get('from_ms'))} to {moment(record.get('to_ms'))}"
    )
    return f"{text}: {entry.text}" if entry.text else text


def _some(record: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: record[name] for name in names if name in record}


def moment(time_ms: object) -> str:
    """A time as people read it; times may be absurd."""
    if not isinstance(time_ms, int) or not time_ms:
        return "an unknown time"
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"
