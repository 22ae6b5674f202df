"""The platform events of one app: what GetAppEvents still shows, and what its streams bring."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shipper.emulator.ledger import Happened, Ledger

_TIDY_EVERY = 1000  # observations, so that an emulator which nobody asks for its events forgets them too
_Identity = tuple[str | int, str, str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """One observation of a pod-lifecycle event. `kind` is a wire name, or a number that no descriptor declares."""

    timestamp_ms: int
    kind: str | int
    reason: str
    message: str
    replica_id: str
    count: int
    severity: str


class EventLog:
    """Keeps the last observation of each event for its time to live, and hands every observation to the readers.

    That is how Kubernetes does it: a recurring event is one object whose count and time rise
    (https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/).
    """

    def __init__(self, app: str, ledger: Ledger, ttl_ms: int) -> None:
        self._app = app
        self._ledger = ledger
        self._ttl_ms = ttl_ms
        self._current: dict[int, Event] = {}  # by serial number: in the order of observation
        self._last: dict[_Identity, int] = {}  # the newest serial number of what counts as the same event
        self._serial = 0
        self._readers: set[EventReader] = set()
        self.closed = False

    def add(self, event: Event, *, recurring: bool = False) -> Event:
        """Observe an event. A recurring one that was seen before gets the next count; any other starts anew."""
        identity = (event.kind, event.reason, event.message, event.replica_id)
        seen = self._current.pop(self._last.get(identity, 0), None) if recurring else None
        if seen is not None:
            event = replace(event, count=seen.count + 1)
        self._serial += 1
        self._last[identity] = self._serial
        self._current[self._serial] = event
        if self._serial % _TIDY_EVERY == 0:
            self.current(event.timestamp_ms)
        self._ledger.happen(
            Happened(
                self._app, event.replica_id, event.timestamp_ms, str(event.kind), event.reason, event.message,
                event.count, event.severity,
            )
        )  # fmt: skip
        for reader in self._readers:
            reader.put(event)
        return event

    def current(self, now_ms: int) -> list[Event]:
        """What has not yet passed its time to live, oldest first."""
        oldest = now_ms - self._ttl_ms
        self._current = {
            serial: event for serial, event in self._current.items() if event.timestamp_ms > oldest
        }
        self._last = {identity: serial for identity, serial in self._last.items() if serial in self._current}
        return sorted(self._current.values(), key=lambda event: event.timestamp_ms)

    def reader(self, bell: asyncio.Event) -> EventReader:
        """Follow what is observed from now on."""
        reader = EventReader(self, bell)
        self._readers.add(reader)
        return reader

    def close(self) -> None:
        """The app was deleted: readers end after what they have."""
        self.closed = True
        for reader in self._readers:
            reader.bell.set()


class EventReader:
    """One stream's place in an app's events; the same shape as `history.Source`."""

    def __init__(self, log: EventLog, bell: asyncio.Event) -> None:
        self.bell = bell
        self._log = log
        self._waiting: deque[Event] = deque()

    @property
    def finished(self) -> bool:
        return self._log.closed and not self._waiting

    def put(self, event: Event) -> None:
        """Queue an observation for the stream."""
        self._waiting.append(event)
        self.bell.set()

    def peek(self, limit: int) -> Sequence[Event]:
        return [self._waiting[i] for i in range(min(limit, len(self._waiting)))]

    def advance(self, count: int) -> None:
        for _ in range(count):
            self._waiting.popleft()

    def close(self) -> None:
        self._log._readers.discard(self)
