"""One build or compile, read to its end.

A compile is followed while it runs. Its stream may end in order without being at its end (a gateway ends long ones), so
it counts as whole when two replays in a row end with the same bytes. Where there is no stream, now or any more, and for
builds, GetBuildLog has the whole log.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from shipper.backoff import Backoff, FullJitter
from shipper.collect.build_cursor import Source
from shipper.collect.context import AT_MOST_S, Context
from shipper.collect.offers import REFUSED
from shipper.collect.output import OutputTaker
from shipper.collect.states import State
from shipper.ignite.port import Builds, Output
from shipper.ignite.status import OK, Action, CallFailed, Code, Status
from shipper.model import App, GapReason, Kind

log = logging.getLogger("shipper.collect")

RETENTION_MS: Final = 3 * 24 * 3_600_000
"""How long the platform keeps a build log by default, says
https://docs.dodil.io/ignite/compute/api-reference/observability.
"""

SILENCE_S: Final = 120.0  # a compile that says nothing for so long is asked for again: the stream may be dead
CONFIRM_S: Final = 2.0  # between the first replay that ends in order and the second
LATE_S: Final = 15.0  # within that after the end of a build its log may still have to be stored
NO_STREAM_S: Final = 300.0  # the same for a compile that has no stream: it may not have begun
UNSURE_S: Final = 3600.0  # the same for what may still be running
ASK_AGAIN_S: Final = (1.0, 60.0)  # first and longest time between two questions for a log that is not there
_LOGS, _COMPILES = "GetBuildLog", "StreamCompileLogs"
_EXPENSIVE: Final = FullJitter(
    first_s=0.5, cap_s=600.0
)  # a log that breaks off may be large, and is read anew
_SILENT: Final = Status(Code.UNAVAILABLE, "the stream of a compile is open and silent")


@dataclass(slots=True)
class Access:
    """What all readers share: the port, and how many logs are read at once."""

    builds: Builds
    reading: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(4))


@dataclass(slots=True, eq=False)
class BuildReader:
    """Reads one output. `running` says whether the platform lists it as running (None: it does not say)."""

    kind: ClassVar[Kind] = Kind.BUILDS
    taker: OutputTaker
    context: Context
    access: Access
    running: Callable[[str], bool | None]
    state: State | None = None
    since: float = 0.0
    cut_at: float | None = None  # never: to wait for a log is in order
    last_data: float = 0.0
    attempts: int = 0
    ended: Status | None = None
    _whole_size: int | None = None  # of the last replay that ended in order
    _ask_again_s: float = ASK_AGAIN_S[0]
    _missing_since: float | None = None
    _bad_messages_said: bool = False
    _backoff: Backoff = field(init=False)
    _log_backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = self.context.backoff()
        self._log_backoff = Backoff(self.context.rng, _EXPENSIVE)

    @property
    def app(self) -> App:
        return self.taker.app

    @property
    def build_id(self) -> str:
        return self.taker.cursor.build_id

    @property
    def newest_ms(self) -> int | None:
        return self.taker.newest_ms

    @property
    def taken(self) -> int:
        return self.taker.cursor.lines

    async def run(self) -> None:
        """Until everything that can be had is taken."""
        compiled = self.taker.cursor.source is Source.COMPILE
        try:
            while not self.taker.cursor.closed:
                wait = await (self._compile() if compiled else self._log())
                if self._too_late():
                    self._gone("it could not be read before the platform's days were over")
                if not self.taker.cursor.closed:
                    await asyncio.sleep(wait)
        finally:
            self._move(None)

    # ---- a compile ----

    async def _compile(self) -> float:
        """Follow the stream once; seconds until the next attempt."""
        if self._no_streams():
            return await self._log()
        began = asyncio.get_running_loop().time()
        status = self.ended = await self._session()
        reason = "stalled" if status is _SILENT else status.action.value
        self.context.meter.count("reconnects_total", 1, Kind.BUILDS.value, reason)
        if status is _SILENT:
            return 0.0
        if status.action in REFUSED:
            # Its route names no app. But only a server of the platform can say that it is not there at all.
            whose = None if status.action is Action.STOP and status.genuine else self.app
            self.context.offers.refuse(_COMPILES, whose, status, "compiles are read when they have ended")
        elif status.action is not Action.GONE and status.code is not Code.OK:
            lasted = asyncio.get_running_loop().time() - began
            self._move(State.WAITING)
            return self.context.wait_for(status, self._backoff, lasted)
        before, whole = self._whole_size, status.code is Code.OK
        if whole:
            self._whole_size = self.taker.size
        if not (whole and self.taker.size):
            return await self._log()
        if before != self.taker.size:
            self._move(State.WAITING)
            return CONFIRM_S
        await self.taker.finish()
        self._close()
        return 0.0

    def _no_streams(self) -> bool:
        off_for = self.context.offers.off_for
        return bool(off_for(_COMPILES, None) or off_for(_COMPILES, self.app))

    async def _session(self) -> Status:
        self._begin()
        try:
            async with self.access.builds.stream_compile_logs(self.build_id) as outputs:
                for whose in (None, self.app):
                    self.context.offers.grant(_COMPILES, whose)
                self._move(State.LIVE)
                while (output := await _next(outputs)) is not None:
                    await self._take(output)
        except CallFailed as error:
            return error.status
        return OK

    async def _take(self, output: Output) -> None:
        self.last_data = asyncio.get_running_loop().time()
        self._missing_since = None
        if output.undecodable and not self._bad_messages_said:
            self._bad_messages_said = True  # each replay brings the same ones
            self.context.meter.count("undecodable_messages_total", output.undecodable, Kind.BUILDS.value)
            self.taker.gap(GapReason.UNDECODABLE, "messages that cannot be decoded were left out")
        for time_ms, data in zip(output.times, output.pieces, strict=True):
            await self.taker.take(data, time_ms)

    # ---- a log ----

    async def _log(self) -> float:
        """Read the whole log once; seconds until the next attempt."""
        if self.running(self.build_id):
            return self._wait_for_it()
        if off_s := self.context.offers.claim(_LOGS, self.app):
            self._move(State.PARKED)
            return off_s
        self._begin()
        try:
            async with (
                self.access.reading,
                self.access.builds.get_build_log(self.app, self.build_id) as pieces,
            ):
                self._move(State.LIVE)
                async for piece in pieces:
                    self.last_data = asyncio.get_running_loop().time()
                    await self.taker.take(piece)
        except CallFailed as error:
            self.ended = error.status
            if error.status.code is not Code.NOT_FOUND:
                return self._log_failed(error.status)
        else:
            self.ended = OK
            self.context.offers.grant(_LOGS, self.app)
            if pieces.found:
                await self.taker.finish()
                self._close()
                return 0.0
        return await self._not_there()

    async def _not_there(self) -> float:
        """The platform has no such log: not yet, or not any more."""
        now = asyncio.get_running_loop().time()
        cursor = self.taker.cursor
        if self._missing_since is None:
            self._missing_since = now
        if now - self._missing_since < self._patience_s():
            return self._wait_for_it()
        if self._whole_size and self.taker.at_end_of(self._whole_size):  # a stream at its end, if not twice
            await self.taker.finish()
            self._close()
        elif cursor.lines:
            self._gone("its stream was cut, and the platform has no log of it")
        else:
            self._gone("the platform has no log of it (any more)")
        return 0.0

    def _patience_s(self) -> float:
        """How long a log that is not there may still come."""
        if self.taker.cursor.source is Source.COMPILE:
            return UNSURE_S if self._no_streams() else NO_STREAM_S
        return LATE_S if self.running(self.build_id) is False else UNSURE_S

    def _wait_for_it(self) -> float:
        self._move(State.WAITING)
        wait, self._ask_again_s = self._ask_again_s, min(2 * self._ask_again_s, ASK_AGAIN_S[1])
        return wait

    # ---- both ----

    def _begin(self) -> None:
        self.attempts += 1
        self.last_data = asyncio.get_running_loop().time()
        if self.state is not State.PARKED:
            self._move(State.OPENING)
        self.taker.begin()

    def _log_failed(self, status: Status) -> float:
        if status.action in REFUSED:
            self._move(State.PARKED)
            return self.context.offers.refuse(_LOGS, self.app, status, "logs of builds are not read")
        self._move(State.WAITING)
        return max(self._log_backoff.next_wait(), min(status.retry_after_s or 0.0, AT_MOST_S))

    def _too_late(self) -> bool:
        cursor = self.taker.cursor
        return not cursor.closed and self.context.now_ms() - cursor.known_ms > RETENTION_MS

    def _gone(self, why: str) -> None:
        """What is missing cannot be had. It is a loss where the platform itself named it, not too late for anyone."""
        cursor = self.taker.cursor
        old = cursor.known_ms - cursor.time_ms > RETENTION_MS
        offered = self.ended is None or self.ended.action is not Action.STOP
        if (cursor.certain and not old and offered) or cursor.lines:
            self.taker.gap(GapReason.BUILD_GONE, why)
        else:
            log.info("nothing of a build: %s", why, extra={"app": str(self.app), "build": self.build_id})
        self._close()

    def _close(self) -> None:
        cursor = self.taker.cursor
        cursor.closed = True
        self.context.intake.touch(cursor)
        log.debug(
            "build is read", extra={"app": str(self.app), "build": cursor.build_id, "lines": cursor.lines}
        )

    def _move(self, state: State | None) -> None:
        if state is not self.state:
            self.context.states.move(Kind.BUILDS, self.state, state)
            self.state, self.since = state, asyncio.get_running_loop().time()


async def _next(outputs: AsyncIterator[Output]) -> Output | None:
    """What comes next, None at the end."""
    try:
        async with asyncio.timeout(SILENCE_S):
            return await anext(outputs, None)
    except TimeoutError:
        raise CallFailed(_SILENT) from None
