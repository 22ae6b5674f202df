"""Whatever its sink or the buffer does, a worker goes on, loses nothing, and says so in few words."""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise

import pytest

from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.breaker import State
from shipper.deliver.worker import Worker
from shipper.model import Batch
from shipper.sinks.port import Delivered, Outcome, Parked, Rejected, Retry
from tests.fakes.delivery import POLICY, half, house, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, frame
from tests.fakes.sink import Answer, FakeSink
from tests.virtual_time import elapsed, settle, virtual_time


def down_until(seconds: float) -> Answer:
    async def answer(_: Batch) -> Outcome:
        return Delivered() if elapsed() >= seconds else Retry("connection refused")

    return answer


@virtual_time
async def test_a_sink_that_is_down_is_tried_with_one_batch_at_growing_intervals(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = FakeSink(concurrency=4, otherwise=down_until(600), seconds=0.05)
    caplog.set_level(logging.INFO, "shipper.deliver")
    async with house(sink) as it:
        await it.outbox.commit([frame(app, size=1000) for app in "abcdefgh"])
        await asyncio.sleep(590)
        together, alone = sink.times[:4], sink.times[4:]
        assert max(together) - min(together) < 0.05
        waits = [later - earlier for earlier, later in pairwise(alone)]
        assert waits[:3] == [pytest.approx(0.05 + wait) for wait in (0.1, 0.2, 0.4)]
        assert max(waits) == pytest.approx(15.05), "half of the 30 s ceiling, with this draw"
        assert len(await it.outbox.sealed("archive")) == 4, "what cannot be sent is not sealed"
        await it.until_delivered(8)
        assert it.worker.state is State.HEALTHY
    texts = [(record.levelname, record.message) for record in caplog.records]
    assert texts == [
        ("WARNING", "the sink fails; its records stay in the buffer and are tried again"),
        ("INFO", "the sink takes batches again"),
    ]
    recovered = caplog.records[1].__dict__
    assert recovered["seconds"] == pytest.approx(600, abs=16)
    assert recovered["attempt"] > 30


@virtual_time
async def test_an_outage_of_a_day_leaves_few_large_batches_and_not_thousands_of_tiny_ones() -> None:
    sink = FakeSink(concurrency=2, otherwise=down_until(86_400))
    async with house(sink, policy=BatchPolicy(5.0, 100_000)) as it:
        for n in range(24 * 6):
            await it.outbox.commit([frame("a", at_ms=n), frame("b", at_ms=n)])
            await asyncio.sleep(600)
        await asyncio.sleep(60)
        assert len(it.outbox.acknowledged) <= 8
        assert it.delivered() == 2 * 24 * 6


@virtual_time
async def test_the_same_batch_is_sent_again_with_the_same_name_and_bytes() -> None:
    async with house(FakeSink(script=[Retry("reset")] * 3)) as it:
        await it.outbox.commit([frame(size=1000)])
        await it.until_delivered(1)
        assert len(set(it.sink.names)) == 1
        assert len(it.sink.names) == 4


@virtual_time
async def test_a_destinations_wish_is_honoured() -> None:
    async with house(FakeSink(script=[Retry("429", after_s=120.0)])) as it:
        await it.outbox.commit([frame("a", size=1000)])
        await asyncio.sleep(1)
        await it.outbox.commit([frame("b", size=1000)])
        await it.until_delivered(2)
        assert it.sink.times[1] - it.sink.times[0] >= 120.0


@virtual_time
async def test_a_parked_sink_is_told_once_probed_each_minute_and_its_recovery_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "shipper.deliver")
    async with house(FakeSink(otherwise=Parked("the bucket acme-logs does not exist"))) as it:
        await it.outbox.commit([frame(app, size=1000) for app in "abcdefgh"])
        await asyncio.sleep(3600)
        probes = it.sink.times[4:]
        assert len(probes) == 59
        assert {round(later - earlier) for earlier, later in pairwise(probes)} == {60}
        it.sink.otherwise = Delivered()
        await it.until_delivered(8)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1
    assert "someone acts" in errors[0].message
    assert errors[0].__dict__["error"] == "the bucket acme-logs does not exist"
    assert caplog.records[-1].message == "the sink takes batches again"


@virtual_time
async def test_a_rejected_batch_is_recorded_and_does_not_hold_up_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with house(FakeSink(concurrency=1, script=[Rejected("too large")])) as it:
        await it.outbox.commit([frame("a", records=7, size=1000), frame("b", size=1000)])
        await it.until_delivered(1)
        assert [(batch.records, reason) for batch, reason in it.outbox.rejected] == [(7, "too large")]
        assert it.sink.names == [it.outbox.rejected[0][0].name, it.outbox.acknowledged[0].name]
    assert [(record.levelno, record.__dict__["app"]) for record in caplog.records] == [
        (logging.ERROR, "acme/a")
    ]


@virtual_time
async def test_a_batch_that_always_fails_holds_up_only_its_own_partition(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def poisoned(batch: Batch) -> Outcome:
        return Retry("500 for this object") if batch.partition.app == "poison" else Delivered()

    async with house(FakeSink(concurrency=1, otherwise=poisoned), policy=BatchPolicy(5.0, 1000)) as it:
        for n in range(60):
            await it.outbox.commit([frame("poison", at_ms=n), frame("good", at_ms=n), frame("fine", at_ms=n)])
            await asyncio.sleep(10)
        await asyncio.sleep(10)
        assert it.delivered() == 120
        poison = [batch.name for _, batch in it.sink.attempts if batch.partition.app == "poison"]
        assert len(set(poison)) == 1
        assert len(poison) < 100, "it backs off"
    stuck = [record for record in caplog.records if "keeps failing" in record.message]
    assert len(stuck) == 1
    assert stuck[0].__dict__["app"] == "acme/poison"


@virtual_time
async def test_a_batch_that_always_fails_when_it_comes_first_is_passed_by_another() -> None:
    async def poisoned(batch: Batch) -> Outcome:
        return Retry("500 for this object") if batch.partition.app == "poison" else Delivered()

    async with house(FakeSink(concurrency=1, otherwise=poisoned)) as it:
        await it.outbox.commit([frame("poison", size=1000)])
        await asyncio.sleep(100)
        await it.outbox.commit([frame("good", size=1000)])
        await it.until_delivered(1, within_s=60)
        assert it.worker.state is State.HEALTHY


@virtual_time
async def test_one_sink_that_is_down_or_hangs_does_not_delay_another() -> None:
    down, hangs, fine = (
        FakeSink("down", otherwise=Retry("refused")),
        FakeSink("hangs", seconds=1e9),
        FakeSink("fine"),
    )
    outbox = FakeOutbox(["down", "hangs", "fine"], wall)
    workers = [
        Worker(sink, outbox, POLICY, FakeMeter(), clock=wall, draw=half) for sink in (down, hangs, fine)
    ]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(worker.run(), name=worker.sink.name) for worker in workers]
        for n in range(50):
            await outbox.commit([frame(app, size=1000, at_ms=n) for app in "ab"])
            await asyncio.sleep(1)
        assert len(fine.objects) == 100
        for task in tasks:
            task.cancel()


@pytest.mark.parametrize(
    "broken", ["raises", "raises a timeout", "raises a group", "cancels itself", "answers nonsense"]
)
def test_a_sink_that_breaks_its_contract_is_told_and_tried_again(
    broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer(_: Batch) -> Outcome:
        match broken:
            case "raises":
                raise KeyError("bug")
            case "raises a timeout":
                raise TimeoutError
            case "raises a group":
                raise ExceptionGroup("several", [OSError("a")])
            case "cancels itself":
                raise asyncio.CancelledError
            case _:
                return None  # type: ignore[return-value]

    @virtual_time
    async def body() -> None:
        async with house(FakeSink(script=[answer, answer])) as it:
            await it.outbox.commit([frame(size=1000)])
            await it.until_delivered(1)
            assert it.meter.counts["sink_requests_total", "archive", "retry"] == 2

    body()
    assert any(record.levelno == logging.ERROR and "contract" in record.message for record in caplog.records)


@virtual_time
async def test_an_attempt_that_hangs_is_cancelled_at_the_last_resort_and_tried_again() -> None:
    async def hang(_: Batch) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    async with house(FakeSink(script=[hang])) as it:
        await it.outbox.commit([frame(size=1000)])
        await it.until_delivered(1)
        assert 600 <= elapsed() < 601


@virtual_time
async def test_attempts_that_hang_from_before_do_not_keep_a_failing_sink_from_being_probed() -> None:
    async def hang(_: Batch) -> Outcome:
        await asyncio.sleep(500)
        return Retry("gone")

    async with house(FakeSink(concurrency=2, script=[hang, Retry("reset")])) as it:
        await it.outbox.commit([frame("a", size=1000), frame("b", size=1000), frame("c", size=1000)])
        await it.until_delivered(2, within_s=5)


@virtual_time
async def test_a_buffer_that_refuses_for_a_while_ends_nothing_and_repeats_no_upload(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "shipper.deliver")
    async with house() as it:
        await settle()
        it.outbox.refusals = 3
        await it.outbox.commit([frame(size=1000)])
        await it.until_delivered(1)

        async def then_refuse(_: Batch) -> Outcome:
            it.outbox.refusals = 5
            return Delivered()

        it.sink.script = [then_refuse]
        await it.outbox.commit([frame(size=1000, at_ms=1)])
        await it.until_delivered(2)
        assert len(it.sink.attempts) == 2
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"] * 2


@virtual_time
async def test_a_damaged_batch_is_loaded_again_and_the_rest_of_it_delivered() -> None:
    async with house() as it:
        it.outbox.damaged = {1}
        await it.outbox.commit([frame(size=500, records=1), frame(size=500, records=10)])
        await it.until_delivered(1)
        assert it.delivered() == 10
        assert await it.outbox.sealed("archive") == []


@virtual_time
async def test_batches_that_the_buffer_gave_up_while_the_sink_was_down_are_forgotten() -> None:
    async with house(FakeSink(concurrency=1, otherwise=down_until(100))) as it:
        await it.outbox.commit([frame("a", size=1000), frame("b", size=1000)])
        await asyncio.sleep(50)
        batch, _ = await it.outbox.sealed("archive")
        it.outbox.give_up(batch)
        await it.until_delivered(1)
        await asyncio.sleep(100)
        assert [one.partition.app for one in it.outbox.acknowledged] == ["b"]
        assert it.worker.state is State.HEALTHY
