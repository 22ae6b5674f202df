"""A sink of records gets every record of its batches in parcels, and what it has taken is known."""

from __future__ import annotations

import asyncio
import logging

import pytest

from shipper.deliver.breaker import State
from shipper.deliver.worker import Worker
from shipper.model import Kind
from shipper.sinks.port import Answer, Delivered, Parked, Retry
from tests.fakes.delivery import EPOCH_S, RECORD_POLICY, record_house, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, lines
from tests.fakes.pipeline import FakePipeline
from tests.fakes.record_sink import FakeRecordSink, Texts
from tests.virtual_time import elapsed, settle, virtual_time


def numbered(count: int, start: int = 0) -> list[str]:
    return [f"line {number}" for number in range(start, start + count)]


@virtual_time
async def test_every_record_arrives_once_in_parcels_of_the_sinks_own_size() -> None:
    async with record_house() as it:
        await it.outbox.commit([lines(*numbered(10)), lines(*numbered(3, 10))])
        await it.until_delivered(1)
        assert it.sink.counts == dict.fromkeys(numbered(13), 1)
        assert [len(texts) for texts in it.sink.accepted] == [4, 4, 4, 1]
        assert it.delivered() == 13
        assert it.meter.counts["sink_requests_total", "logs", "delivered"] == 4
        assert it.meter.counts["bytes_delivered_total", "logs"] == it.outbox.acknowledged[0].size


@virtual_time
async def test_parcels_of_all_batches_together_are_as_many_at_once_as_the_sink_wants() -> None:
    async with record_house(FakeRecordSink(seconds=1.0)) as it:
        await it.outbox.commit([lines(*numbered(40), app=app) for app in "abcde"])
        await it.until_delivered(5)
        assert it.sink.most_at_once == 3
        assert elapsed() == pytest.approx(1 + 50 / 3, abs=2), "and no fewer"


@virtual_time
async def test_a_sink_of_records_needs_a_pipeline() -> None:
    with pytest.raises(ValueError, match="pipeline"):
        Worker(FakeRecordSink(), FakeOutbox(["logs"], wall), RECORD_POLICY, FakeMeter())


@virtual_time
async def test_what_the_pipeline_drops_and_redacts_is_counted_once_however_often_the_batch_is_tried() -> None:
    sink = FakeRecordSink(script=[Retry("503"), Retry("503")])
    async with record_house(sink) as it:
        await it.outbox.commit([lines("drop this", "a secret", "unwanted", "kept")])
        await it.until_delivered(1)
        assert it.meter.counts["records_dropped_total", "logs", "filtered"] == 1
        assert it.meter.counts["records_dropped_total", "logs", "unwanted"] == 1
        assert it.meter.counts["redactions_total", "logs", "bearer_token"] == 1
        assert it.delivered() == 2
        assert it.sink.texts == ["a ***", "kept"]


@virtual_time
async def test_a_batch_of_which_nothing_is_left_is_acknowledged_without_a_request() -> None:
    async with record_house() as it:
        await it.outbox.commit([lines("drop a", "drop b")])
        await it.outbox.commit([lines("unwanted", app="other")])
        await it.until_delivered(2)
        assert it.sink.requests == []
        assert it.delivered() == 0


@virtual_time
async def test_a_joined_record_counts_as_the_lines_it_was_made_of() -> None:
    async with record_house() as it:
        await it.outbox.commit([lines("trace", "+ at a", "+ at b", "after")])
        await it.until_delivered(1)
        assert it.sink.texts == ["trace\n+ at a\n+ at b", "after"]
        assert it.delivered() == 4


@virtual_time
async def test_delivery_is_observed_from_the_records_own_time() -> None:
    async with record_house() as it:
        await it.outbox.commit([lines("x", at_ms=round((EPOCH_S - 5) * 1000))])
        await it.until_delivered(1)
        await settle()
        assert it.meter.observations["delivery_seconds", "logs"] == [pytest.approx(6.0, abs=0.5)] * 2


@virtual_time
async def test_a_batch_that_fails_goes_on_where_its_longest_settled_beginning_ends() -> None:
    sink = FakeRecordSink(concurrency=1, script=[Delivered(), Delivered(), Retry("reset")])
    async with record_house(sink) as it:
        await it.outbox.commit([lines(*numbered(16))])
        await asyncio.sleep(1.045)
        batch = (await it.outbox.sealed("logs"))[0]
        assert (batch.done, batch.plan) == (8, "plan-1")
        await it.until_delivered(1)
        assert it.sink.counts == dict.fromkeys(numbered(16), 1)
        assert it.delivered() == 16


@virtual_time
async def test_parcels_beyond_a_failed_one_that_were_taken_are_not_sent_again() -> None:
    def slow_down(texts: Texts) -> Answer:
        return Retry("429") if "line 0" in texts and elapsed() < 20 else Delivered()

    async with record_house(FakeRecordSink(judge=slow_down)) as it:
        await it.outbox.commit([lines(*numbered(24))])
        await it.until_delivered(1)
        assert it.sink.counts == dict.fromkeys(numbered(24), 1)
        assert it.delivered() == 24


@virtual_time
async def test_a_restart_goes_on_after_the_progress_that_was_written_down() -> None:
    outbox = FakeOutbox(["logs"], wall)
    async with record_house(FakeRecordSink(concurrency=1, seconds=0.5), outbox=outbox) as it:
        await outbox.commit([lines(*numbered(40))])
        await asyncio.sleep(4.2)
        first = it.sink.texts
        assert len(first) == 24
    async with record_house(outbox=outbox) as it:
        await it.until_delivered(1)
        assert it.sink.texts == numbered(16, 24), "a cancelled attempt has a last word"


@virtual_time
async def test_progress_is_written_down_at_most_once_a_second_while_all_goes_well() -> None:
    async with record_house(FakeRecordSink(concurrency=1, seconds=0.1)) as it:
        await it.outbox.commit([lines(*numbered(400))])
        await it.until_delivered(1)
        assert 8 <= it.outbox.calls.count("progressed") <= 10


@virtual_time
async def test_progress_under_another_plan_means_nothing() -> None:
    outbox = FakeOutbox(["logs"], wall)
    async with record_house(
        FakeRecordSink(script=[Delivered(), Parked("403"), Parked("403")]), outbox=outbox
    ):
        await outbox.commit([lines(*numbered(12))])
        await asyncio.sleep(5)
    assert (await outbox.sealed("logs"))[0].done == 4
    async with record_house(pipeline=FakePipeline(plan="plan-2"), outbox=outbox) as it:
        await it.until_delivered(1)
        assert it.sink.texts == numbered(12)


@virtual_time
async def test_a_batch_is_unpacked_only_as_far_as_its_parcels_are_sent() -> None:
    pipeline = FakePipeline()
    async with record_house(FakeRecordSink(seconds=1e6, most=100), pipeline) as it:
        await it.outbox.commit([lines(*["x" * 1000] * 5000) for _ in range(2)])
        await asyncio.sleep(100)
        assert it.sink.under_way == 3
        assert sum(map(len, pipeline.fed)) < 1.5 * 1024 * 1024 < 9_000_000
        assert it.sink.packed == 3


@virtual_time
async def test_parcels_wait_for_a_slow_first_one_rather_than_pile_up() -> None:
    async def slow_first(texts: Texts) -> Answer:
        if "line 0" in texts:
            await asyncio.sleep(400)
        return Delivered()

    async with record_house(FakeRecordSink(judge=slow_first, most=1)) as it:
        await it.outbox.commit([lines(*numbered(500))])
        await asyncio.sleep(300)
        assert len(it.sink.accepted) == 63
        await it.until_delivered(1)
        assert it.sink.counts == dict.fromkeys(numbered(500), 1)


@virtual_time
async def test_the_batches_of_a_partition_are_sent_one_after_the_other() -> None:
    async with record_house(FakeRecordSink(seconds=3.0)) as it:
        for part in range(4):
            await it.outbox.commit([lines(*numbered(3, 3 * part))])
            await asyncio.sleep(2)
        await it.until_delivered(2)
        await asyncio.sleep(10)
        assert it.sink.texts == numbered(12)


@virtual_time
async def test_a_failing_sink_is_probed_with_one_parcel_and_then_gets_all_it_wants(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "shipper.deliver")

    def down(_: Texts) -> Answer:
        return Delivered() if elapsed() > 300 else Retry("connection refused")

    async with record_house(FakeRecordSink(judge=down, seconds=0.5)) as it:
        await it.outbox.commit([lines(*numbered(40), app=app) for app in "abcd"])
        await asyncio.sleep(10)
        assert it.worker.state is State.FAILING
        it.sink.most_at_once = 0
        await asyncio.sleep(280)
        assert it.sink.most_at_once == 1
        await it.until_delivered(4)
        assert it.sink.most_at_once == 3
        assert it.worker.state is State.HEALTHY
        assert it.sink.counts == dict.fromkeys(numbered(40), 4)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


@virtual_time
async def test_other_batches_stop_sending_when_one_finds_the_sink_down() -> None:
    def down(_: Texts) -> Answer:
        return Retry("429", 60.0) if 1.5 < elapsed() < 50 else Delivered()

    async with record_house(FakeRecordSink(judge=down, seconds=0.1)) as it:
        await it.outbox.commit([lines(*numbered(100), app=app) for app in "abc"])
        await asyncio.sleep(59)
        refused = [at for at, _, answer in it.sink.requests if isinstance(answer, Retry)]
        assert len(refused) <= 3, "those that were under way; the destination's wish is honoured"
        await it.until_delivered(3)
        assert it.sink.counts == dict.fromkeys(numbered(100), 3)
        assert it.delivered() == 300


@virtual_time
async def test_a_parked_sink_keeps_its_records_and_is_probed_with_one_parcel_a_minute() -> None:
    async with record_house(FakeRecordSink(judge=lambda _: Parked("403"))) as it:
        await it.outbox.commit([lines(*numbered(40), app=app) for app in "ab"])
        await asyncio.sleep(20)
        before = len(it.sink.requests)
        await asyncio.sleep(600)
        assert len(it.sink.requests) - before == 10
        assert it.worker.state is State.PARKED
        it.sink.judge = lambda _: Delivered()
        await it.until_delivered(2)
        assert it.sink.counts == dict.fromkeys(numbered(40), 2)
        assert it.outbox.letters == []


@virtual_time
async def test_a_drain_sends_what_it_can_until_its_deadline_and_writes_down_how_far_it_came() -> None:
    outbox = FakeOutbox(["logs"], wall)
    async with record_house(FakeRecordSink(concurrency=1, seconds=1.0), outbox=outbox) as it:
        await outbox.commit([lines(*numbered(100))])
        await asyncio.sleep(1.5)
        assert await it.worker.drain(asyncio.get_running_loop().time() + 10) == 100
        sent = it.sink.texts
    assert len(sent) == 40
    assert (await outbox.sealed("logs"))[0].done == 40


@virtual_time
async def test_a_pipeline_or_a_sink_that_raises_is_told_and_tried_again_and_nothing_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with record_house(pipeline=FakePipeline(broken=2)) as it:
        await it.outbox.commit([lines(*numbered(10))])
        await it.until_delivered(1)
        assert it.sink.texts == numbered(10)
    assert [record.levelno for record in caplog.records if "contract" in record.message] == [
        logging.ERROR
    ] * 2


@virtual_time
async def test_a_batch_that_always_fails_holds_up_only_its_own_partition() -> None:
    def poisoned(texts: Texts) -> Answer:
        return Retry("500 for this one") if "poison" in texts else Delivered()

    async with record_house(FakeRecordSink(judge=poisoned, concurrency=2)) as it:
        for number in range(30):
            await it.outbox.commit([lines("poison", app="bad"), lines(f"line {number}", app="good")])
            await asyncio.sleep(10)
        assert len(it.sink.texts) >= 28
        assert len([1 for _, texts, _ in it.sink.requests if "poison" in texts]) < 60


@virtual_time
async def test_events_and_logs_are_counted_apart() -> None:
    async with record_house() as it:
        await it.outbox.commit([lines("a", "b"), lines("c", kind=Kind.EVENTS)])
        await it.until_delivered(2)
        assert it.meter.counts["records_delivered_total", "logs", "logs"] == 2
        assert it.meter.counts["records_delivered_total", "logs", "events"] == 1
