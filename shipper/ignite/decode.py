"""Bytes of messages to the port's values, in bulk; the hot path of every log line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import DecodeError

from shipper.ignite.contract import Twin
from shipper.ignite.framing import Messages, split
from shipper.ignite.port import Event, EventPage, LogChunk
from shipper.model import App, Replica

_STREAM_PREFIX: Final = "LOG_STREAM_"
_KIND_PREFIX: Final = "APP_EVENT_KIND_"
_UNSPECIFIED: Final = "UNSPECIFIED"


class EnumNames(dict[int, str | None]):
    """Number to the archive's name: the wire name without its prefix; an unknown number as it came;
    unspecified is None.
    """

    def __init__(self, table: Mapping[int, str], prefix: str, *, lower: bool = False) -> None:
        super().__init__({0: None})
        for number, name in table.items():
            short = name.removeprefix(prefix)
            if number == 0 and short.endswith(_UNSPECIFIED):
                continue
            self[number] = short.lower() if lower else short

    def __missing__(self, number: int) -> str:
        return str(number)


def stream_names(twin: Twin) -> EnumNames:
    """`LOG_STREAM_STDOUT` is `stdout` in the archive."""
    return EnumNames(twin.enums.get("stream", {}), _STREAM_PREFIX, lower=True)


@dataclass(slots=True)
class LogDecoder:
    """Decodes log lines of one replica. Lines of another replica than `replica_id` are left out and reported."""

    twin: Twin
    replica_id: str
    names: EnumNames = field(init=False)

    def __post_init__(self) -> None:
        self.names = stream_names(self.twin)

    def decode(self, messages: Messages) -> LogChunk:
        """All lines of one read."""
        try:
            return self.chunk(self.twin.texts.FromString(messages.wrapped).items, messages.bad)
        except DecodeError:
            return self._one_by_one(messages)

    def chunk(self, items: Any, undecodable: int = 0) -> LogChunk:
        """Decoded items as columns."""
        mine = self.replica_id
        others: frozenset[str] = frozenset()
        if not all(item.replica_id == mine for item in items):
            others = frozenset(_text(item.replica_id) for item in items) - {mine, ""}
            items = [item for item in items if _text(item.replica_id) in (mine, "")]
        names = self.names
        return LogChunk(
            times=[item.timestamp_ms for item in items],
            streams=[names[item.stream] for item in items],
            lines=[item.line for item in items],
            others=others,
            undecodable=undecodable,
        )

    def _one_by_one(self, messages: Messages) -> LogChunk:
        """For a read that does not parse as a whole: text that is not UTF-8, or a message that is garbage."""
        items: list[Any] = []
        bad = messages.bad
        for message in split(messages.wrapped):
            try:
                items.append(self.twin.text.FromString(message))
            except DecodeError:
                try:
                    items.append(self.twin.raw.FromString(message))
                except DecodeError:
                    bad += 1
        return self.chunk(items, bad)


def events(twin: Twin, messages: Messages) -> EventPage:
    """Events of one read of a stream."""
    bad = messages.bad
    items: list[Any] = []
    for message in split(messages.wrapped):
        try:
            items.append(twin.text.FromString(message))
        except DecodeError:
            try:
                items.append(twin.raw.FromString(message))
            except DecodeError:
                bad += 1
    return EventPage(tuple(event(twin, item) for item in items), undecodable=bad)


def event(twin: Twin, item: Any) -> Event:
    """One decoded AppEvent."""
    names = EnumNames(twin.enums.get("kind", {}), _KIND_PREFIX)
    return Event(
        timestamp_ms=item.timestamp_ms,
        kind=names[item.kind] or "",
        reason=_text(item.reason),
        message=_text(item.message),
        replica_id=_text(item.replica_id),
        count=item.count,
        severity=_text(item.severity),
    )


def replica(twin: Twin, app: App, row: Any) -> Replica:
    """One row of ListAppReplicas."""
    names = EnumNames(twin.enums.get("status", {}), "")
    return Replica(
        app=app,
        replica_id=_text(row.replica_id),
        cluster_id=_text(row.cluster_id),
        node_name=_text(row.node_name),
        status=names[row.status] or "",
        ready=row.ready,
        restart_count=row.restart_count,
        started_ms=row.started_ms,
    )


def _text(value: str | bytes) -> str:
    """Names are text whatever the field's type; what is not UTF-8 becomes U+FFFD."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
