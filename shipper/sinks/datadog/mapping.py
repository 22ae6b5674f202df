"""A record as Datadog shows it: which of its facts becomes which attribute of a log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from shipper.entry import Entry, Level
from shipper.model import Kind
from shipper.sinks.datadog.fields import add_fields
from shipper.sinks.datadog.ids import datadog_id
from shipper.sinks.datadog.labels import Labels, dumped, showable

OWN: Final = "shipper"
"""The attribute below which is what shipper did to a record."""

OOM_KILLED: Final = "OOM_KILLED"
_WARNING: Final = "warn"
_EVENT_FACTS: Final = ("kind", "reason", "severity", "count")
_GAP_FACTS: Final = ("stream_kind", "reason", "from_ms", "to_ms", "lost")


class LogMapping:
    """Writes entries as JSON objects of the logs intake. May be called from several threads."""

    def __init__(self, labels: Labels) -> None:
        self._labels: Final = labels

    def encode(self, entry: Entry, stamp_ms: int | None = None) -> bytes:
        """The log of an entry; `stamp_ms` is its time in place of its own, which is then kept in an attribute."""
        return self._labels.opening(entry) + b"," + _dumped(log_of(entry, stamp_ms), entry)[1:]

    def encode_bare(self, entry: Entry, message: str, stamp_ms: int | None, cut_bytes: int) -> bytes:
        """The log of an entry that is too large: its labels, time and status, and as much of its text as there is
        room for.
        """
        log: dict[str, Any] = {"timestamp": entry.timestamp_ms if stamp_ms is None else stamp_ms}
        if status := status_of(entry):
            log["status"] = status
        log["message"] = message
        log[OWN] = _own(entry, stamp_ms) | {"cut_bytes": cut_bytes}
        return self._labels.opening(entry) + b"," + dumped(log)[1:]


def log_of(entry: Entry, stamp_ms: int | None = None) -> dict[str, Any]:
    """All of a log but its labels."""
    log: dict[str, Any] = {"timestamp": entry.timestamp_ms if stamp_ms is None else stamp_ms}
    if status := status_of(entry):
        log["status"] = status
    log["message"] = entry.text
    if entry.kind is Kind.EVENTS:
        log |= _event(entry)
    elif entry.kind is Kind.GAPS:
        log |= _gap(entry)
    if stamp_ms is not None or entry.lines != 1:
        log[OWN] = _own(entry, stamp_ms)
    _add_ids(log, entry)
    if entry.failure is not None:
        failure = entry.failure
        log["error"] = {"kind": failure.type, "message": failure.message, "stack": entry.text}
    if entry.fields is not None:
        add_fields(log, entry.fields, entry.text)
    return log


def status_of(entry: Entry) -> str | None:
    """A log's status. Datadog goes by how it begins, and every level begins as it should: `fatal` is Emergency there.

    None where the line does not say: Datadog then reads it from the line, where that is JSON, or shows Info
    (https://docs.datadoghq.com/logs/log_configuration/processors/log_status_remapper/).
    """
    if entry.level is not None:
        return entry.level.value
    if entry.kind is Kind.GAPS:
        return _WARNING
    return event_level(entry.record).value if entry.kind is Kind.EVENTS else None


def event_level(record: Mapping[str, Any]) -> Level:
    """How bad a platform event is: Kubernetes' `Normal` and `Warning`, words of other loggers, and an OOM kill, which
    is always an error.
    """
    if record.get("kind") == OOM_KILLED:
        return Level.ERROR
    severity = str(record.get("severity", "")).lower()
    for level, words in _SEVERITIES.items():
        if severity.startswith(words):
            return level
    return Level.INFO


_SEVERITIES: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.FATAL: ("fatal", "crit", "emerg", "alert"),
    Level.ERROR: ("err", "fail"),
    Level.WARN: ("warn",),
    Level.DEBUG: ("debug", "trace"),
}


def event_text(entry: Entry) -> str:
    """A platform event in one line: `OOMKilling: Memory cgroup out of memory`."""
    what = str(entry.record.get("reason") or entry.record.get("kind") or "event")
    return f"{what}: {entry.text}" if entry.text else what


def _event(entry: Entry) -> dict[str, Any]:
    facts = {name: entry.record[name] for name in _EVENT_FACTS if name in entry.record}
    return {"message": event_text(entry), "event": facts}


def _gap(entry: Entry) -> dict[str, Any]:
    record = entry.record
    lost = record.get("lost")
    what = "records" if lost is None else f"{lost} record{'' if lost == 1 else 's'}"
    whose = record.get("replica_id") or record.get("app")
    message = (
        f"gap: {what} of {record.get('stream_kind')} of {whose} could not be had ({record.get('reason')}),"
        f" from {_moment(record.get('from_ms'))} to {_moment(record.get('to_ms'))}"
    )
    return {
        "message": f"{message}: {entry.text}" if entry.text else message,
        "gap": {name: record[name] for name in _GAP_FACTS if name in record},
    }


def _moment(time_ms: object) -> str:
    """A time as people read it; times may be absurd."""
    if not isinstance(time_ms, int) or not time_ms:
        return "an unknown time"
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"


def _own(entry: Entry, stamp_ms: int | None) -> dict[str, Any]:
    own: dict[str, Any] = {}
    if stamp_ms is not None:
        own["original_timestamp"] = entry.timestamp_ms
    if entry.lines != 1:
        own["lines"] = entry.lines
    return own


def _add_ids(log: dict[str, Any], entry: Entry) -> None:
    """Ids as the line has them, to be searched, and in Datadog's form, which connects logs with traces."""
    if entry.execution_id is not None:
        log["execution_id"] = entry.execution_id
    found: dict[str, str] = {}
    for name, text in (("trace_id", entry.trace_id), ("span_id", entry.span_id)):
        if text is not None:
            log[name] = text
            if number := datadog_id(text):
                found[name] = number
    if found:
        log["dd"] = found


def _dumped(log: dict[str, Any], entry: Entry) -> bytes:
    try:
        return orjson.dumps(log)
    except (
        TypeError
    ):  # lone surrogates, or fields nested deeper than the serialiser goes: the text says it all
        bare = {name: log[name] for name in ("timestamp", "status") if name in log}
        return dumped(bare | {"message": showable(entry.text)})
