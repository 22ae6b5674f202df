"""Messages in JSON to the port's values, in bulk.

What is accepted is ProtoJSON (https://protobuf.dev/programming-guides/json/), generously: names in camelCase or
snake_case, 64-bit integers as text or numbers, enums by name or number, bytes as standard or URL-safe base64, absent
fields as defaults. Fields that are not known are left alone.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from shipper.ignite.names import EnumNames
from shipper.ignite.port import Event, LogChunk
from shipper.model import App, Replica

Object = Mapping[str, Any]
T = TypeVar("T")

_CAMEL: Final = {
    name: name.split("_")[0] + "".join(part.title() for part in name.split("_")[1:])
    for name in (
        "timestamp_ms", "replica_id", "cluster_id", "node_name", "restart_count", "started_ms", "next_cursor",
        "deploy_id", "build_id", "created_at_ms",
    )
}  # fmt: skip


_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_LONG: Final = 40  # digits; more is no 64-bit number, and costs time to convert
_NUMBERS: Final = frozenset((str, int))
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
    """A repeated message field."""
    value = get(message, name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise NotProtoJson(f"{name} is no list of messages")
    return value


@dataclass(slots=True)
class LogLines:
    """Decodes log lines of one replica; lines of another replica are left out and reported."""

    replica_id: str
    _names: EnumNames = field(default_factory=lambda: EnumNames({}, "LOG_STREAM_", lower=True))

    def chunk(self, messages: Sequence[Object], bad: int = 0) -> LogChunk:
        """The lines of one read. Nearly always all are this replica's and spelled alike: then columns do."""
        try:
            times = [message["timestampMs"] for message in messages]
            lines = [message["line"] for message in messages]
            streams = [message["stream"] for message in messages]
            mine = {message["replicaId"] for message in messages} <= {self.replica_id}
        except (KeyError, TypeError):
            mine = False
        if not mine or not (_TEXTS.issuperset(map(type, lines)) and _TEXTS.issuperset(map(type, streams))):
            return self._one_by_one(messages, bad)
        numbers = _numbers(times)
        if numbers is None:
            return self._one_by_one(messages, bad)
        names = self._names
        return LogChunk(numbers, [names[stream] for stream in streams], lines, undecodable=bad)

    def _one_by_one(self, messages: Sequence[Object], bad: int) -> LogChunk:
        times: list[int] = []
        streams: list[str | None] = []
        lines: list[str] = []
        others: set[str] = set()
        for message in messages:
            try:
                replica = text(message, "replica_id")
                row = (
                    integer(message, "timestamp_ms"),
                    enum(message, "stream", self._names),
                    text(message, "line"),
                )
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


def _numbers(values: Sequence[Any]) -> list[int] | None:
    """All as 64-bit integers, None where one is none."""
    if not _NUMBERS.issuperset(map(type, values)):
        return None
    try:
        numbers = list(map(int, values))
    except ValueError:
        return None
    return numbers if not numbers or (min(numbers) >= _LEAST and max(numbers) <= _MOST) else None


_EVENT_KINDS: Final = EnumNames({}, "APP_EVENT_KIND_")
_STATUSES: Final = EnumNames({}, "")


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
