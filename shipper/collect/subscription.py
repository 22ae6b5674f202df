"""One replica's log stream, kept open: replay, live, reconnect, and the last read when the replica is gone.

run ──▶ session ──▶ session ──▶ … ──▶ farewell
         │ one connection: begin the cursor, take chunks until the stream ends
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from shipper.backoff import Backoff
from shipper.collect.context import Context
from shipper.collect.cursor import Cursor
from shipper.collect.looks import LEAVING_EVERY_S, Looks
from shipper.collect.offers import Denials
from shipper.collect.recent import CALL as GET_LOGS
from shipper.collect.recent import WITHOUT, RecentLines
from shipper.collect.states import State, still_cut
from shipper.collect.taker import Taker
from shipper.ignite.port import LogChunk, LogPage
from shipper.ignite.status import OK, Action, CallFailed, Code, Status
from shipper.model import Kind, Replica

log = logging.getLogger("shipper.collect")

SETTLED: Final = "settled"  # why a stream is given up that stays open though its replica is gone
PROOF_S: Final = 60.0  # where streams do not end: one that was alive so shortly before has missed nothing
LEAVE_S: Final = 30.0  # how long a stream that was cut is tried again after its replica left
AT_WORK_S: Final = 1.0  # a stream that brought lines is opened again within that: its replica may go
LOOK_AGAIN_S: Final = 5.0  # how long a subscription waits for a fresh listing before it opens anew
STREAM_LOGS: Final = "StreamAppLogs"
_LAST_LOOKS: Final = 3
_WHY_ENDED: Final = {SETTLED: "done", "half_open": "stalled", "starved": "stalled"}
_REFUSED: Final = (Action.PARK, Action.STOP)


class Discovery(Protocol):
    """What a subscription asks of whoever lists the replicas."""

    async def look(self) -> None:
        """List at once and return after it."""

    def lines_name(self, replica_ids: frozenset[str]) -> None:
        """Lines name replicas that this subscription does not follow."""


@dataclass(slots=True, eq=False)
class LogSubscription:
    """Holds a replica's log stream. One task runs `run`; the others' methods only set flags.

    Times are of the loop's clock: `last_data` when the stream brought something or was opened, `proved_at` when
    it was last known to miss nothing, `checked_at` when it was last compared with GetAppLogs. `unreadable` says
    that this cannot be done (any more).
    """

    kind: ClassVar[Kind] = Kind.LOGS
    taker: Taker
    context: Context
    discovery: Discovery
    state: State | None = None
    last_data: float = 0.0
    proved_at: float = 0.0
    checked_at: float = 0.0
    unreadable: bool = False
    attempts: int = 0
    since: float = 0.0
    cut_at: float | None = None
    ended: Status | None = None
    _answered_at: float | None = None
    _left_at: float | None = None
    _wake: asyncio.Event | None = None
    _scope: asyncio.Timeout | None = None
    _interrupted: str | None = None
    _denials: Denials = field(default_factory=Denials)
    _recent: RecentLines = field(init=False)
    _looks: Looks = field(init=False)
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._recent = RecentLines(self.taker, self.context)
        self._looks = Looks(self._recent, self.context)
        self._backoff = self.context.backoff()
        self.last_data = asyncio.get_running_loop().time()

    @property
    def replica(self) -> Replica:
        return self.taker.replica

    @property
    def cursor(self) -> Cursor:
        return self.taker.cursor

    @property
    def newest_ms(self) -> int | None:
        return self.cursor.newest

    @property
    def taken(self) -> int:
        return self.cursor.taken

    # ---- from outside ----

    def update(self, replica: Replica) -> None:
        """What the newest listing says of the replica."""
        before = self.replica
        self._left_at, self.unreadable = None, False
        if self.state is State.LEAVING:
            self._move(self._following)
        self.taker.update(replica, streaming=self.streaming)
        if (before.restart_count, before.started_ms) != (replica.restart_count, replica.started_ms):
            self._backoff.reset()
            self._stop_waiting()  # another container: it may not live long

    def leave(self, *, blind: bool = False) -> None:
        """The replica left the listing: read its stream to the end, then close. `blind`: there was no listing for so
        long that nobody knows what became of its containers.
        """
        if self._left_at is None:
            self._left_at = asyncio.get_running_loop().time()
        if blind:
            self.taker.blind(reading=self.streaming and self._answered_at is not None)
        if self.state in (State.LIVE, State.RESUMING):
            self._move(State.LEAVING)
        self._stop_waiting()

    @property
    def leaving(self) -> bool:
        return self._left_at is not None

    @property
    def left_at(self) -> float:
        """When the replica left the listing; infinity while it is listed."""
        return float("inf") if self._left_at is None else self._left_at

    def replace(self, reason: str) -> None:
        """Give the present stream up and open another."""
        if self._scope is not None and self._interrupted is None:
            self._interrupted = reason
            self._scope.reschedule(asyncio.get_running_loop().time())

    def verified(self) -> None:
        """A check found that a silent stream misses nothing: it is live, even if the server never answered a
        word.
        """
        self.proved_at = asyncio.get_running_loop().time()
        if self.state in (State.OPENING, State.RESUMING):
            self._move(State.LIVE)

    @property
    def streaming(self) -> bool:
        """Whether a stream is open or being opened."""
        return self._scope is not None

    @property
    def waiting(self) -> bool:
        """Whether the stream ended and the next attempt is still to come."""
        return self._wake is not None

    # ---- life ----

    async def run(self) -> None:
        """Until the replica is gone and read to its end. Raises only for what stops the daemon."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                if await self._without_stream():
                    await self._farewell()
                    return
                began, taken = loop.time(), self.cursor.taken
                status = await self._session()
                if not await self._over(status):
                    brought = self.cursor.taken > taken
                    await self._pause(status, loop.time() - began, at_most_s=AT_WORK_S if brought else None)
                    if not (self.leaving and self.taker.complete):
                        continue
                await self._farewell()
                return
        finally:
            self._move(None)

    async def _session(self) -> Status:
        """One connection, from opening to its end."""
        loop = asyncio.get_running_loop()
        self._move(State.OPENING)
        self.attempts += 1
        self._interrupted = self._answered_at = None
        self.last_data = loop.time()
        self.taker.begin()
        status = OK
        try:
            async with asyncio.timeout(None) as scope:
                self._scope = scope
                await self._read()
        except TimeoutError:
            status = Status(Code.UNAVAILABLE, self._interrupted or "interrupted")
        except CallFailed as error:
            status = error.status
        finally:
            self._scope = None
        answered = self._answered_at
        if status is OK:
            self.context.habits.ended += 1
        self.taker.end(
            ok=status.code is Code.OK, lasted_s=None if answered is None else loop.time() - answered
        )
        reason = _WHY_ENDED.get(self._interrupted or "", status.action.value)
        self.context.meter.count("reconnects_total", 1, Kind.LOGS.value, reason)
        self.ended = status
        return status

    async def _read(self) -> None:
        app, replica_id = self.replica.app, self.replica.replica_id
        async with self.context.platform.stream_logs(app, replica_id) as chunks:
            self._answered_at = asyncio.get_running_loop().time()
            self._denials.answered()
            self.context.offers.grant(STREAM_LOGS, app)
            self._move(State.LEAVING if self.leaving else self._following)
            await self._follow(chunks)

    async def _follow(self, chunks: AsyncIterator[LogChunk]) -> None:
        loop = asyncio.get_running_loop()
        admit, taker = self.context.intake.admit, self.taker
        async for chunk in chunks:
            if chunk.others:
                self.discovery.lines_name(chunk.others)
            await admit()  # before, and not after: a thousand streams may bring something at once
            taker.take(chunk)
            del chunk  # thousands of silent streams would each keep what they brought last
            if self.state is State.RESUMING and taker.cursor.live:
                self._move(State.LIVE)
            self.last_data = self.proved_at = loop.time()

    @property
    def _following(self) -> State:
        return State.LIVE if self.cursor.live else State.RESUMING

    async def _pause(self, status: Status, healthy_for_s: float, *, at_most_s: float | None) -> None:
        """Between two connections: wait as the status asks, and look what became of the replica."""
        if status.action is Action.STOP and self._denials.believe(status):
            without = "its logs are read with GetAppLogs, again and again"
            self.context.offers.refuse(STREAM_LOGS, self.replica.app, status, without)
            return
        if status.action is Action.PARK:
            if self.state is not State.PARKED:
                log.error(
                    "log stream refused, tried again each minute: %s",
                    status,
                    extra={"app": str(self.replica.app), "replica": self.replica.replica_id},
                )
            self._move(State.PARKED)
        else:
            self._move(State.WAITING)
        wait = 0.0 if self._interrupted else self.context.wait_for(status, self._backoff, healthy_for_s)
        if status.action is Action.STOP:
            wait = min(wait, LOOK_AGAIN_S)
        elif at_most_s is not None and status.retry_after_s is None and status.action is not Action.PARK:
            wait = min(wait, at_most_s)
        look = status.action in (Action.DONE, Action.GONE, Action.STOP)
        await self._wait(wait, look=look)

    async def _wait(self, seconds: float, *, look: bool) -> None:
        """Until then, or until something becomes of the replica; `look` what did."""
        self._wake = asyncio.Event()
        try:
            if look:
                await self._fresh_listing()
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        finally:
            self._wake = None

    async def _without_stream(self) -> bool:
        """While streams are not offered, look again and again. Whether that was until the replica was gone."""
        loop, offers, app = asyncio.get_running_loop(), self.context.offers, self.replica.app
        while off_s := offers.claim(STREAM_LOGS, app):
            look = await self._looks.look()
            self.attempts += 1
            self.ended = look.status
            if look.new:
                self.last_data = loop.time()
            if self.leaving and (not look.shown or loop.time() - max(self.last_data, self.left_at) > LEAVE_S):
                await self._fresh_listing()  # a wrong listing must not close it
                if self.leaving:
                    return True
            self._move(State.LEAVING if self.leaving and look.shown else look.state)
            wait = min(look.wait_s, LEAVING_EVERY_S) if self.leaving else look.wait_s
            await self._wait(min(wait * self.context.rng.uniform(0.8, 1.2), off_s), look=look.gone)
        return False

    def _stop_waiting(self) -> None:
        if self._wake is not None:
            self._wake.set()

    async def _fresh_listing(self) -> None:
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self.discovery.look()
        except TimeoutError:
            pass

    # ---- the end of a replica ----

    async def _over(self, status: Status) -> bool:
        """Whether the replica is gone and there is no use in opening its stream once more."""
        if self._left_at is None:
            return False
        if self.taker.complete or self._interrupted == SETTLED:
            return True
        if status.action in (Action.DONE, Action.GONE, *_REFUSED):
            await self._fresh_listing()  # a wrong listing must not close what is only cut
            return self.leaving
        return asyncio.get_running_loop().time() - self._left_at > LEAVE_S

    async def _farewell(self) -> None:
        """The replica is gone and its stream has ended: ask once more, keep what is new, record what is
        missing.
        """
        self._move(State.LEAVING)
        taker = self.taker
        complete = self._settled_whole() or taker.complete
        complete = await self._last_look() or complete
        taker.settle_doubt()
        if not complete:
            taker.gone()
        self.cursor.closed = True
        self.context.intake.touch(self.cursor)
        log.info(
            "replica is gone, its log is closed",
            extra={
                "app": str(self.replica.app),
                "replica": self.replica.replica_id,
                "lines": self.cursor.taken,
            },
        )

    def _settled_whole(self) -> bool:
        """Whether the stream stayed open after its replica, but was alive until then."""
        if self._interrupted != SETTLED:
            return False
        habits = self.context.habits
        habits.outlived += 1
        if habits.streams_end:
            return self.proved_at > self.left_at
        return self.left_at - max(self.proved_at, self._answered_at or 0.0) < PROOF_S

    async def _last_look(self) -> bool:
        """GetAppLogs once more; whether its answer shows the end. What is missing before it is recorded."""
        page = await self._last_page()
        if page is None or not page.chunk.times:
            return False
        self._recent.take(page, last=True)
        return True

    async def _last_page(self) -> LogPage | None:
        """As many lines as can be had; None where there are none to be had any more."""
        for _ in range(_LAST_LOOKS):
            if self.context.offers.off_for(GET_LOGS, self.replica.app):
                return None
            try:
                return await self._recent.page()
            except CallFailed as error:
                status = error.status
            if status.action is Action.STOP and status.genuine:
                self.context.offers.refuse(GET_LOGS, self.replica.app, status, WITHOUT)
            if status.action in (Action.GONE, *_REFUSED):
                return None
            await asyncio.sleep(self.context.wait_for(status, self._backoff))
        return None

    def _move(self, state: State | None) -> None:
        if state is not self.state:
            self.context.states.move(Kind.LOGS, self.state, state)
            self.state, self.since = state, asyncio.get_running_loop().time()
            self.cut_at = still_cut(state, self.cut_at, self.since)
