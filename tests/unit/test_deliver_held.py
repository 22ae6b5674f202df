"""What a pipeline holds back of a partition joins what comes next, and goes by itself when nothing comes."""

from __future__ import annotations

import asyncio

import pytest

from shipper.deliver.breaker import State
from shipper.deliver.worker import Worker
from shipper.model import Carried
from shipper.sinks.port import Answer, Delivered, Malformed, Parked, Retry
from tests.fakes.delivery import POLICY, RECORD_POLICY, half, record_house, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, lines
from tests.fakes.pipeline import FakePipeline
from tests.fakes.record_sink import FakeRecordSink, Texts
from tests.fakes.sink import FakeSink
from tests.virtual_time import elapsed, virtual_time

SHOP = lines("x").partition


@virtual_time
async def test_a_trace_that_two_batches_share_arrives_as_one_record() -> None:
    async with record_house() as it:
        await it.outbox.commit([lines("before", "trace")])
        await asyncio.sleep(2)
        await it.outbox.commit([lines("+ at a", "+ at b", "after")])
        await it.until_delivered(2)
        assert it.sink.texts == ["before", "trace\n+ at a\n+ at b", "after"]
        assert it.delivered() == 5


@virtual_time
async def test_what_is_held_goes_when_nothing_more_has_come_for_its_time() -> None:
    async with record_house() as it:
        await it.outbox.commit([lines("trace", "+ at a")])
        await asyncio.sleep(3.5)
        assert it.sink.texts == []
        assert it.outbox.stats().backlog_records["logs"] == 2
        await asyncio.sleep(1.0)
        assert it.sink.texts == ["trace\n+ at a"]
        assert it.outbox.states == {}
        assert it.outbox.stats().backlog_records["logs"] == 0
        assert it.delivered() == 2


@virtual_time
async def test_what_is_held_waits_for_what_of_its_partition_is_not_sent_yet() -> None:
    async with record_house(policy=POLICY) as it:
        await it.outbox.commit([lines("trace", "x" * 1000)])
        await it.until_delivered(1)
        await it.outbox.commit([lines("trace")])
        await asyncio.sleep(50)
        await it.outbox.commit([lines("+ at a")])
        await asyncio.sleep(30)
        assert it.sink.texts == ["trace", "x" * 1000, "trace\n+ at a"]


@virtual_time
async def test_a_commit_that_is_not_seen_yet_still_joins_what_is_held() -> None:
    async with record_house(pipeline=FakePipeline(hold_s=2.0)) as it:
        await it.outbox.commit([lines("trace")])
        await asyncio.sleep(2.995)
        await it.outbox.commit([lines("+ at a", "after")])
        await it.until_delivered(2)
        assert it.sink.texts == ["trace\n+ at a", "after"]


@virtual_time
async def test_each_partition_has_its_own() -> None:
    async with record_house() as it:
        await it.outbox.commit([lines("trace", app="a"), lines("trace", app="b"), lines("plain", app="c")])
        await asyncio.sleep(2)
        await it.outbox.commit([lines("+ more", "end", app="a")])
        await asyncio.sleep(10)
        assert sorted(it.sink.texts) == ["end", "plain", "trace", "trace\n+ more"]


@virtual_time
async def test_what_is_held_outlives_a_restart() -> None:
    outbox = FakeOutbox(["logs"], wall)
    async with record_house(outbox=outbox) as it:
        await outbox.commit([lines("trace")])
        await it.until_delivered(1)
    async with record_house(outbox=outbox) as it:
        await outbox.commit([lines("+ at a", "after")])
        await it.until_delivered(2)
        assert it.sink.texts == ["trace\n+ at a", "after"]


@virtual_time
async def test_what_is_held_from_before_a_restart_goes_when_its_time_is_over() -> None:
    outbox = FakeOutbox(["logs"], wall)
    async with record_house(outbox=outbox) as it:
        await outbox.commit([lines("trace")])
        await it.until_delivered(1)
    await asyncio.sleep(1)
    began = elapsed()
    async with record_house(outbox=outbox) as it:
        while not it.sink.texts:
            await asyncio.sleep(0.05)
        assert elapsed() - began == pytest.approx(2.0, abs=0.2)


@virtual_time
async def test_a_wall_clock_that_was_set_back_postpones_nothing_for_longer_than_its_time() -> None:
    outbox = FakeOutbox(["logs"], wall)
    state = b'{"held":[{"line":"trace","timestamp_ms":0}]}'
    outbox.states["logs", SHOP] = Carried(SHOP, state, 1, round(wall() * 1000) + 86_400_000)
    async with record_house(outbox=outbox) as it:
        await asyncio.sleep(3.2)
        assert it.sink.texts == ["trace"]


@virtual_time
async def test_a_held_record_that_fails_is_tried_again_like_a_batch() -> None:
    async with record_house(FakeRecordSink(script=[Retry("503"), Retry("503")])) as it:
        await it.outbox.commit([lines("trace", "+ at a")])
        await asyncio.sleep(10)
        assert it.sink.texts == ["trace\n+ at a"]
        assert it.worker.state is State.HEALTHY


@virtual_time
async def test_a_sink_that_is_down_with_nothing_but_held_records_is_probed_with_them() -> None:
    def down(_: Texts) -> Answer:
        return Parked("403") if elapsed() < 300 else Delivered()

    async with record_house(FakeRecordSink(judge=down)) as it:
        await it.outbox.commit([lines("trace")])
        await asyncio.sleep(290)
        assert it.worker.state is State.PARKED
        assert len(it.sink.requests) == 5
        await asyncio.sleep(70)
        assert it.sink.texts == ["trace"]


@virtual_time
async def test_what_comes_while_held_records_are_on_their_way_comes_after_them() -> None:
    async with record_house(FakeRecordSink(seconds=20.0)) as it:
        await it.outbox.commit([lines("trace")])
        await asyncio.sleep(6)
        assert it.sink.under_way == 1
        await it.outbox.commit([lines("+ late", "after")])
        await it.until_delivered(2)
        assert it.sink.texts == ["trace", "+ late", "after"]


@virtual_time
async def test_a_held_record_that_is_refused_is_buried() -> None:
    async with record_house(FakeRecordSink(judge=lambda _: Malformed("400"))) as it:
        await it.outbox.commit([lines("trace", "+ at a")])
        await asyncio.sleep(10)
        assert len(it.outbox.letters) == 1
        assert it.outbox.states == {}


@virtual_time
async def test_a_drain_waits_for_held_records_until_their_time_is_over() -> None:
    async with record_house(pipeline=FakePipeline(hold_s=5.0)) as it:
        await it.outbox.commit([lines("trace", app="a"), lines("trace", app="b")])
        await it.until_delivered(2)
        assert await it.worker.drain(asyncio.get_running_loop().time() + 30) == 0
        assert it.sink.texts == ["trace", "trace"]
        assert elapsed() == pytest.approx(6, abs=0.5)


@virtual_time
async def test_a_drain_leaves_in_the_buffer_what_is_held_beyond_its_deadline() -> None:
    async with record_house(pipeline=FakePipeline(hold_s=60.0)) as it:
        await it.outbox.commit([lines("trace")])
        await it.until_delivered(1)
        assert await it.worker.drain(asyncio.get_running_loop().time() + 30) == 1
        assert elapsed() < 3, "and does not wait for it"
        assert it.outbox.states["logs", SHOP].records == 1


@virtual_time
async def test_counts_of_a_partition_are_carried_and_forgotten_when_it_was_silent_for_an_hour() -> None:
    async with record_house() as it:
        for number in range(3):
            await it.outbox.commit([lines(f"count {number}")])
            await it.until_delivered(number + 1)
        assert it.outbox.states["logs", SHOP].state == b'{"held": [], "seen": 3}'
        assert it.outbox.stats().backlog_records["logs"] == 0
        await asyncio.sleep(3500)
        assert it.outbox.states != {}
        await asyncio.sleep(200)
        assert it.outbox.states == {}
        assert len(it.sink.requests) == 3
        await it.outbox.commit([lines("count anew")])
        await it.until_delivered(4)
        assert it.outbox.states["logs", SHOP].state == b'{"held": [], "seen": 1}'


@virtual_time
async def test_a_pipeline_without_state_writes_none() -> None:
    async with record_house() as it:
        await it.outbox.commit([lines("plain")])
        await it.until_delivered(1)
        assert "carry" not in it.outbox.calls
        assert it.outbox.states == {}


@virtual_time
async def test_a_sink_that_has_no_pipeline_any_more_forgets_what_one_held() -> None:
    outbox = FakeOutbox(["archive"], wall)
    outbox.states["archive", SHOP] = Carried(SHOP, b"{}", 0, 0)
    worker = Worker(FakeSink(), outbox, RECORD_POLICY, FakeMeter(), clock=wall, draw=half)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run(), name="worker")
        await asyncio.sleep(1)
        assert outbox.states == {}
        running.cancel()
