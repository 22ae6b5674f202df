"""Platform events for Datadog's Events API (v1), by the model of its own client.

Importing this loads the client: 4 MB and some 40 ms, which only a sink that sends such events spends. The client
builds and checks the request; it is sent like the logs are, because the client's own HTTP cannot be cancelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final, Literal

import orjson
from datadog_api_client.v1.model.event_alert_type import EventAlertType
from datadog_api_client.v1.model.event_create_request import EventCreateRequest
from datadog_api_client.v1.model.event_priority import EventPriority

from shipper.entry import Entry, Level
from shipper.sinks.datadog.body import RESTAMPED, Body, Destination
from shipper.sinks.datadog.facts import event_level, event_name, event_text, moment
from shipper.sinks.datadog.labels import Labels, identity_of, rendered, showable
from shipper.sinks.datadog.late import Window
from shipper.sinks.port import Parcel

LONGEST_TEXT: Final = (
    4000  # https://docs.datadoghq.com/api/latest/events/#post-an-event, as are the other limits
)
LONGEST_KEY: Final = 100
_LONGEST_TITLE: Final = 100
_DIGEST_BYTES: Final = 8
_QUIET: Final = (Level.TRACE, Level.DEBUG, Level.INFO)

_ALERTS: Final = {
    Level.TRACE: EventAlertType.INFO,
    Level.DEBUG: EventAlertType.INFO,
    Level.INFO: EventAlertType.INFO,
    Level.WARN: EventAlertType.WARNING,
    Level.ERROR: EventAlertType.ERROR,
    Level.FATAL: EventAlertType.ERROR,
}


class EventPacker:
    """Packs platform events, each as a request of its own: the API takes no more at once."""

    def __init__(
        self, labels: Labels, source: str, late: Literal["restamp", "drop"], clock: Callable[[], float]
    ) -> None:
        self._labels: Final = labels
        self._source: Final = source
        self._late: Final = late
        self._clock: Final = clock

    def pack(self, entries: Sequence[Entry]) -> Iterator[Parcel]:
        """The entries as parcels; see `RecordSink.pack`."""
        for index, entry in enumerate(entries):
            yield self._parcel(index, entry)

    def _parcel(self, index: int, entry: Entry) -> Parcel:
        window = Window(self._clock())
        stamp_ms: int | None = None
        if not window.oldest_ms <= entry.timestamp_ms <= window.newest_ms:
            if self._late == "drop":
                why = window.why_outside(entry.timestamp_ms)
                return Parcel(index, index + 1, index + 1, None, {why: entry.lines}, sort="events")
            stamp_ms = window.now_ms
        body = event_body(event_request(entry, self._labels, self._source, stamp_ms))
        altered = {} if stamp_ms is None else {RESTAMPED: entry.lines}
        return Parcel(index, index + 1, index + 1, Body(Destination.EVENTS, body), {}, altered, "events")


def event_request(
    entry: Entry, labels: Labels, source: str, stamp_ms: int | None = None
) -> EventCreateRequest:
    """An event. `stamp_ms` is its time in place of its own, which then stands in the text."""
    identity = identity_of(entry)
    level = event_level(entry)
    text = event_text(entry)
    if stamp_ms is not None:
        text += f"\n(happened at {moment(entry.timestamp_ms)}, and was late here)"
    optional: dict[str, Any] = {}
    if host := labels.hostname(identity):
        optional["host"] = showable(host)
    return EventCreateRequest(
        title=shortened(showable(f"{identity.replica or identity.app}: {event_name(entry)}"), _LONGEST_TITLE),
        text=shortened(showable(text), LONGEST_TEXT),
        aggregation_key=aggregation_key(identity.organization, identity.app, identity.replica),
        alert_type=_ALERTS[level],
        priority=EventPriority.LOW if level in _QUIET else EventPriority.NORMAL,
        date_happened=(entry.timestamp_ms if stamp_ms is None else stamp_ms) // 1000,
        tags=[showable(tag) for tag in labels.tags(identity)],
        source_type_name=rendered(source, identity._asdict()),
        **optional,
    )


def event_body(request: EventCreateRequest) -> bytes:
    """The request as JSON."""
    return orjson.dumps(request.to_dict())


def aggregation_key(organization: str, app: str, replica: str) -> str:
    """What Datadog groups events by: the replica they are about, as its agent does by a pod's uid; else the app."""
    key = showable("/".join(("ignite", organization, app, *([replica] if replica else []))))
    if len(key) <= LONGEST_KEY:
        return key
    digest = blake2b(key.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{key[: LONGEST_KEY - len(digest) - 1]}~{digest}"


def shortened(text: str, longest: int) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
