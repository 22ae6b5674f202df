"""NDJSON to entries and back: entries that nobody changed come out as the very bytes that came in."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any, Final

import orjson

from shipper.entry import Entry
from shipper.model import Kind

TEXT_KEYS: Final = {Kind.LOGS: "line", Kind.BUILDS: "line", Kind.EVENTS: "message", Kind.GAPS: "detail"}
"""Where the text of a record stands, by its kind."""

_EXACT: Final = "line_base64"
_EXACT_MARK: Final = b'"line_base64":'  # inside a string the quotes would have backslashes before them
_ALWAYS: Final = frozenset(
    (Kind.LOGS, Kind.BUILDS)
)  # an empty message of an event is left out by the platform


def decode(kind: Kind, ndjson: bytes) -> tuple[list[Entry], int]:
    """The entries of whole lines, and how many lines are no records.

    All lines are read as one JSON list, which is three times as fast as line by line: between records there is a
    raw newline, and inside one never.
    """
    body = ndjson.removesuffix(b"\n")
    if not body:
        return [], 0
    try:
        records = orjson.loads(b"[" + body.replace(b"\n", b",") + b"]")
        if len(records) == body.count(b"\n") + 1:
            return _entries(kind, records, exact=_EXACT_MARK in ndjson), 0
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    return _one_by_one(kind, body)


def _entries(kind: Kind, records: list[dict[str, Any]], *, exact: bool) -> list[Entry]:
    key = TEXT_KEYS[kind]
    times = [record["timestamp_ms"] for record in records]
    texts = [record[key] if kind in _ALWAYS else record.get(key, "") for record in records]
    if set(map(type, times)) != {int} or set(map(type, texts)) != {str}:
        raise TypeError("a time that is no integer, or a text that is none")
    if exact:
        for record in records:
            if _EXACT in record:
                record["line"] = b64decode(record.pop(_EXACT), validate=True)
    return [Entry(record, kind, time, text) for record, time, text in zip(records, times, texts, strict=True)]


def _one_by_one(kind: Kind, body: bytes) -> tuple[list[Entry], int]:
    entries: list[Entry] = []
    undecodable = 0
    for line in body.split(b"\n"):
        try:
            entries += _entries(kind, [orjson.loads(line)], exact=_EXACT_MARK in line)
        except (ValueError, TypeError, KeyError, AttributeError):
            undecodable += 1
    return entries, undecodable


def encode(entries: Sequence[Entry]) -> bytes:
    """Records as lines of the archive's contract."""
    if not entries:
        return b""
    try:
        return b"\n".join([orjson.dumps(entry.record) for entry in entries]) + b"\n"
    except TypeError:  # the exact bytes of a line that is not Unicode
        return b"\n".join([orjson.dumps(_shown(entry.record)) for entry in entries]) + b"\n"


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    """The record with its line as `archive.codec` writes it: shown, and exact right after."""
    line = record.get("line")
    if not isinstance(line, bytes):
        return record
    shown: dict[str, Any] = {}
    for key, value in record.items():
        if key == "line":
            shown[key] = line.decode("utf-8", "replace")
            shown[_EXACT] = b64encode(line).decode()
        else:
            shown[key] = value
    return shown
