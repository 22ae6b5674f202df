"""One replica's log stream, kept open: replay, live, reconnect, and the last read when the replica is gone.

run ──▶ session ──▶ session ──▶ … ──▶ farewell
         │ one connection: begin the cursor, take chunks until the stream ends
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from shipper.archive.codec import LogIdentity
from shipper.backoff import Backoff
from shipper.collect.context import Context
from shipper.collect.cursor import Cursor, Sifted, Stretch
from shipper.collect.fingerprint import fingerprints
from shipper.collect.states import State
from shipper.ignite.port import LogChunk
from shipper.ignite.status import OK, Action, CallFailed, Code, Status
from shipper.model import GapReason, Kind, Replica

log = logging.getLogger("shipper.collect")

SETTLED: Final = "settled"  # why a stream is given up that stays open though its replica is gone
_WHY_ENDED: Final = {SETTLED: "done", "half_open": "stalled", "starved": "stalled"}
SETTLE_S: Final = 10.0  # a stream of a replica that is gone brings its last lines within that, or never
LOOKS: Final = 2  # listings that may be stale before a doubt becomes a gap
LOOK_AGAIN_S: Final = 5.0  # how long a subscription waits for a fresh listing before it opens anew


@dataclass(slots=True, eq=False)
class LogSubscription:
    """Holds a replica's log stream. One task runs `run`; the others' methods only set flags.

    `look` asks discovery for a fresh listing and returns when there is one; `unknown` reports replica_ids
    that lines name and nobody listed.
    """

    replica: Replica
    cursor: Cursor
    context: Context
    look: Callable[[], Awaitable[None]]
    unknown: Callable[[frozenset[str]], None]
    state: State | None = None
    answered: bool = False
    received: int = 0
    last_data: float = 0.0
    attempts: int = 0
    checked_at: float = 0.0
    _leaving: asyncio.Event = field(default_factory=asyncio.Event)
    _scope: asyncio.Timeout | None = None
    _interrupted: str | None = None
    _doubt: Stretch | None = None
    _looks: int = 0
    _count_before: int = 0
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = self.context.backoff()
        self.last_data = asyncio.get_running_loop().time()

    # ---- from outside ----

    def update(self, replica: Replica) -> None:
        """What the newest listing says of the replica."""
        self.replica = replica
        self._leaving.clear()
        if self._doubt is not None:
            self._looks += 1
            self._resolve_doubt()

    def leave(self) -> None:
        """The replica left the listing: read its stream to the end, then close."""
        self._leaving.set()
        if self.state in (State.LIVE, State.RESUMING):
            self._move(State.LEAVING)

    @property
    def leaving(self) -> bool:
        return self._leaving.is_set()

    def replace(self, reason: str) -> None:
        """Give the present stream up and open another."""
        if self._scope is not None and self._interrupted is None:
            self._interrupted = reason
            self._scope.reschedule(asyncio.get_running_loop().time())

    def verified(self) -> None:
        """A check found that a silent stream misses nothing: it is live, even if the server never answered a
        word.
        """
        if self.state in (State.OPENING, State.RESUMING):
            self._move(State.LIVE)

    @property
    def streaming(self) -> bool:
        """Whether a stream is open or being opened."""
        return self._scope is not None

    # ---- life ----

    async def run(self) -> None:
        """Until the replica is gone and read to its end. Raises only for what stops the daemon."""
        try:
            while True:
                began = asyncio.get_running_loop().time()
                status = await self._session()
                if self.leaving:
                    await self._farewell(status)
                    return
                await self._pause(status, asyncio.get_running_loop().time() - began)
        finally:
            self._move(None)

    async def _session(self) -> Status:
        """One connection, from opening to its end."""
        self._move(State.OPENING)
        self.attempts += 1
        self._interrupted = None
        self.answered = False
        before = self.received
        self.last_data = asyncio.get_running_loop().time()
        self._begin()
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
        self._end(status, silent=self.received == before)
        return status

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        admit, take = self.context.intake.admit, self._take
        async with self.context.platform.stream_logs(self.replica.app, self.replica.replica_id) as chunks:
            self.answered = True
            if not self.leaving:
                self._move(State.LIVE if self.cursor.live else State.RESUMING)
            async for chunk in chunks:
                take(chunk)
                await admit()
                self.last_data = loop.time()

    def _end(self, status: Status, *, silent: bool) -> None:
        """Note how a connection ended; the next one, perhaps of another process, judges a gap by it."""
        clean = status.code is Code.OK or (silent and self.cursor.clean)
        if clean != self.cursor.clean and self.cursor.newest is not None:
            self.cursor.clean = clean
            self.context.intake.touch(self.cursor)
        reason = _WHY_ENDED.get(self._interrupted or "", status.action.value)
        self.context.meter.count("reconnects_total", 1, Kind.LOGS.value, reason)

    async def _pause(self, status: Status, healthy_for_s: float) -> None:
        """Between two connections: wait as the status asks, and look what became of the replica."""
        action = status.action
        if action in (Action.PARK, Action.STOP):
            if self.state is not State.PARKED:
                log.error(
                    "log stream refused, tried again each minute: %s",
                    status,
                    extra={"app": str(self.replica.app), "replica": self.replica.replica_id},
                )
            self._move(State.PARKED)
        else:
            self._move(State.WAITING)
        if action in (Action.DONE, Action.GONE):
            await self._fresh_listing()
        wait = 0.0 if self._interrupted else self.context.wait_for(status, self._backoff, healthy_for_s)
        try:
            async with asyncio.timeout(wait):
                await self._leaving.wait()
        except TimeoutError:
            pass

    async def _fresh_listing(self) -> None:
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self.look()
        except TimeoutError:
            pass

    # ---- taking ----

    def _take(self, chunk: LogChunk) -> None:
        if chunk.undecodable:
            self._undecodable(chunk.undecodable)
        if chunk.others:
            self.unknown(chunk.others)
        if not chunk.times:
            return
        self.received += len(chunk.times)
        self._take_new(chunk)
        if self.state is not State.LIVE and self.state is not State.LEAVING and self.cursor.live:
            self._move(State.LIVE)

    def _take_new(self, chunk: LogChunk) -> None:
        sifted = self.cursor.sift(chunk.times, lambda: fingerprints(chunk.times, chunk.streams, chunk.lines))
        if sifted.gap is not None:
            self._judge(sifted.gap)
        if sifted.repeats:
            self.context.meter.count("duplicates_suppressed_total", sifted.repeats, Kind.LOGS.value)
        self._hand_over(chunk, sifted)

    def _hand_over(self, chunk: LogChunk, sifted: Sifted) -> None:
        keep = sifted.keep
        if keep is not None and not keep:
            return
        times, streams, lines = chunk.times, chunk.streams, chunk.lines
        if keep is not None:
            times = [times[index] for index in keep]
            streams = [streams[index] for index in keep]
            lines = [lines[index] for index in keep]
        self._note_container()
        self.context.intake.take_logs(self._identity(), times, streams, lines, self.cursor)

    def _identity(self) -> LogIdentity:
        replica = self.replica
        app = replica.app
        return LogIdentity(
            app.organization, app.name, replica.replica_id, replica.cluster_id, replica.node_name
        )

    def _note_container(self) -> None:
        cursor, replica = self.cursor, self.replica
        cursor.restart_count = max(cursor.restart_count, replica.restart_count)
        cursor.started_ms = replica.started_ms
        cursor.clean = False

    def _begin(self) -> None:
        """Ready the cursor for a replay; the listing may show another container than the one last taken from."""
        self._count_before = self.cursor.restart_count
        restarted = self.cursor.newest is not None and self.replica.restart_count > self.cursor.restart_count
        self.cursor.begin(restarted=restarted)

    # ---- gaps ----

    def _judge(self, stretch: Stretch) -> None:
        """The replay does not reach back to what was taken: a loss, unless that container was read to its end.

        A container that was read to its end leaves a doubt until the listing shows the restart.
        """
        if self.cursor.clean:
            self._doubt = stretch if self._doubt is None else self._doubt
            self._looks = 0
            self._resolve_doubt()
        else:
            self._record(stretch)

    def _resolve_doubt(self) -> None:
        doubt, count = self._doubt, self.replica.restart_count
        if doubt is None:
            return
        if count == self._count_before + 1:
            self._doubt = None
            self.cursor.restart_count = count
            self.context.intake.touch(self.cursor)
        elif self._looks >= LOOKS or count != self._count_before:
            self._doubt = None
            self._record(doubt)

    def _record(self, stretch: Stretch) -> None:
        restarted = self.replica.restart_count > self._count_before
        self._gap(
            GapReason.RESTARTED if restarted else GapReason.ROTATED,
            stretch.from_ms,
            max(stretch.to_ms, stretch.from_ms),
            "the container restarted while no stream was open to it"
            if restarted
            else "the platform's history begins later than what had been taken",
        )

    def _gap(
        self, reason: GapReason, from_ms: int, to_ms: int | None, detail: str, lost: int | None = None
    ) -> None:
        self.context.intake.gap(
            self.replica.app,
            reason,
            from_ms,
            to_ms,
            replica_id=self.replica.replica_id,
            detail=detail,
            lost=lost,
        )

    def _undecodable(self, count: int) -> None:
        self.context.meter.count("undecodable_messages_total", count, Kind.LOGS.value)
        now = self.context.now_ms()
        since = self.cursor.newest if self.cursor.newest is not None else now
        self._gap(
            GapReason.UNDECODABLE,
            min(since, now),
            now,
            "messages that are not what the server's descriptor says were left out",
            count,
        )

    # ---- the end of a replica ----

    async def _farewell(self, status: Status) -> None:
        """The replica is gone and its stream has ended: ask once more, keep what is new, record what is
        missing.
        """
        self._move(State.LEAVING)
        settled = self._interrupted == SETTLED and self.answered
        complete = status.code is Code.OK or settled or self._was_read_to_its_end()
        if self._doubt is not None:
            doubt, self._doubt = self._doubt, None
            self._record(doubt)
        complete = await self._last_look() or complete
        if not complete:
            cursor = self.cursor
            self._gap(
                GapReason.REPLICA_GONE,
                cursor.newest if cursor.newest is not None else self.replica.started_ms,
                None,
                "the replica went while its stream was broken"
                if cursor.newest is not None
                else "the replica went before its history was read",
            )
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

    def _was_read_to_its_end(self) -> bool:
        """An earlier connection ended with OK, nothing came since, and no other container was listed since."""
        return self.cursor.clean and self.replica.restart_count <= self.cursor.restart_count

    async def _last_look(self) -> bool:
        """GetAppLogs once more; whether its answer reaches from what had been taken to the end."""
        try:
            page = await self.context.platform.get_logs(self.replica.app, self.replica.replica_id)
        except CallFailed:
            return False
        chunk = in_time_order(page.chunk)
        if not chunk.times:
            return False
        self._begin()
        known = self.cursor.newest is not None
        before = self.context.intake.gaps
        self._take(chunk)
        return self.context.intake.gaps == before and (known or not page.truncated)

    def _move(self, state: State | None) -> None:
        if state is not self.state:
            self.context.states.move(Kind.LOGS, self.state, state)
            self.state = state


def in_time_order(chunk: LogChunk) -> LogChunk:
    """The chunk sorted by time; lines of one millisecond stay as they were. GetAppLogs does not promise an
    order.
    """
    order = sorted(range(len(chunk.times)), key=chunk.times.__getitem__)
    return LogChunk(
        [chunk.times[i] for i in order],
        [chunk.streams[i] for i in order],
        [chunk.lines[i] for i in order],
        chunk.others,
        chunk.undecodable,
    )
