"""Where records wait for the next commit, and the task that commits them together with their cursors.

A record is in memory for a quarter of a second at most. When the buffer does not take more (full, disk
trouble), a bounded amount waits here and `admit` holds the readers, so that HTTP/2 flow control holds the
server.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final, Protocol, TypeVar

from shipper.archive import layout
from shipper.archive.codec import (
    BuildIdentity,
    LogIdentity,
    encode_build_run,
    encode_gap,
    encode_log_run,
)
from shipper.backoff import Backoff
from shipper.buffer import FrameDraft, make_frames
from shipper.collect.pending import Closed, Pending, Writable
from shipper.errors import BufferFull, BufferUnavailable
from shipper.meter import Meter
from shipper.model import App, Codec, CursorWrite, Frame, Gap, GapReason, Kind, Partition

log = logging.getLogger("shipper.collect")

T = TypeVar("T")

COMMIT_EVERY_S: Final = 0.2  # with the commit itself, below the quarter of a second that a record may wait
COMMIT_AT: Final = 4 * 1024 * 1024  # bytes that are committed at once: a frame of this size compresses well
HOLD_AT: Final = 8 * 1024 * 1024  # bytes beyond which readers wait; as many again may be in a commit


class Durable(Protocol):
    """The part of the buffer that intake needs."""

    async def commit(self, frames: Sequence[Frame], cursors: Sequence[CursorWrite]) -> object:
        """Store both or neither. Raises BufferFull or BufferUnavailable."""

    async def wait_for_space(self) -> None:
        """Return when something was freed."""


@dataclass(slots=True)
class Intake:
    """Takes records from subscriptions (synchronously, with the cursor that covers them) and commits them.

    `clock` is wall time in seconds; `hold_at` bytes wait at the most (and what one read brings). `noticed`
    is told of each gap, `tap` is shown what each commit takes (and keeps nothing of it but bytes). `run` is one task;
    after `close` it commits what is left and returns.
    """

    buffer: Durable
    codec: Codec
    meter: Meter
    clock: Callable[[], float] = time.time
    backoff: Backoff = field(default_factory=Backoff)
    hold_at: int = HOLD_AT
    gaps: int = 0
    noticed: Callable[[Gap], None] | None = None
    tap: Callable[[Mapping[Partition, FrameDraft]], None] | None = None
    _pending: Pending = field(default_factory=Pending)
    _closed: list[Closed] = field(default_factory=list)
    _since: float = 0.0  # when the first of what waits came (the loop's clock)
    _storing: asyncio.Event | None = None
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _room: asyncio.Event = field(default_factory=asyncio.Event)
    _queue: asyncio.Lock = field(default_factory=asyncio.Lock)  # of readers that wait for room
    _urgent: asyncio.Event = field(default_factory=asyncio.Event)
    _closing: bool = False

    def __post_init__(self) -> None:
        self._room.set()

    # ---- taking ----

    @property
    def holding(self) -> bool:
        """Whether readers are held back."""
        return not self._room.is_set()

    @property
    def closing(self) -> bool:
        """Whether no more will be taken."""
        return self._closing

    async def admit(self) -> None:
        """Wait while too much is pending. Call before what was read is taken, with no await between.

        Of those that wait one is woken at a time, when the one before it has taken: thousands may wait, and the first
        may fill it again.
        """
        if self._room.is_set() and not self._queue.locked():
            return
        async with self._queue:
            while not self._room.is_set():
                await self._room.wait()

    def take_logs(
        self,
        identity: LogIdentity,
        times: Sequence[int],
        streams: Sequence[str | None],
        lines: Sequence[str | bytes],
        cursor: Writable,
    ) -> None:
        """Log lines of one replica, with the cursor that counts them as taken."""
        first, last = min(times), max(times)
        if layout.hour_of(first) == layout.hour_of(last):
            self._add_logs(identity, times, streams, lines)
        else:
            for _, taken in groupby(range(len(times)), key=lambda index: layout.hour_of(times[index])):
                keep = list(taken)
                self._add_logs(identity, select(times, keep), select(streams, keep), select(lines, keep))
        self.meter.count("records_received_total", len(times), Kind.LOGS.value)
        self._cover(cursor)

    def _add_logs(
        self,
        identity: LogIdentity,
        times: Sequence[int],
        streams: Sequence[str | None],
        lines: Sequence[str | bytes],
    ) -> None:
        """Lines of one hour."""
        first, last = min(times), max(times)
        partition = Partition(Kind.LOGS, identity.organization, identity.app, layout.hour_of(first))
        self._add(partition, encode_log_run(identity, times, streams, lines), len(times), first, last)

    def take_build(
        self, identity: BuildIdentity, times: Sequence[int], lines: Sequence[bytes], cursor: Writable
    ) -> None:
        """Lines of one build, with the cursor that counts them as taken."""
        for hour, taken in groupby(range(len(times)), key=lambda index: layout.hour_of(times[index])):
            keep = list(taken)
            own = select(times, keep)
            run = encode_build_run(identity, own, select(lines, keep))
            partition = Partition(Kind.BUILDS, identity.organization, identity.app, hour)
            self._add(partition, run, len(own), min(own), max(own))
        self.meter.count("records_received_total", len(times), Kind.BUILDS.value)
        self._cover(cursor)

    def take_event(self, app: App, timestamp_ms: int, record: bytes, cursor: Writable) -> None:
        """One encoded event, with the ledger that counts it as taken."""
        partition = Partition(Kind.EVENTS, app.organization, app.name, layout.hour_of(timestamp_ms))
        self._add(partition, record, 1, timestamp_ms, timestamp_ms)
        self.meter.count("records_received_total", 1, Kind.EVENTS.value)
        self._cover(cursor)

    def take_gap(self, gap: Gap) -> None:
        """A known loss: recorded, counted and said."""
        partition = Partition(Kind.GAPS, gap.app.organization, gap.app.name, layout.hour_of(gap.noticed_ms))
        self._add(partition, encode_gap(gap), 1, gap.noticed_ms, gap.noticed_ms)
        self.meter.count("records_received_total", 1, Kind.GAPS.value)
        self.meter.count("gaps_total", 1, gap.reason.value)
        self.gaps += 1
        if self.noticed is not None:
            self.noticed(gap)
        log.warning(
            "gap: %s may be missing (%s)",
            gap.stream_kind.value,
            gap.reason.value,
            extra={
                "app": str(gap.app),
                "replica": gap.replica_id,
                "from_ms": gap.from_ms,
                "to_ms": gap.to_ms,
                "lost": gap.lost,
                "detail": gap.detail,
            },
        )

    def gap(
        self,
        app: App,
        reason: GapReason,
        from_ms: int,
        to_ms: int | None = None,
        *,
        replica_id: str = "",
        kind: Kind = Kind.LOGS,
        detail: str = "",
        lost: int | None = None,
    ) -> None:
        """`take_gap`, noticed now; `to_ms` defaults to now. Clocks differ: it ends no earlier than it begins."""
        now = int(self.clock() * 1000)
        until = max(from_ms, now if to_ms is None else to_ms)
        self.take_gap(Gap(now, app, replica_id, kind, from_ms, until, reason, detail, lost))

    def touch(self, cursor: Writable) -> None:
        """Store this cursor with the next commit, or soon after where there are thousands."""
        self._pending.touch(cursor)
        self._begin()

    def _cover(self, cursor: Writable) -> None:
        """The cursor that counts what was just added: one cannot be stored without the other."""
        self._pending.cover(cursor)
        if self._pending.filled(self.hold_at):
            self._close_pending()
        self._weigh()

    def _close_pending(self) -> None:
        self._closed.append(self._pending.close(self.hold_at))
        self._pending = Pending()

    @property
    def _size(self) -> int:
        """Bytes that wait for the next commit."""
        return self._pending.size + sum(closed.size for closed in self._closed)

    def _add(self, partition: Partition, run: bytes, records: int, first: int, last: int) -> None:
        """Records as NDJSON, end to end."""
        self._pending.add(partition, run, records, first, last)
        self._begin()
        self._weigh()

    def _weigh(self) -> None:
        size = self._size
        if size >= min(COMMIT_AT, self.hold_at):
            self._urgent.set()
        if size >= self.hold_at:
            self._room.clear()

    def _begin(self) -> None:
        if not self._wake.is_set():
            self._since = asyncio.get_running_loop().time()
            self._wake.set()

    # ---- committing ----

    async def settled(self) -> None:
        """Return when what was taken before this call is committed, however long that takes."""
        waiting = self._storing
        if self._pending:
            waiting = self._pending.stored
        elif self._closed:
            waiting = self._closed[-1].stored
        if waiting is not None:
            await waiting.wait()

    async def close(self) -> None:
        """No more will be taken; `run` commits what is pending and returns."""
        self._closing = True
        self._wake.set()
        self._urgent.set()

    async def run(self) -> None:
        """Commit what is pending, at least every COMMIT_EVERY_S while something is."""
        while True:
            await self._wake.wait()
            await self._let_gather()
            if self._pending:
                self._close_pending()
            closed, self._closed = self._closed, []
            self._wake.clear()
            self._urgent.clear()
            await self._commit(closed)
            del closed  # not while an idle intake waits for the next record
            if self._closing:
                if not self._pending and not self._closed:
                    return
                self._wake.set()
                self._urgent.set()

    async def _commit(self, closed: Sequence[Closed]) -> None:
        """One after the other, as they were taken."""
        for one in closed:
            self._storing = closed[-1].stored
            if self.tap is not None:
                self.tap(one.drafts)
            frames = await asyncio.to_thread(make_frames, one.drafts, self.codec)
            one.drafts.clear()
            self._reopen()
            first, *rest = one.transactions
            await self._store(frames, first)
            for writes in rest:
                await self._store((), writes)
            one.stored.set()
        self._storing = None

    async def _let_gather(self) -> None:
        remaining = self._since + COMMIT_EVERY_S - asyncio.get_running_loop().time()
        if remaining <= 0 or self._closing:
            return
        try:
            async with asyncio.timeout(remaining):
                await self._urgent.wait()
        except TimeoutError:
            pass

    def _reopen(self) -> None:
        if self._size < self.hold_at:
            self._room.set()

    async def _store(self, frames: Sequence[Frame], writes: Sequence[CursorWrite]) -> None:
        """Commit, however long the buffer refuses; what waits meanwhile is bounded by `admit`."""
        said = ""
        began = time.monotonic()
        while True:
            try:
                started = time.monotonic()
                await self.buffer.commit(frames, writes)
            except BufferFull as error:
                self.meter.count("commits_total", 1, "full")
                if said != "full":
                    log.warning(
                        "buffer is full: streams are held back until a sink takes something: %s", error
                    )
                said = "full"
                await self.buffer.wait_for_space()
            except BufferUnavailable as error:
                self.meter.count("commits_total", 1, "unavailable")
                if said != str(error):
                    log.error(  # noqa: TRY400 - the message says it all
                        "buffer cannot be written: streams are held back: %s",
                        error,
                    )
                said = str(error)
                await asyncio.sleep(self.backoff.next_wait())
            else:
                self.backoff.reset()
                if said:
                    log.info(
                        "buffer takes records again", extra={"seconds": round(time.monotonic() - began, 1)}
                    )
                self.meter.count("commits_total", 1, "ok")
                self.meter.observe("commit_seconds", time.monotonic() - started)
                self._count(frames)
                return

    def _count(self, frames: Sequence[Frame]) -> None:
        now = self.clock()
        for frame in frames:
            self.meter.count("records_committed_total", frame.records, frame.partition.kind.value)
            self.meter.count("bytes_committed_total", len(frame.data), frame.partition.kind.value)
            if frame.partition.kind is Kind.LOGS:
                self.meter.observe("durable_seconds", max(0.0, now - frame.last_ms / 1000))


def may_wait(max_size: int, largest_commit: int) -> int:
    """Bytes that may wait for a commit to a buffer of that size (`Intake.hold_at`): what does not compress at all still
    fits into one, and the cursors of as much into the buffer's log, which is a quarter of it.
    """
    return min(HOLD_AT, largest_commit // 2, max_size // 16)


def select(values: Sequence[T], keep: Sequence[int]) -> list[T]:
    """The values at the kept indices."""
    return [values[index] for index in keep]
