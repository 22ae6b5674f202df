"""Draining sends everything that can be sent before its deadline, and tells what remains."""

from __future__ import annotations

import asyncio
import logging

import pytest

from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.worker import Worker
from shipper.model import Batch
from shipper.sinks.port import Delivered, Outcome, Parked, Rejected, Retry
from tests.fakes.delivery import half, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, frame
from tests.fakes.sink import FakeSink
from tests.virtual_time import elapsed, virtual_time

POLICY = BatchPolicy(max_age_s=300.0, max_size=1000)


async def drained(
    sink: FakeSink, outbox: FakeOutbox, *, before_s: float = 1.0, timeout_s: float = 30.0
) -> int:
    """Run a worker for a while, then drain it; `run` has returned by itself when this returns."""
    worker = Worker(sink, outbox, POLICY, FakeMeter(), clock=wall, draw=half)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        await asyncio.sleep(before_s)
        remaining = await worker.drain(asyncio.get_running_loop().time() + timeout_s)
    assert sink.violations == []
    return remaining


async def filled(*apps: str) -> FakeOutbox:
    outbox = FakeOutbox(["archive"], wall)
    await outbox.commit([frame(app, at_ms=n) for n, app in enumerate(apps)])
    return outbox


@virtual_time
async def test_everything_open_is_sealed_and_sent_whatever_its_age() -> None:
    outbox = await filled(*"abcdefghij")
    assert await drained(FakeSink(), outbox) == 0
    assert elapsed() < 2
    assert len(outbox.acknowledged) == 10


@virtual_time
async def test_nothing_to_send_is_drained_at_once() -> None:
    assert await drained(FakeSink(), FakeOutbox(["archive"], wall)) == 0
    assert elapsed() < 1.1


@virtual_time
async def test_a_drain_before_the_first_step_of_run_still_sends_everything() -> None:
    outbox = await filled(*"abc")
    assert await drained(FakeSink(), outbox, before_s=0) == 0
    assert len(outbox.acknowledged) == 3


@virtual_time
async def test_a_commit_just_before_the_drain_is_sent_too() -> None:
    outbox = await filled("a")
    worker = Worker(FakeSink(), outbox, POLICY, FakeMeter(), clock=wall, draw=half)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        await asyncio.sleep(1)
        for n in range(3):
            await outbox.commit([frame(app="late", at_ms=100 + n)])
            await asyncio.sleep(0)
        assert await worker.drain(asyncio.get_running_loop().time() + 10) == 0


@virtual_time
async def test_at_the_deadline_the_rest_stays_in_the_buffer() -> None:
    outbox = await filled(*(f"app-{n}" for n in range(100)))
    remaining = await drained(FakeSink(concurrency=2, seconds=1.0), outbox, timeout_s=10.5)
    assert elapsed() == pytest.approx(11.5, abs=0.1)
    assert remaining == 80
    assert len(outbox.acknowledged) == 20


@virtual_time
async def test_a_failing_sink_is_tried_again_until_the_deadline() -> None:
    outbox = await filled(*"abcdefgh")
    sink = FakeSink(otherwise=Retry("refused"))
    await outbox.commit([frame("full", size=2000)])
    assert await drained(sink, outbox, before_s=120) == 9
    assert elapsed() <= 150
    assert len([time for time in sink.times if time >= 1120]) > 1


@virtual_time
async def test_a_failing_sink_that_recovers_while_draining_gets_everything() -> None:
    async def answer(_: Batch) -> Outcome:
        return Delivered() if elapsed() > 130 else Retry("refused")

    outbox = await filled(*"abcdefgh")
    await outbox.commit([frame("full", size=2000)])
    assert await drained(FakeSink(otherwise=answer), outbox, before_s=120) == 0


@virtual_time
async def test_a_parked_sink_gets_one_attempt() -> None:
    outbox = await filled("a", "b")
    await outbox.commit([frame("full", size=2000)])
    sink = FakeSink(otherwise=Parked("AccessDenied"))
    assert await drained(sink, outbox, before_s=30) == 3
    assert len(sink.attempts) == 2
    assert elapsed() < 31


@virtual_time
async def test_a_sink_that_goes_down_while_draining_holds_it_no_longer_than_the_deadline() -> None:
    outbox = await filled(*"abcdefgh")
    sink = FakeSink(otherwise=Retry("reset"))
    assert await drained(sink, outbox) == 8
    assert elapsed() <= 31
    assert len(sink.attempts) > 5, "four at once, then one after the other"


@virtual_time
async def test_a_lone_failure_while_draining_does_not_end_it() -> None:
    outbox = await filled(*"abcdefgh")
    assert await drained(FakeSink(script=[Retry("reset")]), outbox) == 0


@virtual_time
async def test_failures_in_flight_together_while_draining_cost_no_batch_its_delivery() -> None:
    async def late(_: Batch) -> Outcome:
        await asyncio.sleep(0.5)
        return Retry("reset")

    outbox = await filled(*"abcdefgh")
    assert await drained(FakeSink(script=[Retry("reset"), late, late]), outbox) == 0
    assert elapsed() < 3


@virtual_time
async def test_a_wish_beyond_the_deadline_is_not_waited_for() -> None:
    outbox = await filled("a", "b")
    assert await drained(FakeSink(concurrency=1, otherwise=Retry("429", after_s=60)), outbox) == 2
    assert elapsed() < 2


@virtual_time
async def test_a_batch_that_fails_alone_does_not_keep_others_from_draining() -> None:
    async def poisoned(batch: Batch) -> Outcome:
        return Retry("500") if batch.partition.app == "poison" else Delivered()

    outbox = await filled("poison", *"abcdefgh")
    assert await drained(FakeSink(concurrency=2, otherwise=poisoned), outbox) == 1
    assert elapsed() <= 31


@virtual_time
async def test_rejected_batches_are_settled_while_draining() -> None:
    outbox = await filled(*"abc")
    assert await drained(FakeSink(otherwise=Rejected("no")), outbox) == 0
    assert len(outbox.rejected) == 3


@virtual_time
async def test_a_hanging_attempt_is_cancelled_at_the_deadline() -> None:
    outbox = await filled("a")
    assert await drained(FakeSink(seconds=1e9), outbox, timeout_s=5) == 1
    assert elapsed() == pytest.approx(6, abs=0.1)


@virtual_time
async def test_a_buffer_that_refuses_ends_the_drain_at_the_deadline() -> None:
    outbox = await filled("a")
    outbox.refusals = 10**9
    assert await drained(FakeSink(), outbox, timeout_s=5) == 1
    assert elapsed() == pytest.approx(6, abs=0.1)


@virtual_time
async def test_a_deadline_that_has_passed_stops_at_once() -> None:
    outbox = await filled("a")
    assert await drained(FakeSink(seconds=5), outbox, timeout_s=-1) == 1
    assert elapsed() < 1.1


@virtual_time
async def test_a_sink_that_ignores_cancellation_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    released = asyncio.Event()

    async def stubborn(_: Batch) -> Outcome:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        return Delivered()

    outbox = await filled("a")
    worker = Worker(FakeSink(otherwise=stubborn), outbox, POLICY, FakeMeter(), clock=wall, draw=half)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        await asyncio.sleep(1)
        assert await worker.drain(asyncio.get_running_loop().time() + 5) == 1
        assert elapsed() == pytest.approx(7, abs=0.1)
        released.set()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


@virtual_time
async def test_draining_a_worker_that_was_cancelled_only_tells_what_remains() -> None:
    outbox = await filled(*"abc")
    worker = Worker(FakeSink(), outbox, POLICY, FakeMeter(), clock=wall, draw=half)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run(), name="worker")
        await asyncio.sleep(1)
        running.cancel()
    assert await worker.drain(asyncio.get_running_loop().time() + 5) == 3
    assert elapsed() < 1.1
