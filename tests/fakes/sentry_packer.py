"""A packer with everything around it, and what its parcels carry, read strictly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from shipper.entry import Entry
from shipper.sinks.port import Parcel
from shipper.sinks.sentry.envelope import Envelope
from shipper.sinks.sentry.guard import Guard
from shipper.sinks.sentry.issues import IssueWriter
from shipper.sinks.sentry.logs import LogWriter
from shipper.sinks.sentry.options import SentryOptions
from shipper.sinks.sentry.packing import Packer
from tests.servers.sentry_envelope import parse

DSN = "http://key@127.0.0.1/1"


@dataclass
class Packing:
    """A packer and its guard."""

    options: SentryOptions = field(default_factory=lambda: SentryOptions(DSN))

    def __post_init__(self) -> None:
        self.guard = Guard("errors", self.options.issues_per_hour)
        self.packer = Packer(IssueWriter(self.options), LogWriter(self.options), self.guard)

    def pack(self, entries: Sequence[Entry], oldest_ms: float = 0) -> list[Parcel]:
        return list(self.packer.pack(entries, oldest_ms))


def events_of(parcels: Sequence[Parcel]) -> list[dict[str, Any]]:
    """The events in them."""
    return [item.event for item in _envelopes(parcels) if item.item.type == "event"]


def containers_of(parcels: Sequence[Parcel]) -> list[list[dict[str, Any]]]:
    """The logs in them, by container."""
    return [item.logs for item in _envelopes(parcels) if item.item.type == "log"]


def logs_of(parcels: Sequence[Parcel]) -> list[dict[str, Any]]:
    """The logs in them."""
    return [log for container in containers_of(parcels) for log in container]


def _envelopes(parcels: Sequence[Parcel]) -> list[Any]:
    bodies = [parcel.body for parcel in parcels if parcel.body is not None]
    assert all(isinstance(body, Envelope) for body in bodies)
    return [parse(body.data) for body in bodies if isinstance(body, Envelope)]
