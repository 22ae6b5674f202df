"""An app's events: a stream that has no replay, paired at every (re)connect with GetAppEvents.

The stream is opened first and GetAppEvents is asked then, so that nothing falls between the two; the ledger
drops what both bring.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from shipper.archive import codec
from shipper.backoff import Backoff
from shipper.collect.context import Context
from shipper.collect.ledger import EventLedger
from shipper.collect.states import State
from shipper.ignite.port import Event, EventPage
from shipper.ignite.status import OK, Action, CallFailed, Code, Status
from shipper.model import App, GapReason, Kind

log = logging.getLogger("shipper.collect")

REMEMBERED_MS: Final = 3_600_000  # the platform forgets events after about an hour
RECHECK_S: Final = 60.0  # a silent stream of events is compared with GetAppEvents that often


@dataclass(slots=True, eq=False)
class EventSubscription:
    """Follows the events of one app. `named` is told the replica_id and time (Unix ms) of every new event."""

    app: App
    ledger: EventLedger
    context: Context
    named: Callable[[str, int], None]
    recheck_s: float = RECHECK_S
    state: State | None = None
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = self.context.backoff()

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                status = await self._session()
                self.context.meter.count("reconnects_total", 1, Kind.EVENTS.value, status.action.value)
                await self._pause(status, loop.time() - began)
        finally:
            self._move(None)

    async def _pause(self, status: Status, healthy_for_s: float) -> None:
        if status.action in (Action.PARK, Action.STOP):
            if self.state is not State.PARKED:
                log.error("events refused, tried again each minute: %s", status, extra={"app": str(self.app)})
            self._move(State.PARKED)
        else:
            self._move(State.WAITING)
        await asyncio.sleep(self.context.wait_for(status, self._backoff, healthy_for_s))

    async def _session(self) -> Status:
        """One connection: the stream, and beside it GetAppEvents now and whenever the stream is silent for long."""
        if self.state is not State.PARKED:
            self._move(State.OPENING)
        async with asyncio.TaskGroup() as tasks:
            follow = tasks.create_task(self._follow(), name=f"event stream of {self.app}")
            status = await self._beside(follow)
            follow.cancel()
        return status if follow.cancelled() else follow.result()

    async def _beside(self, follow: asyncio.Task[Status]) -> Status:
        """Compare with GetAppEvents for as long as the stream lasts and the comparison works."""
        status = await self._catch_up()
        while status.code is Code.OK and not follow.done():
            self._move(State.LIVE)
            await asyncio.wait({follow}, timeout=self.recheck_s)
            if not follow.done():
                status = await self._catch_up()
        return status

    async def _follow(self) -> Status:
        try:
            async with self.context.platform.stream_events(self.app) as pages:
                async for page in pages:
                    self._take(page)
                    await self.context.intake.admit()
        except CallFailed as error:
            return error.status
        return OK

    async def _catch_up(self) -> Status:
        try:
            page = await self.context.platform.get_events(self.app)
        except CallFailed as error:
            return error.status
        if page.truncated and not self.ledger.knows_any(page.events):
            self._truncated(page.events)
        self._take(page)
        self.ledger.forget_unseen(self.context.now_ms())
        return OK

    def _take(self, page: EventPage) -> None:
        repeats, now = 0, self.context.now_ms()
        for event in page.events:
            if self.ledger.take(event, now):
                self.context.intake.take_event(self.app, event.timestamp_ms, self._encode(event), self.ledger)
                self.named(event.replica_id, event.timestamp_ms)
            else:
                repeats += 1
        if repeats:
            self.context.meter.count("duplicates_suppressed_total", repeats, Kind.EVENTS.value)
        if page.undecodable:
            self._undecodable(page.undecodable)

    def _encode(self, event: Event) -> bytes:
        return codec.encode_event(
            self.app,
            timestamp_ms=event.timestamp_ms,
            replica_id=event.replica_id,
            kind=event.kind,
            reason=event.reason,
            message=event.message,
            count=event.count or None,
            severity=event.severity,
        )

    def _truncated(self, events: Sequence[Event]) -> None:
        oldest = min((event.timestamp_ms for event in events), default=self.context.now_ms())
        self.context.intake.gap(
            self.app,
            GapReason.TRUNCATED,
            self.ledger.newest if self.ledger.newest is not None else oldest - REMEMBERED_MS,
            oldest,
            kind=Kind.EVENTS,
            detail="GetAppEvents was cut before it reached what had been taken",
        )

    def _undecodable(self, count: int) -> None:
        self.context.meter.count("undecodable_messages_total", count, Kind.EVENTS.value)
        now = self.context.now_ms()
        self.context.intake.gap(
            self.app,
            GapReason.UNDECODABLE,
            min(self.ledger.newest if self.ledger.newest is not None else now, now),
            now,
            kind=Kind.EVENTS,
            detail="messages that are not what the server's descriptor says were left out",
            lost=count,
        )

    def _move(self, state: State | None) -> None:
        self.context.states.move(Kind.EVENTS, self.state, state)
        self.state = state
