"""One sink's worker: it takes what the buffer has for the sink, sends it, and settles what became of it."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Sequence

from shipper.deliver.backlog import Backlog, BatchPolicy, Sealed
from shipper.deliver.breaker import Breaker, State
from shipper.deliver.carrying import Carrying
from shipper.deliver.choice import Finished, Release, Seal, Send, Situation, Step, Wait, choose, wants_fresh
from shipper.deliver.courier import Delivery, Doubtful, Interrupted, Load
from shipper.deliver.couriers import Desk, courier_of, pipeline_used
from shipper.deliver.health import Health, Work, health
from shipper.deliver.held import HELD
from shipper.deliver.limits import Limits
from shipper.deliver.patience import Patience
from shipper.deliver.port import Outbox
from shipper.deliver.report import Report
from shipper.deliver.retry import Draw
from shipper.meter import Meter
from shipper.model import Batch, Partition
from shipper.sinks import AnySink
from shipper.sinks.budget import ByteBudget
from shipper.sinks.port import Delivered, Parked, Rejected, Retry
from shipper.transform.port import Pipeline

log = logging.getLogger("shipper.deliver")


class Worker:
    """Delivers one sink's batches until drained or cancelled. One run a worker; the sink is opened and closed outside.

    - Batches of one partition are sent in the order of sealing, one at a time; up to `sink.concurrency` at once.
    - Whatever the sink does, no other worker waits, and a batch leaves the buffer only when the sink said Delivered
      (acknowledged) or Rejected (recorded as a gap). Else it is sent again: the same bytes under the same name to a
      sink of bytes, the records that are not settled to one of records.
    - What the pipeline holds back of a partition is let out when nothing more of it has come for a while.
    - Cancellation is safe at every await: what was not acknowledged is sent again by the next run.
    """

    def __init__(
        self,
        sink: AnySink,
        outbox: Outbox,
        policy: BatchPolicy,
        meter: Meter,
        *,
        pipeline: Pipeline | None = None,
        clock: Callable[[], float] = time.time,
        draw: Draw = random.random,
        limits: Limits | None = None,
    ) -> None:
        self.sink = sink
        self._outbox = outbox
        self._policy = policy
        self._clock = clock
        self._draw = draw
        self._limits = limits or Limits()
        self._report = Report(sink.name, meter, self._now_ms)
        self._patience = Patience(sink.name, self._limits.pace.backoff, draw)
        self._backlog = Backlog(policy)
        self._breaker = Breaker(self._limits.pace)
        used = pipeline_used(sink, pipeline)
        desk = Desk(
            outbox,
            self._report,
            self._patience,
            now_ms=self._now_ms,
            draw=draw,
            attempt_s=self._limits.attempt_s,
        )
        self._courier = courier_of(sink, used, desk)
        self._carrying = Carrying(sink.name, used, outbox, self._patience, self._now_ms)
        self._attempts: dict[Partition, float] = {}  # when each one's attempt began
        self._arrived = outbox.subscribe(sink.name)
        self._memory = ByteBudget(self._limits.memory)
        self._wake = asyncio.Event()
        self._refresh_s = min(self._limits.refresh_s, policy.max_age_s / 4)
        self._stale = True
        self._reload = True
        self._retired = self._stopping = False
        self._drain_until: float | None = None
        self._gave_up = False
        self._limit: asyncio.Timeout | None = None
        self._finished = asyncio.Event()

    @property
    def state(self) -> State:
        """The sink's health."""
        return self._breaker.state

    def health(self) -> Health:
        """How the sink does."""
        stuck = self._backlog.stuck(self._limits.stuck_after)
        work = Work(len(self._attempts), self.sink.concurrency, stuck, self._policy.max_age_s)
        return health(self._breaker, self._now(), work, self._report.words)

    async def run(self) -> None:
        """Deliver until `drain`, `retire` or `stop` is done, then return; or until cancelled."""
        self._report.state(self._breaker.state)
        try:
            async with asyncio.timeout_at(self._drain_until) as self._limit:
                await self._work()
        except TimeoutError:
            if self._limit is None or not self._limit.expired():
                raise
        finally:
            self._finished.set()
            self._report.levels(self._outbox.stats(), self._now_ms())

    async def drain(self, deadline: float) -> int:
        """Send everything, whatever its age, and make `run` return at `deadline` (the event loop's time) at the latest.

        A sink that fails is tried again until then; one that is parked gets one more attempt. Returns how many
        records remain in the buffer for the sink; they are safe there.
        """
        self.retire()
        self._end_at(deadline)
        try:
            async with asyncio.timeout_at(deadline + self._limits.grace_s):
                await self._finished.wait()
        except TimeoutError:
            log.warning(
                "the sink did not stop when it was told to; it is left behind", extra={"sink": self.sink.name}
            )
        return self._outbox.stats().backlog_records.get(self.sink.name, 0)

    def retire(self) -> None:
        """Send everything, whatever its age and however long it takes, and make `run` return then.

        A sink that fails or is parked is tried again for as long as it takes, unless `drain` or `stop` say when to end.
        """
        self._retired = True
        self._backlog.everything_is_due()
        self._breaker = self._breaker.at_once()
        for sealed in self._backlog.candidates():
            sealed.not_before = -math.inf
        self._stale = True
        self._wake.set()

    def stop(self, within_s: float) -> None:
        """Start nothing more, and make `run` return when what is under way has ended, in so many seconds at the latest.

        What has not ended by then, or was not begun, is for the worker that comes next.
        """
        self._stopping = self._gave_up = True
        self._end_at(self._now() + within_s)
        self._wake.set()

    def _end_at(self, deadline: float) -> None:
        self._drain_until = deadline
        if self._limit is not None and not self._finished.is_set():
            self._limit.reschedule(deadline)

    async def _work(self) -> None:
        name = self.sink.name
        await self._carrying.load()
        async with asyncio.TaskGroup() as group:
            background = (
                group.create_task(self._listen(), name=f"deliver {name}: arrivals"),
                group.create_task(self._show_levels(), name=f"deliver {name}: levels"),
                group.create_task(self._carrying.tidy(self._backlog.has), name=f"deliver {name}: tidying"),
            )
            while not isinstance(step := await self._next_step(), Finished):
                if isinstance(step, Send):
                    self._start(group, step.sealed)
                elif isinstance(step, Seal):
                    await self._seal(step.partition)
                elif isinstance(step, Release):
                    self._backlog.took(self._carrying.held.batch(step.partition))
                else:
                    await self._sleep(step.until)
            for task in background:
                task.cancel()

    async def _next_step(self) -> Step:
        self._wake.clear()  # before looking: what happens from here on wakes the sleep that may follow
        if self._reload:
            if self._attempts:
                return Wait()
            await self._load_sealed()
        if self._wants_refresh():
            await self._load_open()
        step = choose(self._backlog, self._situation())
        if not self._gave_up and (self._arrived.is_set() or self._stale) and self._needs_fresh(step):
            await self._load_open()
            step = choose(self._backlog, self._situation())
        return step

    def _needs_fresh(self, step: Step) -> bool:
        """What a commit has brought may speak against it: lines that belong to what is held; the gap of a batch that
        was rejected while draining.
        """
        return isinstance(step, Finished | Release)

    def _situation(self) -> Situation:
        held = self._carrying.held.due(self._backlog.has)
        if held is not None and self._drain_until is not None and held[0] > self._drain_until:
            held = None  # it stays in the buffer: more of it may come after the restart
        return Situation(
            now=self._now(),
            breaker=self._breaker,
            concurrency=self.sink.concurrency,
            in_flight=len(self._attempts),
            probing=any(began >= self._breaker.changed_at for began in self._attempts.values()),
            draining=self._retired or self._stopping,
            gave_up=self._gave_up,
            held=held,
        )

    def _wants_refresh(self) -> bool:
        """A sink that is down or busy needs no fresh view: there is nothing that it could take."""
        if not self._stale or len(self._attempts) >= self.sink.concurrency:
            return False
        return wants_fresh(self._backlog, self._situation())

    async def _load_sealed(self) -> None:
        name = self.sink.name
        batches = await self._patience.insist("list sealed batches", lambda: self._outbox.sealed(name))
        self._backlog.load_sealed(batches)
        self._reload, self._stale = False, True

    async def _load_open(self) -> None:
        name = self.sink.name
        self._arrived.clear()
        self._stale = False
        began = self._now()
        partitions = await self._patience.insist(
            "list open partitions", lambda: self._outbox.open_partitions(name)
        )
        self._backlog.load_open(partitions, now=self._now(), now_ms=self._now_ms())
        # With thousands of partitions a refresh is work: it may take a twentieth of the time. One that waited for a
        # disk, or while the process was stopped, says nothing about the next.
        usual = min(self._limits.refresh_s, self._policy.max_age_s / 4)
        self._refresh_s = max(usual, min(20 * (self._now() - began), self._limits.most_refresh_s))

    async def _seal(self, partition: Partition) -> None:
        name, size = self.sink.name, self._policy.max_size
        batch = await self._patience.insist(
            "seal a batch", lambda: self._outbox.seal(name, partition, max_size=size)
        )
        if batch is None:
            self._backlog.nothing_to_seal(partition)
        else:
            self._backlog.took(batch)

    async def _sleep(self, until: float | None) -> None:
        try:
            async with asyncio.timeout_at(until):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _start(self, group: asyncio.TaskGroup, sealed: Sealed) -> None:
        sealed.in_flight = True
        self._attempts[sealed.batch.partition] = self._now()
        group.create_task(self._deliver(sealed), name=f"deliver {self.sink.name}: {sealed.batch.name}")

    async def _deliver(self, sealed: Sealed) -> None:
        batch = sealed.batch
        held = batch.batch_id == HELD
        try:
            async with self._memory.hold(batch.size):
                frames: Sequence[bytes] | None = ()
                if not held:
                    frames = await self._patience.insist("read a batch", lambda: self._outbox.read(batch))
                if frames is None:
                    self._reload = True
                    return
                self._attempts[batch.partition] = self._now()
                state = self._carrying.held.state(batch.partition)
                delivery = await self._courier.deliver(Load(batch, frames, state, held), self)
                del frames
            await self._settle(sealed, delivery)
        finally:
            sealed.in_flight = False
            del self._attempts[batch.partition]
            self._wake.set()

    async def _settle(self, sealed: Sealed, delivery: Delivery) -> None:
        batch = sealed.batch = delivery.batch
        began = delivery.began
        if delivery.moved:
            sealed.failures = sealed.stuck = 0
        match delivery.outcome:
            case Delivered():
                if delivery.moved:  # else nothing was left to send, which says nothing about the sink
                    self._step(self._breaker.delivered(began, self._now()), batch, "")
                await self._carrying.settle(batch, delivery.ending)
                self._backlog.settled(sealed)
                self._report.delivered(batch, delivery.records, delivery.ending, self._now_ms())
            case Rejected(reason):
                await self._patience.insist("reject a batch", lambda: self._outbox.reject(batch, reason))
                self._backlog.settled(sealed)
                self._report.rejected(batch, reason)
                # The sink answers. Whether it is well, the next batch shows.
                self._breaker = self._breaker.at_once()
            case Retry(reason, after_s):
                after = self._breaker.failed(began, self._now(), self._draw, after_s)
                if self._is_stuck(sealed, after, after_s):
                    self._failed_alone(sealed, reason)
                else:
                    self._failed_with_sink(sealed, began, after, reason)
            case Parked(reason):
                self._failed_with_sink(sealed, began, self._breaker.parked(began, self._now()), reason)
            case Doubtful(reason):
                self._doubt(sealed, began, reason)
            case Interrupted():
                pass

    # ---- what couriers ask and tell ----

    def width(self, began: float) -> int:
        """A sink that fails gets one parcel at a time, from an attempt that began since."""
        if self._stopping:
            return 0
        if self._breaker.healthy:
            return self.sink.concurrency
        return 1 if began >= self._breaker.changed_at else 0

    def accepted(self, began: float) -> None:
        """A sink that takes a parcel is well."""
        was_healthy = self._breaker.healthy
        self._step(self._breaker.delivered(began, self._now()), None, "")
        if not was_healthy and self._breaker.healthy:
            self._wake.set()

    # ---- failures ----

    def _doubt(self, sealed: Sealed, began: float, reason: str) -> None:
        """While the sink is well, others are tried before the batch is again; else this is one more failure."""
        if not self._breaker.healthy:
            after = self._breaker.failed(began, self._now(), self._draw)
            self._failed_with_sink(sealed, began, after, reason)
            return
        wait_s = self._limits.pace.parked_s
        sealed.failures += 1
        sealed.failed_at = self._now()
        sealed.not_before = sealed.failed_at + wait_s
        sealed.given_up = self._drain_until is not None and sealed.not_before >= self._drain_until
        self._report.doubtful(sealed.batch, reason, wait_s)

    def _is_stuck(self, sealed: Sealed, after: Breaker, after_s: float | None) -> bool:
        """Whether a failure is the batch's own: others were delivered since it failed before, or since it began."""
        if after_s is not None or not self._breaker.healthy:
            return False
        return after.healthy or (sealed.failures > 0 and self._breaker.delivered_at > sealed.failed_at)

    def _failed_alone(self, sealed: Sealed, reason: str) -> None:
        """The batch backs off by itself; while draining it has one more attempt."""
        now = self._now()
        sealed.failures += 1
        sealed.stuck += 1
        sealed.failed_at = now
        sealed.not_before = now + self._limits.pace.backoff.delay_s(sealed.stuck, self._draw)
        sealed.given_up = self._drain_until is not None and sealed.not_before >= self._drain_until
        if sealed.stuck == self._limits.stuck_after:
            self._report.stuck(sealed, reason)

    def _failed_with_sink(self, sealed: Sealed, began: float, after: Breaker, reason: str) -> None:
        """The sink backs off. While draining, a wait beyond the deadline is the end."""
        sealed.failures += 1
        sealed.failed_at = self._now()
        self._step(after, sealed.batch, reason)
        if self._drain_until is not None and not after.healthy:
            self._gave_up = self._gave_up or after.state is State.PARKED or after.gate >= self._drain_until

    def _step(self, after: Breaker, batch: Batch | None, reason: str) -> None:
        before, self._breaker = self._breaker, after
        self._report.stepped(before, after, batch, reason, self._now())

    async def _listen(self) -> None:
        """Commits come several times a second; a fresh view is wanted less often."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            self._stale = True
            self._wake.set()
            await asyncio.sleep(self._refresh_s)

    async def _show_levels(self) -> None:
        """The age of the oldest record grows also when nothing happens."""
        while True:
            self._report.levels(self._outbox.stats(), self._now_ms())
            await asyncio.sleep(self._limits.levels_s)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _now_ms(self) -> float:
        return self._clock() * 1000
