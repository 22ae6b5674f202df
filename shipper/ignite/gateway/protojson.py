"""Messages in JSON to the port's values, in bulk.

What is accepted is ProtoJSON (https://protobuf.dev/programming-guides/json/), generously: names in camelCase or
snake_case, 64-bit integers as text or numbers, enums by name or number, bytes as standard or URL-safe base64, absent
fields as defaults. Fields that are not known are left alone.

JSON has names, so nothing here is checked for plausibility. Only an enum's number needs a table: that of the bundled
.proto, whose numbers are mostly guessed; one that it lacks is kept as it came. By ProtoJSON's rules a server sends
numbers only for values that its own table has no name for.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from shipper.ignite.names import EnumNames
from shipper.ignite.pb import ignite_compute_pb2
from shipper.ignite.port import Event, LogChunk
from shipper.model import App, Replica

Object = Mapping[str, Any]
T = TypeVar("T")


def enum_names(enum: str, prefix: str, *, lower: bool = False) -> EnumNames:
    """The names of an enum of the bundled .proto."""
    values = ignite_compute_pb2.DESCRIPTOR.enum_types_by_name[enum].values
    return EnumNames({value.number: value.name for value in values}, prefix, lower=lower)


_STREAMS: Final = enum_names("LogStream", "LOG_STREAM_", lower=True)
_EVENT_KINDS: Final = enum_names("AppEventKind", "APP_EVENT_KIND_")
_STATUSES: Final = enum_names("ReplicaStatus", "")

_CAMEL: Final = {
    name: name.split("_")[0] + "".join(part.title() for part in name.split("_")[1:])
    for name in (
        "timestamp_ms", "replica_id", "cluster_id", "node_name", "restart_count", "started_ms", "next_cursor",
        "deploy_id", "build_id", "created_at_ms", "image_ref", "app_name",
    )
}  # fmt: skip


_SNAKES: Final = ("timestamp_ms", "replica_id")
_LINE_FIELDS: Final = frozenset(("timestampMs", "replicaId", "stream", "line", *_SNAKES))
_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_LONG: Final = 40  # digits; more is no 64-bit number, and costs time to convert
_NUMBERS: Final = frozenset((str, int))
_NAMES: Final = _NUMBERS  # of enum values
_TEXTS: Final = frozenset((str,))


class NotProtoJson(ValueError):
    """A value is not what its field says."""


def get(message: Object, name: str) -> Any:
    """A field by its proto name, None where it is absent (or null, which means the same)."""
    value = message.get(_CAMEL.get(name, name))
    return message.get(name) if value is None else value


def text(message: Object, name: str) -> str:
    """A text field."""
    value = get(message, name)
    if value is None:
        return ""
    if isinstance(value, bytes):  # no Unicode: see `parsing`
        return value.decode("utf-8", "replace")
    if not isinstance(value, str):
        raise NotProtoJson(f"{name} is {type(value).__name__}, not a text")
    return value


def integer(message: Object, name: str) -> int:
    """An integer field of any size. An exponent or a zero fraction is still an integer."""
    value = get(message, name)
    if value is None:
        return 0
    number = _whole(value)
    if number is None or not _LEAST <= number <= _MOST:
        raise NotProtoJson(f"{name} is no 64-bit integer")
    return number


def _whole(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        if isinstance(value, str):
            return int(value) if len(value) < _LONG else None
        if isinstance(value, float):
            return int(value) if value.is_integer() else None
    except (ValueError, OverflowError):
        return None
    return value if isinstance(value, int) else None


def flag(message: Object, name: str) -> bool:
    """A boolean field."""
    value = get(message, name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise NotProtoJson(f"{name} is no boolean")
    return value


def data(message: Object, name: str) -> bytes:
    """A bytes field."""
    value = get(message, name)
    if value is None:
        return b""
    if not isinstance(value, str):
        raise NotProtoJson(f"{name} is {type(value).__name__}, not base64")
    standard = value.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise NotProtoJson(f"{name} is not base64") from None


def enum(message: Object, name: str, names: EnumNames) -> str | None:
    """An enum field, as the archive writes it."""
    value = get(message, name)
    if value is None:
        return None
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise NotProtoJson(f"{name} is {type(value).__name__}, not an enum")
    return names[value]


def rows(message: Object, name: str) -> list[dict[str, Any]]:
    """A repeated message field; or what an envelope holds, where that is the list itself."""
    value = get(message, name)
    if value is None:
        value = message.get("data") or []
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise NotProtoJson(f"{name} is no list of messages")
    return value


@dataclass(slots=True)
class LogLines:
    """Decodes log lines of one replica; lines of another replica are left out and reported."""

    replica_id: str

    def chunk(self, messages: Sequence[Object], bad: int = 0) -> LogChunk:
        """The lines of one read. Nearly always all are this replica's and spelled alike: then columns do."""
        columns = self._columns(messages) if messages else None
        if columns is None:
            return self._one_by_one(messages, bad)
        times, streams, lines = columns
        return LogChunk(times, [_STREAMS[stream] for stream in streams], lines, undecodable=bad)

    def _columns(self, messages: Sequence[Object]) -> tuple[list[int], list[str | int], list[str]] | None:
        time, replica = ("timestampMs", "replicaId") if "timestampMs" in messages[0] else _SNAKES
        try:
            if {message[replica] for message in messages} != {self.replica_id}:
                return None
            times = _numbers([message[time] for message in messages])
        except (KeyError, TypeError):  # TypeError: a list or so where an id belongs
            return None
        streams, lines = _column(messages, "stream", 0), _column(messages, "line", "")
        understood = times is not None and _NAMES.issuperset(map(type, streams))
        if times is None or not (understood and _TEXTS.issuperset(map(type, lines))):
            return None
        return times, streams, lines

    def _one_by_one(self, messages: Sequence[Object], bad: int) -> LogChunk:
        times: list[int] = []
        streams: list[str | None] = []
        lines: list[str | bytes] = []
        others: set[str] = set()
        for message in messages:
            if _LINE_FIELDS.isdisjoint(message):
                bad += bool(message)  # an empty one keeps a connection alive
                continue
            try:
                replica = text(message, "replica_id")
                row = integer(message, "timestamp_ms"), enum(message, "stream", _STREAMS), _line(message)
            except NotProtoJson:
                bad += 1
                continue
            if replica not in ("", self.replica_id):
                others.add(replica)
                continue
            times.append(row[0])
            streams.append(row[1])
            lines.append(row[2])
        return LogChunk(times, streams, lines, frozenset(others), bad)


def _column(messages: Sequence[Object], name: str, absent: str | int) -> list[Any]:
    """One field of all messages."""
    try:
        return [message[name] for message in messages]
    except KeyError:  # a default that is left out: an empty line is common
        return [message.get(name, absent) for message in messages]


def _line(message: Object) -> str | bytes:
    line = message.get("line")
    if line is not None and not isinstance(line, str | bytes):
        raise NotProtoJson(f"line is {type(line).__name__}, not a text")
    return line or ""


def _numbers(values: Sequence[Any]) -> list[int] | None:
    """All as 64-bit integers, None where one is none."""
    if not _NUMBERS.issuperset(map(type, values)):
        return None
    try:
        numbers = list(map(int, values))
    except ValueError:
        return None
    return numbers if not numbers or (min(numbers) >= _LEAST and max(numbers) <= _MOST) else None


def event(message: Object) -> Event:
    """One platform event; raises NotProtoJson."""
    return Event(
        timestamp_ms=integer(message, "timestamp_ms"),
        kind=enum(message, "kind", _EVENT_KINDS) or "",
        reason=text(message, "reason"),
        message=text(message, "message"),
        replica_id=text(message, "replica_id"),
        count=integer(message, "count"),
        severity=text(message, "severity"),
    )


def replica(app: App) -> Callable[[Object], Replica]:
    """Decodes a row of ListAppReplicas; raises NotProtoJson."""

    def decode(message: Object) -> Replica:
        return Replica(
            app=app,
            replica_id=text(message, "replica_id"),
            cluster_id=text(message, "cluster_id"),
            node_name=text(message, "node_name"),
            status=enum(message, "status", _STATUSES) or "",
            ready=flag(message, "ready"),
            restart_count=integer(message, "restart_count"),
            started_ms=integer(message, "started_ms"),
        )

    return decode


def each(decode: Callable[[Object], T], messages: Iterable[Object]) -> tuple[list[T], int]:
    """What can be decoded, and how many cannot."""
    good: list[T] = []
    bad = 0
    for message in messages:
        try:
            good.append(decode(message))
        except NotProtoJson:
            bad += 1
    return good, bad
