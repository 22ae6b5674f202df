"""Aborted at any moment, a worker leaves a buffer from which the next run delivers everything, each record once."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import pytest

from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.worker import Worker
from shipper.model import Batch
from shipper.sinks.port import Delivered, Outcome, Rejected, Retry
from tests.fakes.delivery import half, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, frame
from tests.fakes.sink import FakeSink
from tests.virtual_time import virtual_time

POLICY = BatchPolicy(max_age_s=2.0, max_size=100)
APPS = "abc"
FRAMES = [frame(app, size=60, at_ms=n) for n, app in itertools.product(range(4), APPS)]


def sink_with_everything(name: str = "archive") -> FakeSink:
    """Its answers are of every kind; later it takes everything."""

    async def slow(_: Batch) -> Outcome:
        await asyncio.sleep(0.2)
        return Delivered()

    return FakeSink(
        name, concurrency=2, seconds=0.03, script=[Retry("503"), slow, Rejected("no"), Retry("reset")]
    )


async def abort_at(step: int, *, drain_at: int | None = None) -> bool:
    """Cancel a run after `step` rounds of the loop, then let another run finish. False if the run was over before."""
    outbox = FakeOutbox(["archive"], wall)
    sink = sink_with_everything()
    worker = Worker(sink, outbox, POLICY, FakeMeter(), clock=wall, draw=half)
    await outbox.commit(FRAMES[:6])
    run = asyncio.create_task(worker.run(), name="worker")
    draining: asyncio.Task[int] | None = None
    for round_ in range(step):
        if run.done():
            return False
        if round_ == 20:
            await outbox.commit(FRAMES[6:])
        if round_ == drain_at:
            draining = asyncio.create_task(worker.drain(asyncio.get_running_loop().time() + 60), name="drain")
        await asyncio.sleep(0 if round_ % 3 else 0.004)
    if run.done():
        return False
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    if draining is not None:
        await draining
    if step <= 20:
        await outbox.commit(FRAMES[6:])
    again = Worker(sink, outbox, POLICY, FakeMeter(), clock=wall, draw=half)
    async with asyncio.TaskGroup() as group:
        group.create_task(again.run(), name="again")
        await asyncio.sleep(60)
        assert await again.drain(asyncio.get_running_loop().time() + 60) == 0
    assert sink.violations == []
    _nothing_lost_nothing_twice(sink, outbox)
    return True


def _nothing_lost_nothing_twice(sink: FakeSink, outbox: FakeOutbox) -> None:
    archived = Counter(dict.fromkeys(sink.objects, 1))
    rejected = Counter((batch.partition, batch.name) for batch, _ in outbox.rejected)
    assert max((archived + rejected).values()) == 1
    sizes = sum(len(data) for data in sink.objects.values()) + sum(batch.size for batch, _ in outbox.rejected)
    assert sizes == sum(len(one.data) for one in FRAMES)


@virtual_time
async def test_cancelled_at_any_moment_of_a_run_nothing_is_lost_or_doubled() -> None:
    for step in range(300):
        await abort_at(step)


@virtual_time
async def test_cancelled_at_any_moment_of_a_drain_nothing_is_lost_or_doubled() -> None:
    step = 30
    while await abort_at(step, drain_at=25):
        step += 1
    assert step > 100, "the drain was over before anything could go wrong"
