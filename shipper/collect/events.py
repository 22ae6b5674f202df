"""An app's events: a stream that has no replay, paired at every (re)connect with GetAppEvents.

The stream is opened first and GetAppEvents is asked then, so that nothing falls between the two; the ledger
drops what both bring. While the stream is silent the question is repeated: the answer brings what a stream that
is open and dead did not, and then the stream is replaced. Where the platform offers only one of the two, that one has
to do.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final

from shipper.archive import codec
from shipper.backoff import Backoff
from shipper.collect.context import Context
from shipper.collect.ledger import EventLedger
from shipper.collect.offers import Denials
from shipper.collect.states import State, still_cut
from shipper.ignite.port import Event, EventPage
from shipper.ignite.status import OK, Action, CallFailed, Code, Status
from shipper.model import App, GapReason, Kind

log = logging.getLogger("shipper.collect")

REMEMBERED_MS: Final = 3_600_000  # the platform forgets events after about an hour
RECHECK_S: Final = 40.0  # with its grace, a dead stream of events is replaced within a minute
OPENS_WITHIN_S: Final = 1.0  # servers may answer only with the first event
GRACE_S: Final = 3.0  # events that happen during a check are still on their way
ONCE_MORE_S: Final = 5.0  # after a denial that is not believed yet
_STREAM, _RECENT = "StreamAppEvents", "GetAppEvents"
_EVER: Final = -(2**63)
_REFUSED: Final = (Action.PARK, Action.STOP)
_DEAD: Final = Status(Code.UNAVAILABLE, "the stream of events is open but dead")


@dataclass(slots=True, eq=False)
class EventSubscription:
    """Follows the events of one app.

    `named` is told the replica_id and time (Unix ms) of every event on the stream, and of those that GetAppEvents
    shows, also again; and whether it happened since the app is followed for certain. `heard` is told the text of every
    event that is taken. `last_data` is when the stream
    last brought something, of the loop's clock.
    """

    kind: ClassVar[Kind] = Kind.EVENTS
    app: App
    ledger: EventLedger
    context: Context
    named: Callable[[str, int, bool], None]
    heard: Callable[[str], None] | None = None
    recheck_s: float = RECHECK_S
    state: State | None = None
    last_data: float = 0.0
    attempts: int = 0
    since: float = 0.0
    cut_at: float | None = None
    ended: Status | None = None
    _taken: int = 0
    _opened: asyncio.Event = field(default_factory=asyncio.Event)
    _denials: dict[str, Denials] = field(default_factory=lambda: {_STREAM: Denials(), _RECENT: Denials()})
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = self.context.backoff()

    @property
    def newest_ms(self) -> int | None:
        return self.ledger.newest

    @property
    def taken(self) -> int:
        return self._taken

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                status = await self._session()
                reason = "stalled" if status is _DEAD else status.action.value
                self.context.meter.count("reconnects_total", 1, Kind.EVENTS.value, reason)
                self.ended = status
                await self._pause(status, loop.time() - began)
        finally:
            self._move(None)

    async def _pause(self, status: Status, healthy_for_s: float) -> None:
        if status.action in _REFUSED:
            if self.state is not State.PARKED:
                log.error("events refused, tried again each minute: %s", status, extra={"app": str(self.app)})
            self._move(State.PARKED)
        else:
            self._move(State.WAITING)
        if status is not _DEAD:
            await asyncio.sleep(self.context.wait_for(status, self._backoff, healthy_for_s))

    async def _session(self) -> Status:
        """One connection: the stream, and beside it GetAppEvents now and whenever the stream is silent for long."""
        if self.state is not State.PARKED:
            self._move(State.OPENING)
        self._opened.clear()
        self.attempts += 1
        async with asyncio.TaskGroup() as tasks:
            follow = tasks.create_task(self._follow(), name=f"event stream of {self.app}")
            try:
                async with asyncio.timeout(OPENS_WITHIN_S):
                    await self._opened.wait()
            except TimeoutError:
                pass
            status = await self._beside(follow)
            follow.cancel()
        if status.code is Code.OK and not follow.cancelled():
            return follow.result()
        return status

    async def _beside(self, follow: asyncio.Task[Status]) -> Status:
        """Compare with GetAppEvents for as long as the stream lasts and the comparison works."""
        status = await self._catch_up(connecting=True)
        while not follow.done():
            if status.action in _REFUSED:
                await self._alone(follow, status)
                status = OK if follow.done() else await self._catch_up(connecting=True)
            elif status.code is Code.OK:
                self._move(State.LIVE)
                await asyncio.wait({follow}, timeout=self.recheck_s)
                if not follow.done():
                    status = await self._recheck()
            else:
                return status
        return OK if status.action in _REFUSED else status

    async def _alone(self, follow: asyncio.Task[Status], refusal: Status) -> None:
        """GetAppEvents is refused: if the stream is not, follow it without, until it may be asked again."""
        await asyncio.wait({follow}, timeout=OPENS_WITHIN_S)
        if follow.done():
            return
        off_s = self.context.offers.off_for(_RECENT, self.app)
        if not off_s and self.state is not State.PARKED:
            log.warning("events are followed without GetAppEvents: %s", refusal, extra={"app": str(self.app)})
        if self._streamless:
            self._move(State.PARKED)
            off_s = off_s or self.context.parked_s
        else:
            if self.ledger.since is None:
                self.ledger.since = self._before(())
            self._move(State.LIVE)
        await asyncio.wait({follow}, timeout=off_s or None)

    @property
    def _streamless(self) -> bool:
        """Whether the platform offers no stream of this app's events."""
        return self.context.offers.off_for(_STREAM, self.app) > 0

    async def _follow(self) -> Status:
        """How the stream ended. One that is not offered is there and silent until it is to be tried again."""
        offers = self.context.offers
        try:
            status = OK if self._streamless else await self._stream()
        finally:
            self._opened.set()
        if off_s := offers.off_for(_STREAM, self.app):
            await asyncio.sleep(off_s)
        return status if status.action is not Action.STOP else OK

    async def _stream(self) -> Status:
        loop = asyncio.get_running_loop()
        try:
            async with self.context.platform.stream_events(self.app) as pages:
                self._opened.set()
                self._answered(_STREAM)
                async for page in pages:
                    self._take(page)
                    self._name(page.events)
                    await self.context.intake.admit()
                    self.last_data = loop.time()
        except CallFailed as error:
            return self._failed(
                _STREAM, error.status, "events are asked for with GetAppEvents, again and again"
            )
        return OK

    def _answered(self, call: str) -> None:
        self.context.offers.grant(call, self.app)
        self._denials[call].answered()

    def _failed(self, call: str, status: Status, without: str) -> Status:
        """What is to be done about a failure. A denial that is not believed yet is one that may pass."""
        if status.action is not Action.STOP:
            return status
        if not self._denials[call].believe(status):
            return replace(status, code=Code.UNAVAILABLE, retry_after_s=ONCE_MORE_S)
        self.context.offers.refuse(call, self.app, status, without)
        return status

    async def _recheck(self) -> Status:
        """Compare once more. What only GetAppEvents brings, also not a moment later the stream, shows it dead."""
        loop = asyncio.get_running_loop()
        began, taken = loop.time(), self._taken
        status = await self._catch_up(connecting=False)
        if status.code is not Code.OK or self._taken == taken or self._streamless:
            return status
        await asyncio.sleep(GRACE_S)
        if self.last_data >= began or self.context.intake.holding:
            return status
        log.warning("stream of events is open but dead: replaced", extra={"app": str(self.app)})
        return _DEAD

    async def _catch_up(self, *, connecting: bool) -> Status:
        offers = self.context.offers
        if offers.off_for(_RECENT, self.app):
            return offers.refused[_RECENT][self.app]
        try:
            page = await self.context.platform.get_events(self.app)
        except CallFailed as error:
            return self._failed(_RECENT, error.status, "events are followed without it")
        self._answered(_RECENT)
        ledger = self.ledger
        if page.truncated and not self._reaches(page.events, connecting=connecting):
            self._truncated(page.events)
        if ledger.since is None:
            ledger.since = self._before(page.events)
            self.context.intake.touch(ledger)
        self._take(page)
        for event in page.events:
            if event.timestamp_ms > ledger.since:
                self.named(event.replica_id, event.timestamp_ms, True)
        ledger.forget_unseen(self.context.now_ms())
        return OK

    def _before(self, events: Sequence[Event]) -> int:
        """What of these happened before anyone followed this app: all of it."""
        return max((event.timestamp_ms for event in events), default=_EVER)

    def _reaches(self, events: Sequence[Event], *, connecting: bool) -> bool:
        """Whether an answer that was cut reaches from what had been taken to now. Which end the platform cuts is
        not documented; after a break an answer that ends before what had been taken is cut at the new end.
        """
        if not self.ledger.knows_any(events):
            return False
        newest = self.ledger.newest
        return not connecting or newest is None or max(event.timestamp_ms for event in events) >= newest

    def _take(self, page: EventPage) -> None:
        repeats, now = 0, self.context.now_ms()
        for event in page.events:
            if self.ledger.take(event, now):
                self.context.intake.take_event(self.app, event.timestamp_ms, self._encode(event), self.ledger)
                self._taken += 1
                if self.heard is not None:
                    self.heard(event.message)
            else:
                repeats += 1
        if repeats:
            self.context.meter.count("duplicates_suppressed_total", repeats, Kind.EVENTS.value)
        if page.undecodable:
            self._undecodable(page.undecodable)

    def _name(self, events: Sequence[Event]) -> None:
        since = self.ledger.since
        for event in events:
            self.named(event.replica_id, event.timestamp_ms, since is not None and event.timestamp_ms > since)

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
        times = [event.timestamp_ms for event in events] or [self.context.now_ms()]
        newest = self.ledger.newest
        since = min(times) - REMEMBERED_MS if newest is None else newest
        self.context.intake.gap(
            self.app,
            GapReason.TRUNCATED,
            since,
            max(since, min(times)) if newest is None or min(times) > newest else self.context.now_ms(),
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
        if state is not self.state:
            self.context.states.move(Kind.EVENTS, self.state, state)
            self.state, self.since = state, asyncio.get_running_loop().time()
            self.cut_at = still_cut(state, self.cut_at, self.since)
