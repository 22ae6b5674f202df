"""A worker whose sink was removed goes on to the end; one that another takes the place of ends what is under way."""

from __future__ import annotations

import asyncio

import pytest

from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.worker import Worker
from shipper.sinks.port import Delivered, Outcome, Parked, Retry
from tests.fakes.delivery import half, house, record_house, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, frame, lines
from tests.fakes.sink import FakeSink
from tests.virtual_time import elapsed, virtual_time

LAZY = BatchPolicy(max_age_s=300.0, max_size=1000)


def worker_of(sink: FakeSink, outbox: FakeOutbox) -> Worker:
    return Worker(sink, outbox, LAZY, FakeMeter(), clock=wall, draw=half)


async def filled(*apps: str) -> FakeOutbox:
    outbox = FakeOutbox(["archive"], wall)
    await outbox.commit([frame(app, at_ms=n) for n, app in enumerate(apps)])
    return outbox


@virtual_time
async def test_a_retired_worker_sends_everything_and_returns() -> None:
    """Whatever its age; by itself, without a deadline."""
    outbox = await filled(*"abcdef")
    worker = worker_of(FakeSink(), outbox)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        await asyncio.sleep(1)
        worker.retire()
    assert len(outbox.acknowledged) == 6
    assert elapsed() < 2


@virtual_time
@pytest.mark.parametrize("refusal", [Retry("down"), Parked("no key")])
async def test_a_retired_worker_does_not_give_up(refusal: Outcome) -> None:
    """A sink that is down or parked for an hour gets what is its own when it is back."""
    outbox = await filled(*"abc")
    sink = FakeSink(otherwise=refusal)
    worker = worker_of(sink, outbox)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        worker.retire()
        await asyncio.sleep(3600)
        assert outbox.acknowledged == []
        sink.otherwise = Delivered()
    assert len(outbox.acknowledged) == 3


@virtual_time
async def test_a_retired_worker_that_cannot_finish_is_drained_like_others() -> None:
    outbox = await filled(*"abc")
    worker = worker_of(FakeSink(otherwise=Parked("no key")), outbox)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        worker.retire()
        await asyncio.sleep(10)
        assert await worker.drain(asyncio.get_running_loop().time() + 5) == 3


@virtual_time
async def test_a_worker_that_is_stopped_ends_what_is_under_way_and_begins_nothing() -> None:
    """What it acknowledged is not sent again by the worker that comes next, which sends the rest."""
    outbox = await filled(*"abcdefgh")
    slow = FakeSink(concurrency=2, seconds=3.0)
    worker = worker_of(slow, outbox)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        await asyncio.sleep(300.5)
        assert len(slow.attempts) == 2
        worker.stop(30.0)
    assert elapsed() == pytest.approx(303, abs=0.5)
    assert len(outbox.acknowledged) == len(slow.attempts) == 2
    new = FakeSink()
    worker = worker_of(new, outbox)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        worker.retire()
    assert len(new.attempts) == 6
    assert len(outbox.acknowledged) == 8


@virtual_time
async def test_a_worker_that_cannot_stop_in_time_is_cut() -> None:
    """Its batch stays sealed, under its name, for whoever comes next."""
    outbox = await filled("a")
    hangs = FakeSink(seconds=1e6)
    worker = worker_of(hangs, outbox)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        await asyncio.sleep(301)
        worker.stop(30.0)
    assert elapsed() == pytest.approx(331, abs=0.5)
    again = FakeSink()
    worker = worker_of(again, outbox)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        worker.retire()
    assert again.names == hangs.names


@virtual_time
async def test_a_worker_can_be_stopped_before_it_ran_and_after_it_ended() -> None:
    outbox = await filled("a")
    worker = worker_of(FakeSink(), outbox)
    worker.stop(30.0)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
    assert elapsed() < 0.1
    worker.stop(30.0)
    worker.retire()
    assert outbox.acknowledged == []


@virtual_time
async def test_a_worker_that_fails_or_is_parked_stops_at_once() -> None:
    async with house(FakeSink(otherwise=Parked("no"))) as inside:
        await inside.outbox.commit([frame("a")])
        await asyncio.sleep(100)
        inside.worker.stop(30.0)
        assert await inside.worker.drain(asyncio.get_running_loop().time()) == 1


@virtual_time
async def test_a_long_batch_of_records_is_left_between_two_parcels() -> None:
    """What was accepted is written down, so that the worker that comes next goes on behind it."""
    async with record_house() as inside:
        inside.sink.seconds = 1.0
        inside.sink.most = 1
        await inside.outbox.commit([lines(*(f"line {n}" for n in range(40)))])
        while len(inside.sink.accepted) < 4:
            await asyncio.sleep(0.1)
        inside.worker.stop(30.0)
        began = elapsed()
        await inside.worker.drain(asyncio.get_running_loop().time() + 30)
        assert elapsed() - began < 2
        (batch,) = await inside.outbox.sealed(inside.sink.name)
        assert 0 < batch.done < 40
