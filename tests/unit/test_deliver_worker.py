"""A worker sends what is due, when it is due, in order and once."""

from __future__ import annotations

import asyncio

import pytest

from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.report import journey_s
from shipper.deliver.worker import Worker
from shipper.model import Kind
from shipper.sinks.port import Delivered, Parked, Retry
from tests.fakes.delivery import EPOCH_S, POLICY, half, house, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOpenPartition, FakeOutbox, frame
from tests.fakes.sink import FakeSink
from tests.virtual_time import STARTS_AT, elapsed, settle, virtual_time


@virtual_time
async def test_frames_are_delivered_when_the_oldest_reaches_its_age() -> None:
    async with house() as it:
        await it.outbox.commit([frame(records=3)])
        await asyncio.sleep(59.5)
        assert it.sink.attempts == []
        await it.outbox.commit([frame(records=2)])
        await it.until_delivered(1)
        assert it.sink.times == [pytest.approx(STARTS_AT + 60.0)]
        assert it.delivered() == 5


@virtual_time
async def test_frames_are_delivered_at_once_when_they_reach_the_size() -> None:
    async with house() as it:
        await it.outbox.commit([frame(size=600), frame(size=600)])
        await it.until_delivered(1)
        assert elapsed() < 0.2
        assert [batch.size for batch in it.outbox.acknowledged] == [600]


@virtual_time
async def test_a_policy_without_age_delivers_each_commit() -> None:
    async with house(policy=BatchPolicy(0.0, 1000)) as it:
        for count in range(1, 4):
            await it.outbox.commit([frame()])
            await it.until_delivered(count, within_s=0.2)


@virtual_time
async def test_batches_that_an_earlier_run_sealed_go_first_and_keep_their_names() -> None:
    outbox = FakeOutbox(["archive"], wall)
    await outbox.commit([frame("a", at_ms=1), frame("b", at_ms=2)])
    sealed = [await outbox.seal("archive", frame(app).partition, max_size=100) for app in "ab"]
    await outbox.commit([frame("c", size=2000, at_ms=3)])
    async with house(FakeSink(concurrency=1), outbox=outbox) as it:
        await it.until_delivered(3)
        assert it.sink.names[:2] == [batch.name for batch in sealed if batch]
        assert it.sink.names[2].startswith("0000000000003")


@virtual_time
async def test_at_most_the_sinks_concurrency_is_in_flight_and_one_of_each_partition() -> None:
    sink = FakeSink(concurrency=3, seconds=1.0)
    async with house(sink) as it:
        await it.outbox.commit([frame(app, size=900, at_ms=n) for n, app in enumerate("abcde" * 4)])
        await it.until_delivered(20)
        assert sink.most_at_once == 3
        for app in "abcde":
            names = [batch.name for _, batch in sink.attempts if batch.partition.app == app]
            assert names == sorted(names)


@virtual_time
async def test_a_backlog_of_one_partition_is_delivered_in_order_in_batches_of_the_size() -> None:
    async with house() as it:
        await it.outbox.commit([frame(size=400, at_ms=n) for n in range(10)])
        await it.until_delivered(4)
        assert elapsed() < 1
        await it.until_delivered(5)
        assert elapsed() >= 60, "the last ones are too few to be due by size"
        assert [batch.size for batch in it.outbox.acknowledged] == [800] * 5
        assert it.sink.names == sorted(it.sink.names)


@virtual_time
async def test_a_busy_minute_of_commits_refreshes_the_view_once_a_second_at_most() -> None:
    async with house() as it:
        for _ in range(120):
            await it.outbox.commit([frame(app=f"app-{n}") for n in range(5)])
            await asyncio.sleep(0.25)
        assert it.outbox.calls.count("open_partitions") <= 32


@virtual_time
async def test_a_look_at_the_buffer_that_took_a_minute_is_not_the_last_for_twenty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A disk stood still, or the process was stopped: what is committed after that is delivered as ever."""
    look, slow = FakeOutbox.open_partitions, [60.0]

    async def slow_once(self: FakeOutbox, sink: str) -> list[FakeOpenPartition]:
        await asyncio.sleep(slow.pop() if slow else 0.0)
        return await look(self, sink)

    async with house(policy=BatchPolicy(0.2, 1000)) as it:
        await settle()
        monkeypatch.setattr(FakeOutbox, "open_partitions", slow_once)
        await it.outbox.commit([frame()])
        await it.until_delivered(1, within_s=70.0)
        for count in range(2, 5):
            await it.outbox.commit([frame()])
            await it.until_delivered(count, within_s=8.0)


@virtual_time
async def test_an_idle_worker_asks_the_buffer_for_nothing() -> None:
    async with house() as it:
        await settle()
        before = len(it.outbox.calls)
        await asyncio.sleep(3600)
        assert len(it.outbox.calls) == before


@virtual_time
async def test_delivery_is_counted_by_sink_kind_and_outcome() -> None:
    async with house(FakeSink(script=[Retry("503")])) as it:
        await it.outbox.commit(
            [
                frame(records=7, size=1000, at_ms=round(wall() * 1000) - 4000),
                frame(kind=Kind.EVENTS, size=2000),
            ]
        )
        await it.until_delivered(2)
        await settle()
        counts = it.meter.counts
        assert counts["records_delivered_total", "archive", "logs"] == 7
        assert counts["records_delivered_total", "archive", "events"] == 1
        assert counts["bytes_delivered_total", "archive"] == 3000
        assert counts["sink_requests_total", "archive", "delivered"] == 2
        assert counts["sink_requests_total", "archive", "retry"] == 1
        assert len(it.meter.observations["sink_request_seconds", "archive"]) == 3
        journeys = it.meter.observations["delivery_seconds", "archive"]
        assert journeys == [pytest.approx(4.0, abs=0.5)] * 2, "records of 1970 are not observed"


@virtual_time
async def test_backlog_and_age_are_shown_and_the_age_grows_while_nothing_happens() -> None:
    async with house(FakeSink(otherwise=Parked("AccessDenied"))) as it:
        await it.outbox.commit([frame(records=9, size=2000)])
        await asyncio.sleep(100)
        assert it.meter.levels["sink_backlog_records", "archive"] == 9
        assert 95 <= it.meter.levels["sink_oldest_unacked_seconds", "archive"] <= 100
        assert it.meter.levels["sink_state", "archive", "parked"] == 1
        assert it.meter.levels["sink_state", "archive", "healthy"] == 0
        it.sink.otherwise = Delivered()
        await it.until_delivered(1)
        await asyncio.sleep(10)
        assert it.meter.levels["sink_backlog_records", "archive"] == 0
        assert it.meter.levels["sink_oldest_unacked_seconds", "archive"] == 0
        assert it.meter.levels["sink_state", "archive", "healthy"] == 1


@virtual_time
async def test_a_wall_clock_that_is_set_back_by_a_day_does_not_postpone_delivery() -> None:
    jumps = {"by": 0.0}
    outbox = FakeOutbox(["archive"], wall)
    sink = FakeSink()
    worker = Worker(sink, outbox, POLICY, FakeMeter(), clock=lambda: wall() + jumps["by"], draw=half)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run(), name="worker")
        await outbox.commit([frame()])
        await asyncio.sleep(5)
        jumps["by"] = -86_400.0
        await outbox.commit([frame()])
        await asyncio.sleep(70)
        assert sink.times == [STARTS_AT + 60.0]
        running.cancel()


def test_an_absurd_record_time_is_not_observed() -> None:
    now_ms = EPOCH_S * 1000
    assert journey_s(round(now_ms) - 5000, now_ms) == 5.0
    assert journey_s(round(now_ms) + 5000, now_ms) == 0.0, "a clock that is a little ahead"
    for absurd in (0, -(10**15), 253_402_300_799_000, round(now_ms) + 7_200_000):
        assert journey_s(absurd, now_ms) is None
