"""Bytes of messages to the port's values, in bulk; the hot path of every log line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.message import DecodeError

from shipper.ignite.framing import Messages
from shipper.ignite.names import EnumNames
from shipper.ignite.port import Event, EventPage, LogChunk
from shipper.ignite.twin import Twin
from shipper.model import App, Replica

_COLUMNS: Final = ("timestamp_ms", "replica_id", "stream", "line")
_BARE: Final = (
    64  # bytes of a log message without its text and its replica_id: times, enums and tags need fewer
)


@dataclass(slots=True)
class LogDecoder:
    """Decodes log lines of one replica. Lines of another replica than `replica_id` are left out and reported.

    Lines that name no replica count as this one's, unless `strict`.
    """

    twin: Twin
    replica_id: str
    strict: bool = False
    names: EnumNames | None = None  # of the twin's streams, where many decoders share them
    _names: EnumNames = field(init=False)

    def __post_init__(self) -> None:
        self._names = log_names(self.twin) if self.names is None else self.names

    def decode(self, messages: Messages) -> LogChunk:
        """All lines of one read.

        Messages of one type laid end to end are one message whose fields repeat, so one call parses them into
        columns. That holds where each message has each field once; proto3 leaves zeros and empty texts out, which
        shows in the columns' lengths.
        """
        try:
            chunk = self._columns(messages)
        except DecodeError:
            chunk = None
        return self._one_by_one(messages) if chunk is None else chunk

    def rows(self, items: Iterable[Any], undecodable: int = 0) -> LogChunk:
        """Log messages that are decoded already, with texts of either kind."""
        kept: list[Any] = []
        others: set[str] = set()
        for item in items:
            name = text(item.replica_id)
            if name == self.replica_id or (not name and not self.strict):
                kept.append(item)
            elif name:
                others.add(name)
        return LogChunk(
            times=[item.timestamp_ms for item in kept],
            streams=[self._names[item.stream] for item in kept],
            lines=[_line(item.line) for item in kept],
            others=frozenset(others),
            undecodable=undecodable,
        )

    def _columns(self, messages: Messages) -> LogChunk | None:
        """The lines of messages that are all complete and this replica's own; None where they are not."""
        bodies, count = messages.bodies, len(messages.bodies)
        table = self.twin.columns.FromString(b"".join(bodies))
        columns = times, replicas, streams, lines = [getattr(table, name)[:] for name in _COLUMNS]
        if {len(column) for column in columns} != {count}:
            self._put_back(bodies, columns)
            if {len(column) for column in columns} != {count}:
                return None
        if replicas.count(self.replica_id) != count:
            return None
        names = self._names
        return LogChunk(times, [names[stream] for stream in streams], lines, undecodable=messages.bad)

    def _put_back(self, bodies: Sequence[bytes], columns: Sequence[list[Any]]) -> None:
        """Insert the zeros and empty texts that the wire leaves out. Only short messages are looked at: an empty
        line is common, and what else may be left out is rare enough for the slow way.
        """
        short = _BARE + len(self.replica_id)
        for index, body in enumerate(bodies):
            if len(body) > short:
                continue
            item = self.twin.text.FromString(body)
            for name, column in zip(_COLUMNS, columns, strict=True):
                value = getattr(item, name)
                if not value:
                    column.insert(index, value)

    def _one_by_one(self, messages: Messages) -> LogChunk:
        """For a read with text that is not UTF-8, with garbage, or with another replica's lines."""
        items = [message(self.twin, body) for body in messages.bodies]
        good = [item for item in items if item is not None]
        return self.rows(good, messages.bad + len(items) - len(good))


def log_names(twin: Twin) -> EnumNames:
    """What a log message's streams are called."""
    return EnumNames(twin.enums.get("stream", {}), "LOG_STREAM_", lower=True)


@dataclass(slots=True)
class EventDecoder:
    """Decodes events."""

    twin: Twin
    _names: EnumNames = field(init=False)

    def __post_init__(self) -> None:
        self._names = EnumNames(self.twin.enums.get("kind", {}), "APP_EVENT_KIND_")

    def decode(self, messages: Messages) -> EventPage:
        """Events of one read of a stream."""
        items = [message(self.twin, body) for body in messages.bodies]
        good = [item for item in items if item is not None]
        return EventPage(self.rows(good), undecodable=messages.bad + len(items) - len(good))

    def rows(self, items: Iterable[Any]) -> tuple[Event, ...]:
        """Event messages that are decoded already."""
        return tuple(self._event(item) for item in items)

    def _event(self, item: Any) -> Event:
        return Event(
            timestamp_ms=item.timestamp_ms,
            kind=self._names[item.kind] or "",
            reason=text(item.reason),
            message=text(item.message),
            replica_id=text(item.replica_id),
            count=item.count,
            severity=text(item.severity),
        )


def replicas(twin: Twin, app: App, rows: Iterable[Any]) -> list[Replica]:
    """The rows of ListAppReplicas."""
    names = EnumNames(twin.enums.get("status", {}), "")
    return [
        Replica(
            app=app,
            replica_id=text(row.replica_id),
            cluster_id=text(row.cluster_id),
            node_name=text(row.node_name),
            status=names[row.status] or "",
            ready=row.ready,
            restart_count=row.restart_count,
            started_ms=row.started_ms,
        )
        for row in rows
    ]


def text(value: str | bytes) -> str:
    """Names are text whatever the field's type; what is not UTF-8 becomes U+FFFD."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _line(value: str | bytes) -> str | bytes:
    """A line stays bytes only where it is not UTF-8."""
    if isinstance(value, str):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def message(twin: Twin, body: bytes) -> Any | None:
    """One message, with texts as bytes where they are not UTF-8; None where it is garbage."""
    for form in (twin.text, twin.raw):
        try:
            return form.FromString(body)
        except DecodeError:
            continue
    return None
