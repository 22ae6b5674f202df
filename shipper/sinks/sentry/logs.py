"""A record as one log of Sentry Logs (https://develop.sentry.dev/sdk/telemetry/logs/).

Sentry bills logs by their size, attributes included, so they carry what tells records apart and nothing more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

import orjson
import xxhash

from shipper.entry import Entry, Level
from shipper.model import Kind
from shipper.sinks.sentry.cutting import cut
from shipper.sinks.sentry.envelope import dumps
from shipper.sinks.sentry.event_kinds import ABOUT, failure_of
from shipper.sinks.sentry.options import SentryOptions
from shipper.sinks.sentry.origin import (
    Origin,
    origin_of,
    release_of,
    span_id_of,
    tags_of,
    trace_id_of,
    trace_of,
)

LONGEST_BODY: Final = 64 * 1024
_LONGEST_VALUE: Final = 2 * 1024
_LONGEST_NAME: Final = 200
_MOST_FIELDS: Final = 64
_DEEPEST: Final = 4
_MOST_ORIGINS: Final = 4096
_LARGEST: Final = 512 * 1024
_IDENTITY: Final = ("organization", "app", "replica_id", "cluster_id", "node_name", "stream")
_EARLIEST_MS: Final = 0
_LATEST_MS: Final = 253_402_300_799_999  # the last of the year 9999
_IN_OTHER_WORDS: Final = frozenset(
    (
        "timestamp_ms",
        "organization",
        "app",
        "replica_id",
        "cluster_id",
        "node_name",
        "stream",
        "line",
        "message",
    )
)
# What Sentry's own search and the rest of a log mean by these is something else.
_RESERVED: Final = frozenset(
    [
        *("kind", "lines", "id", "timestamp", "level", "severity", "message", "body"),
        *("trace", "trace_id", "span_id", "project", "environment", "release"),
    ]
)
_MESSAGES: Final = ("message", "msg", "log", "event", "text", "body", "short_message", "@m")

_TEMPLATE: Final = (
    b'{"timestamp":%b,"trace_id":"%b",%b"level":"%b","body":%b,"attributes":%b%b'
    b'"sentry.timestamp.sequence":{"value":%d,"type":"integer"},"shipper.record":{"value":"%b","type":"string"}}}'
)

Attribute = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Common:
    """What a replica's logs share: the opening of their attributes, those attributes' names, the trace, and what
    their ids begin with.
    """

    attributes: bytes
    names: frozenset[str]
    trace_id: str
    identity: str


class LogWriter:
    """Writes logs as JSON. What the records of a replica have in common is rendered once, and what is short and safe is
    put into a template: a dict for each log would take as long as the rest of the way.
    """

    def __init__(self, options: SentryOptions) -> None:
        self._options = options
        self._common: dict[tuple[object, ...], _Common] = {}

    def write(self, entry: Entry, sequence: int) -> tuple[bytes, bool]:
        """The log, and whether it was cut. `sequence` tells apart records of one millisecond, in their order."""
        common = self._common_of(entry)
        text, fields = text_of(entry)
        body = cut(text, LONGEST_BODY)
        own = dict(_attributes(entry, fields, common.names))
        span = span_id_of(entry)
        data = _TEMPLATE % (
            repr(seconds(entry.timestamp_ms)).encode(),
            (trace_id_of(entry) or common.trace_id).encode(),
            b'"span_id":"%b",' % span.encode() if span else b"",
            level_of(entry).value.encode(),
            dumps(body),
            common.attributes,
            dumps(own)[1:-1] + b"," if own else b"",
            sequence,
            _record_id(entry, common.identity).encode(),
        )
        if len(data) > _LARGEST and fields:  # control characters take six bytes each
            return self.write(replace(entry, fields=None), sequence)[0], True
        return data, body is not text

    def _common_of(self, entry: Entry) -> _Common:
        key = tuple(map(entry.record.get, _IDENTITY))
        known = self._common.get(key)
        if known is None:
            if len(self._common) >= _MOST_ORIGINS:
                self._common.clear()
            known = self._common[key] = self._shared(origin_of(entry), entry.record.get("stream"), key)
        return known

    def _shared(self, origin: Origin, stream: object, key: tuple[object, ...]) -> _Common:
        texts = tags_of(origin, self._options)
        if stream:
            texts["stream"] = str(stream)
        if self._options.environment:
            texts["sentry.environment"] = self._options.environment
        if release := release_of(origin, self._options):
            texts["sentry.release"] = release
        attributes = {name: {"value": value, "type": "string"} for name, value in texts.items()}
        opening = dumps(attributes)[:-1] + (b"," if attributes else b"")
        return _Common(opening, frozenset(texts), trace_of(origin), "\0".join(map(str, key)))


def level_of(entry: Entry) -> Level:
    """What the line says; of an event what it means; info where nothing says it, as Sentry wants one."""
    if entry.level is not None:
        return entry.level
    if entry.kind is Kind.EVENTS:
        failure = failure_of(entry.record)
        if failure is not None:
            return ABOUT[failure].level
        warns = str(entry.record.get("severity") or "").casefold().startswith("warn")
        return Level.WARN if warns else Level.INFO
    if entry.failure is not None:
        return Level.ERROR
    return Level.WARN if entry.kind is Kind.GAPS else Level.INFO


def text_of(entry: Entry) -> tuple[str, Mapping[str, Any]]:
    """The body, and the fields that are to be attributes.

    The body of a line that is JSON is the message in it, where it has one: the rest is in the attributes, and need not
    be paid for twice. An event that says nothing shows its reason.
    """
    fields = entry.fields or {}
    for name in _MESSAGES if fields else ():
        message = fields.get(name)
        if isinstance(message, str) and message:
            return message, {other: value for other, value in fields.items() if other != name}
    return entry.text or str(entry.record.get("reason") or ""), fields


def seconds(timestamp_ms: int) -> float:
    """A record's time as Sentry has times. Absurd ones are moved to the nearest that has a date."""
    return min(max(timestamp_ms, _EARLIEST_MS), _LATEST_MS) / 1000


def _record_id(entry: Entry, identity: str) -> str:
    """16 hex digits that are a pure function of the record: a log that was sent twice has the same ones twice.

    Identical lines of one replica, stream and millisecond share them; `sentry.timestamp.sequence` tells these apart.
    """
    text = f"{identity}\0{entry.timestamp_ms}\0{entry.record.get('reason')}\0{entry.text}"
    return xxhash.xxh3_64_hexdigest(text.encode("utf-8", "surrogatepass"))


def _attributes(
    entry: Entry, fields: Mapping[str, Any], taken: frozenset[str]
) -> Iterator[tuple[str, Attribute]]:
    if entry.execution_id:
        yield "execution_id", _typed(entry.execution_id)
    if entry.lines > 1:
        yield "lines", _typed(entry.lines)
    if entry.kind is not Kind.LOGS:
        yield "kind", _typed(entry.kind.value)
        for name, value in entry.record.items():
            if name not in _IN_OTHER_WORDS and value is not None:
                yield (f"{entry.kind.value[:-1]}.{name}"), _typed(value)
    for name, value in islice(_leaves(fields, "", _DEEPEST), _MOST_FIELDS):
        reserved = name in taken or name in _RESERVED or name.startswith(("sentry.", "shipper."))
        yield (f"fields.{name}" if reserved else name)[:_LONGEST_NAME], _typed(value)


def _leaves(fields: Mapping[str, Any], before: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Fields with dotted names; what lies deeper, and lists, as JSON."""
    for name, value in fields.items():
        if not name:
            continue
        if isinstance(value, Mapping) and depth > 1:
            yield from _leaves(value, f"{before}{name}.", depth - 1)
        elif value is not None:
            yield before + name, value


def _typed(value: object) -> Attribute:
    """A value with its type, as each attribute must have it; an integer of more than 64 bits is a text."""
    match value:
        case bool():
            return {"value": value, "type": "boolean"}
        case int() if -(2**63) <= value < 2**63:
            return {"value": value, "type": "integer"}
        case float() if math.isfinite(value):
            return {"value": value, "type": "double"}
        case str():
            return {"value": cut(value, _LONGEST_VALUE), "type": "string"}
        case Mapping() | list() | tuple():
            return {"value": cut(_json(value), _LONGEST_VALUE), "type": "string"}
        case _:
            return {"value": cut(str(value), _LONGEST_VALUE), "type": "string"}


def _json(value: object) -> str:
    try:
        return orjson.dumps(value).decode()
    except (TypeError, RecursionError):
        return str(value)
