"""The buffer: where records wait, durable, between the platform and the sinks.

All work on the file is done by one thread, in the order in which it was asked for. A job that has been
handed to that thread is done whether or not its caller is still there: a caller that is cancelled in the
middle does not know whether it happened, and the buffer's own state follows what happened.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from shipper.buffer import carrying, commit, reading, sealing
from shipper.buffer import letters as burying
from shipper.buffer.engine import Engine
from shipper.buffer.ledger import Ledger
from shipper.buffer.letterbox import DeadLetters
from shipper.buffer.loading import Setup
from shipper.buffer.notes import Notes
from shipper.buffer.quota import Quota
from shipper.buffer.reconfiguring import changed
from shipper.buffer.slots import sinks_of
from shipper.buffer.values import BufferStats, Committed, OpenPartition, Recovery, Route, Sinks, WhenFull
from shipper.errors import BufferError, BufferUnavailable
from shipper.meter import Meter
from shipper.model import Batch, Carried, Codec, CursorWrite, DeadLetter, Frame, Gap, Partition, StoredCursor

T = TypeVar("T")


class Buffer:
    """One directory's buffer, used by one event loop. Coroutines raise BufferFull or BufferUnavailable, and
    then nothing has changed; every write is durable when its coroutine returns.
    """

    def __init__(
        self,
        engine: Engine,
        executor: ThreadPoolExecutor,
        meter: Meter,
        quota: Quota,
        noticed: Callable[[Gap], None] | None = None,
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._meter = meter
        self._noticed = noticed
        self._loop = asyncio.get_running_loop()
        self._space = asyncio.Event()
        self._space.set()
        self._arrivals: dict[str, asyncio.Event] = {}
        self._tidying = False
        self._closing = False
        self._largest_commit = quota.largest_commit
        self._buffer_id = ""

    # ---- lifetime ----

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        max_size: int,
        when_full: WhenFull,
        sinks: Sinks | Sequence[str],
        meter: Meter,
        codec: Codec,
        clock: Callable[[], float] = time.time,
        route: Route | None = None,
        noticed: Callable[[Gap], None] | None = None,
    ) -> Buffer:
        """Open the directory's buffer or make one. `codec` is that of gap records which the buffer itself writes.

        `route` says which sinks get the records of a partition, gap records of the buffer's own included; without it
        every sink does. What is in the buffer already stays for the sinks that it was committed for. `noticed` is told
        of each loss that the buffer has recorded, on the event loop.

        Raises BufferLocked if another process has it, BufferUnavailable if the disk refuses, ValueError for
        a `max_size` below `MINIMUM_SIZE`. A damaged file is no error: see `recovered`.
        """
        quota = Quota(max_size)
        engine = Engine(directory, quota, Setup(sinks_of(sinks), when_full, clock, codec, route))
        executor = ThreadPoolExecutor(1, thread_name_prefix="buffer")
        buffer = cls(engine, executor, meter, quota, noticed)
        try:
            buffer._buffer_id = await buffer._submit(engine.open)
        except BaseException:
            # Also when cancelled: the job ends in its own time, and what it opened is closed behind it.
            executor.submit(engine.close)
            executor.shutdown(wait=False)
            raise
        return buffer

    async def close(self) -> None:
        """Wait for the jobs at hand, close the file and release the lock. Idempotent."""
        if self._closing:
            return
        self._closing = True
        try:
            await asyncio.shield(self._loop.run_in_executor(self._executor, self._engine.close))
        finally:
            self._executor.shutdown(wait=False)

    async def reconfigure(
        self,
        *,
        max_size: int,
        when_full: WhenFull,
        sinks: Sinks | Sequence[str],
        codec: Codec,
        route: Route | None = None,
    ) -> None:
        """Use these from the next commit on, as if the buffer had been opened with them; all of it or nothing.

        A sink that is new gets what is committed from now on. One that is no longer named is retired: it takes nothing
        new, and what it is still to get stays until it is delivered or `remove_sink` is called; named again, it goes
        on. A buffer that is opened anew knows of no retired sinks: it removes them. ValueError for too many sinks.
        """
        quota = Quota(max_size)
        change = partial(changed, sinks=sinks_of(sinks), when_full=when_full, codec=codec, route=route)
        await self._submit(lambda: self._engine.reconfigure(change, quota))
        self._largest_commit = quota.largest_commit

    async def remove_sink(self, sink: str) -> None:
        """Forget a retired sink. What neither it has nor another sink gets is recorded as a gap; all it had not taken
        is counted. Nothing happens to a sink that is not retired.

        Nobody may be delivering to it: its batches are gone.
        """
        await self._submit(lambda: self._engine.remove(sink))

    @property
    def recovered(self) -> Recovery | None:
        """The last damage that was found, if any. Its gap records are committed."""
        return self._engine.recovered

    @property
    def buffer_id(self) -> str:
        """Eight hexadecimal digits, made once for each buffer file."""
        return self._buffer_id

    @property
    def largest_commit(self) -> int:
        """Bytes of frames, about, that fit into one commit to an empty buffer."""
        return self._largest_commit

    # ---- taking ----

    async def commit(self, frames: Sequence[Frame], cursors: Sequence[CursorWrite]) -> Committed:
        """Store frames and cursors, both or neither.

        BufferFull: there is no room; `wait_for_space` returns when some was made. With DROP_OLDEST frames
        are given up instead, each counted and recorded. A frame that would not fit into an empty buffer is
        given up in either case.
        """
        return await self._job(lambda ledger: commit.commit(ledger, frames, cursors))

    async def cursors(self) -> list[StoredCursor]:
        """All cursors, as they were committed."""
        return await self._job(lambda ledger: ledger.cursors.read())

    async def wait_for_space(self) -> None:
        """Return when room was made since the last BufferFull; at once if there was none."""
        await self._space.wait()

    # ---- delivering ----

    def subscribe(self, sink: str) -> asyncio.Event:
        """The event that each commit with frames for the sink sets; the subscriber clears it. One for each sink."""
        return self._arrivals.setdefault(sink, asyncio.Event())

    async def open_partitions(self, sink: str) -> list[OpenPartition]:
        """Every partition that has unsealed frames for the sink."""
        return await self._job(lambda ledger: ledger.index.open_partitions(ledger.slots.named(sink)))

    async def seal(self, sink: str, partition: Partition, *, max_size: int) -> Batch | None:
        """Make a batch of the partition's oldest frames up to `max_size`, at least one, all of one codec.

        What is in it and its name are durable on return, and stay. None if the partition has no unsealed
        frames.
        """
        return await self._job(lambda ledger: sealing.seal(ledger, sink, partition, max_size))

    async def sealed(self, sink: str) -> list[Batch]:
        """The sink's batches that are not settled, in the order of sealing."""
        return await self._job(
            lambda ledger: [one.batch for one in ledger.index.sealed(ledger.slots.named(sink))]
        )

    async def read(self, batch: Batch) -> list[bytes] | None:
        """The batch's frames in order: the same bytes each time.

        None if the batch is not, or no longer, what was sealed: settled, given up for want of room, or a
        frame of it had lost its checksum. Such a frame is recorded as a gap, and the others are sealed in
        new batches: ask `sealed` again.
        """
        frames: list[bytes] = []
        start: int | None = 0
        while start is not None:
            part = await self._job(partial(_read_part, batch=batch, start=start))
            if part is None:
                return None
            frames += part.frames
            start = part.then
        return frames

    async def attempted(self, batch: Batch) -> None:
        """Count an attempt to deliver the batch; `sealed` shows the count, also after a restart."""
        await self._job(lambda ledger: sealing.attempted(ledger, batch))

    async def acknowledge(self, batch: Batch, carried: Carried | None = None) -> None:
        """The sink has the batch. Frames that no other sink needs are forgotten.

        `carried` replaces what the sink's pipeline holds of the batch's partition, in the same transaction. Idempotent;
        a batch that was settled before or given up meanwhile is only reported, and `carried` is not looked at.
        """
        await self._job(lambda ledger: sealing.acknowledge(ledger, batch, carried))

    async def reject(self, batch: Batch, reason: str) -> None:
        """The sink will never have the batch: it is forgotten, and the gap recorded, in one transaction. Idempotent."""
        await self._job(lambda ledger: sealing.reject(ledger, batch, reason))

    async def progressed(self, batch: Batch, done: int, plan: str) -> None:
        """The first `done` entries that `plan` makes of the batch are delivered.

        `sealed` shows it, after a restart too. Nothing happens where the batch is not, or no longer, what was sealed.
        """
        await self._job(lambda ledger: sealing.progressed(ledger, batch, done, plan))

    async def carried(self, sink: str) -> list[Carried]:
        """What the sink's pipeline holds, for each partition where it holds something."""
        found: list[Carried] = []
        start: int | None = 0
        while start is not None:
            part = await self._job(partial(carrying.read_part, sink=sink, start=start))
            found += part.carried
            start = part.then
        return found

    async def carry(self, sink: str, carried: Carried) -> None:
        """Replace what the sink's pipeline holds of a partition; an empty `state` forgets it.

        ValueError for a state of more than `LARGEST_STATE` bytes, here as in `acknowledge`. There is always room for
        it: in need, what is held of other partitions is given up, counted and recorded.
        """
        await self._job(lambda ledger: carrying.carry(ledger, sink, carried))

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep refused records as dead letters.

        Where there is no room for more the oldest of all are forgotten, each counted and recorded in the transaction
        that forgets it; so is at once a letter that is larger than there can be room for. Letters that do not fit one
        transaction (1.5 MiB or more) go in several: an error leaves those that are buried already.
        """
        await self._job(lambda ledger: burying.bury(ledger, letters))

    @property
    def letters(self) -> DeadLetters:
        """The dead letters as people see them."""
        return DeadLetters(self._job)

    def stats(self) -> BufferStats:
        """From memory, at once."""
        return self._engine.stats()

    # ---- jobs ----

    async def _job(self, operation: Callable[[Ledger], T]) -> T:
        return await self._submit(lambda: self._engine.run(operation))

    async def _submit(self, call: Callable[[], T]) -> T:
        """Run in the buffer's thread. Cancelling the caller does not take the job back."""
        if self._closing:
            raise BufferUnavailable("the buffer is closed")
        return await asyncio.shield(self._loop.run_in_executor(self._executor, self._run, call))

    def _run(self, call: Callable[[], T]) -> T:
        """In the buffer's thread: the job, then the news of it, which reach the event loop before the job's
        result does.
        """
        try:
            return call()
        finally:
            notes = self._engine.take_notes()
            with suppress(RuntimeError):  # the event loop is gone, and with it all who could care
                self._loop.call_soon_threadsafe(self._tell, notes)
            self._tidy_later()

    def _tell(self, notes: Notes) -> None:
        for series, by, labels in notes.counts:
            self._meter.count(series, by, *labels)
        if self._noticed is not None:
            for gap in notes.gaps:
                self._noticed(gap)
        if notes.full:
            self._space.clear()
        if notes.freed:
            self._space.set()
        for sink in notes.arrivals:
            if sink in self._arrivals:
                self._arrivals[sink].set()

    def _tidy_later(self) -> None:
        """Leave what is not urgent to jobs of their own, so that commits come in between."""
        if not self._tidying and not self._closing and self._engine.untidy:
            self._tidying = True
            with suppress(RuntimeError):  # the executor is shut down
                self._executor.submit(self._tidy)

    def _tidy(self) -> None:
        self._tidying = False
        with suppress(BufferError):  # whatever stands in its way stands in the way of others, who will say so
            self._run(lambda: self._engine.run(self._engine.tidy))


def _read_part(ledger: Ledger, *, batch: Batch, start: int) -> reading.Part | None:
    return reading.read_part(ledger, batch, start)
