"""A record as Datadog shows it: which of its facts becomes which attribute of a log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from shipper.entry import Entry, Level
from shipper.model import Kind, Partition
from shipper.sinks.datadog.errors import error_of
from shipper.sinks.datadog.facts import STATUSES, facts_of
from shipper.sinks.datadog.fields import add_fields
from shipper.sinks.datadog.ids import datadog_id
from shipper.sinks.datadog.labels import Labels, dumped, identity_of, showable

OWN: Final = "shipper"
"""The attribute below which is what shipper did to a record."""

_LOGS: Final = Kind.LOGS
_BARE: Final = ("timestamp", "status")
_STATUS_PARTS: Final[Mapping[Level | None, bytes]] = {
    None: b"",
    **{level: b',"status":"%b"' % status.encode() for level, status in STATUSES.items()},
}


class LogWriter:
    """Writes the entries of one partition as JSON objects of the logs intake."""

    def __init__(self, labels: Labels, partition: Partition) -> None:
        self._labels: Final = labels
        self._partition: Final = partition
        self._openings = labels.openings(partition)

    def encode(self, entry: Entry, stamp_ms: int | None = None) -> bytes:
        """The log of an entry; `stamp_ms` is its time in place of its own, which is then kept in an attribute."""
        if stamp_ms is None and _is_plain(
            entry
        ):  # nearly all are, and templates cost half of what objects do
            try:
                return b'%b,"timestamp":%d,"message":%b%b}' % (
                    self._opening(entry),
                    entry.timestamp_ms,
                    orjson.dumps(entry.text),
                    _STATUS_PARTS[entry.level],
                )
            except TypeError:
                pass  # lone surrogates
        log = log_of(entry, stamp_ms)
        try:
            rest = orjson.dumps(log)
        except TypeError:
            # Lone surrogates, or fields nested deeper than the serialiser goes: the text says it all.
            bare = {name: log[name] for name in _BARE if name in log}
            rest = dumped(bare | {"message": showable(entry.text)})
        return self._opening(entry) + b"," + rest[1:]

    def encode_bare(self, entry: Entry, message: str, stamp_ms: int | None, cut_bytes: int) -> bytes:
        """The log of an entry that is too large: its labels, time and status, and as much of its text as there is
        room for.
        """
        whole = log_of(replace(entry, fields=None), stamp_ms)
        own = _own(entry, stamp_ms) | {"cut_bytes": cut_bytes}
        bare = {name: whole[name] for name in _BARE if name in whole} | {"message": message, OWN: own}
        return self._opening(entry) + b"," + dumped(bare)[1:]

    def _opening(self, entry: Entry) -> bytes:
        get = entry.record.get
        key: object = (get("replica_id"), get("stream"), get("node_name"), get("cluster_id"))
        if entry.kind is not _LOGS:
            key = identity_of(entry)
        opening = self._openings.get(key)
        if opening is None:
            opening = self._labels.keep(self._partition, key, entry)
            self._openings = self._labels.openings(self._partition)
        return opening


def _is_plain(entry: Entry) -> bool:
    """Whether a log is its labels, its time, its text and perhaps its level."""
    return (
        entry.kind is _LOGS
        and entry.fields is None
        and entry.failure is None
        and entry.execution_id is None
        and entry.trace_id is None
        and entry.span_id is None
        and entry.lines == 1
    )


def log_of(entry: Entry, stamp_ms: int | None = None) -> dict[str, Any]:
    """All of a log but its labels.

    Its status is the level's name: Datadog goes by how it begins, and every level's begins as it should (`fatal` is
    Emergency there). Where a line does not say, there is none, and Datadog reads it from the line, where that is
    JSON, or shows Info (https://docs.datadoghq.com/logs/log_configuration/processors/log_status_remapper/); a stack
    trace that does not say is an error.
    """
    log: dict[str, Any] = {
        "timestamp": entry.timestamp_ms if stamp_ms is None else stamp_ms,
        "message": entry.text,
    }
    if entry.level is not None:
        log["status"] = STATUSES[entry.level]
    if entry.kind is not _LOGS:
        log |= facts_of(entry)
    if stamp_ms is not None or entry.lines != 1:
        log[OWN] = _own(entry, stamp_ms)
    if entry.execution_id is not None:
        log["execution_id"] = entry.execution_id
    if entry.trace_id is not None or entry.span_id is not None:
        log |= _ids(entry)
    if entry.failure is not None:
        log.setdefault("status", STATUSES[Level.ERROR])  # Error Tracking asks for it
        log["error"] = error_of(entry, entry.failure)
    if entry.fields is not None:
        add_fields(log, entry.fields, entry.text)
    return log


def _own(entry: Entry, stamp_ms: int | None) -> dict[str, Any]:
    own: dict[str, Any] = {}
    if stamp_ms is not None:
        own["original_timestamp"] = entry.timestamp_ms
    if entry.lines != 1:
        own["lines"] = entry.lines
    return own


def _ids(entry: Entry) -> dict[str, Any]:
    """Ids as the line has them, to be searched, and in Datadog's form, which connects logs with traces."""
    ids: dict[str, Any] = {}
    found: dict[str, str] = {}
    for name, text in (("trace_id", entry.trace_id), ("span_id", entry.span_id)):
        if text is not None:
            ids[name] = text
            if number := datadog_id(text):
                found[name] = number
    return ids | {"dd": found} if found else ids
