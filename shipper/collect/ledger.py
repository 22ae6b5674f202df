"""Which events of an app were taken. Pure.

The platform's events have no identity. An event is told by all of its fields: a repeat with a higher `count`
differs and is a new record; the same one, seen on the stream and again by GetAppEvents, does not.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from xxhash import xxh3_64_intdigest

from shipper.ignite.port import Event
from shipper.model import CursorWrite, StoredCursor

KEPT_MS: Final = 2 * 3_600_000  # the platform remembers events for about an hour; clocks may differ
MOST: Final = 50_000  # events of one app: an app in a crash loop makes some thousands an hour
_VERSION: Final = 1


def identify(event: Event) -> int:
    """64 bits over every field."""
    return xxh3_64_intdigest(
        orjson.dumps(
            [
                event.timestamp_ms,
                event.kind,
                event.reason,
                event.message,
                event.replica_id,
                event.count,
                event.severity,
            ]
        )
    )


@dataclass(slots=True)
class EventLedger:
    """The events of one app that were taken, for as long as the platform may show them again.

    `newest` is the newest time taken; events up to `since` happened before anyone followed this app (None: not
    yet known). Both in Unix ms of the platform's clock.
    """

    key: str
    newest: int | None = None
    since: int | None = None
    _seen: dict[int, int] = field(default_factory=dict)

    def take(self, event: Event, now_ms: int) -> bool:
        """Whether the event is new; it is remembered as seen now (our own clock, whatever the event's time
        says).
        """
        identity = identify(event)
        new = identity not in self._seen
        self._seen[identity] = now_ms
        if new:
            self.newest = event.timestamp_ms if self.newest is None else max(self.newest, event.timestamp_ms)
            if len(self._seen) > MOST:
                self._drop_first(MOST // 4)
        return new

    def knows_any(self, events: Iterable[Event]) -> bool:
        """Whether one of these was taken before."""
        return any(identify(event) in self._seen for event in events)

    def forget_unseen(self, now_ms: int) -> None:
        """Drop what the platform has not shown for KEPT_MS. Call after an answer of GetAppEvents was taken."""
        floor = now_ms - KEPT_MS
        self._seen = {identity: seen for identity, seen in self._seen.items() if seen >= floor}

    def _drop_first(self, count: int) -> None:
        """Drop those that were shown longest ago."""
        for identity in sorted(self._seen, key=self._seen.__getitem__)[:count]:
            del self._seen[identity]

    def write(self) -> CursorWrite:
        """What the next commit has to store: a line of JSON, then pairs of identity and time."""
        head = orjson.dumps({"v": _VERSION, "newest": self.newest, "since": self.since})
        pairs = array("Q", self._seen.keys()).tobytes() + array("q", self._seen.values()).tobytes()
        return CursorWrite(self.key, head + b"\n" + pairs)

    @classmethod
    def load(cls, stored: StoredCursor) -> EventLedger:
        """The ledger as it was committed. Raises ValueError for a state that this version cannot read."""
        head, _, pairs = stored.state.partition(b"\n")
        state: dict[str, Any] = orjson.loads(head)
        if state.get("v") != _VERSION:
            raise ValueError(
                f"ledger {stored.key} has version {state.get('v')!r}, this shipper reads {_VERSION}"
            )
        half = len(pairs) // 2
        identities, times = array("Q"), array("q")
        identities.frombytes(pairs[:half])
        times.frombytes(pairs[half:])
        return cls(stored.key, state["newest"], state["since"], dict(zip(identities, times, strict=True)))
