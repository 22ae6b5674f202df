"""`shipper ignite events`: what the platform observes of an app's replicas."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shipper.archive.codec import encode_event
from shipper.ignite.port import Event, Platform
from shipper.ignite.status import OK, Action, CallFailed, Status
from shipper.inspect.showing import Screen, moment, safe, table
from shipper.inspect.trouble import ended
from shipper.model import App

AGAIN_S: Final = 1.0
_HEAD: Final = ("TIME", "SEVERITY", "REASON", "REPLICA", "COUNT", "MESSAGE")


@dataclass(slots=True)
class Events:
    """An app's events, of one replica and one severity if these are named. Each method raises CallFailed."""

    platform: Platform
    app: App
    screen: Screen
    replica_id: str = ""
    severity: str = ""

    async def recent(self, limit: int | None) -> None:
        """Print what the platform remembers, by time, not more than the newest `limit`."""
        page = await self.platform.get_events(self.app)
        events = sorted(self._wanted(page.events), key=lambda event: event.timestamp_ms)
        cut = limit is not None and len(events) > limit
        if limit is not None and cut:
            events = events[len(events) - limit :]
        self._show(events, head=True)
        if page.truncated or cut:
            self.screen.warn("there are more events than are shown")

    async def follow(self, *, from_start: bool) -> None:
        """Print what happens from now on (after what is remembered, if asked for), for ever."""
        if from_start:
            await self.recent(None)
        while True:
            status = await self._stream()
            if status.action in (Action.PARK, Action.STOP, Action.GONE):
                raise CallFailed(status)
            self.screen.warn(
                f"stream of events ended ({ended(status)}), opened again: events may be missing here"
            )
            await asyncio.sleep(AGAIN_S)

    async def _stream(self) -> Status:
        try:
            async with self.platform.stream_events(self.app) as pages:
                async for page in pages:
                    self._show(list(self._wanted(page.events)), head=False)
        except CallFailed as failure:
            return failure.status
        return OK

    def _wanted(self, events: Iterable[Event]) -> Iterable[Event]:
        severity = self.severity.lower()
        return (
            event
            for event in events
            if self.replica_id in ("", event.replica_id) and severity in ("", event.severity.lower())
        )

    def _show(self, events: Sequence[Event], *, head: bool) -> None:
        if self.screen.json:
            self.screen.records(b"".join(map(self._json, events)))
        elif head:
            self.screen.write(table(_HEAD, map(_row, events)))
        else:
            self.screen.write("  ".join(safe(cell) or "-" for cell in _row(event)) for event in events)

    def _json(self, event: Event) -> bytes:
        return encode_event(
            self.app,
            timestamp_ms=event.timestamp_ms,
            replica_id=event.replica_id,
            kind=event.kind,
            reason=event.reason,
            message=event.message,
            count=event.count or None,
            severity=event.severity,
        )


def _row(event: Event) -> tuple[str, ...]:
    return (
        moment(event.timestamp_ms),
        event.severity,
        event.reason or event.kind,
        event.replica_id,
        str(event.count or 1),
        event.message,
    )
