"""When a sink of records says no: what is bad is found and buried; a destination that refuses all is no reason to."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from shipper.deliver.breaker import State
from shipper.entry import Entry
from shipper.model import Partition
from shipper.sinks.port import Answer, Delivered, Dropped, Malformed, Parcel, Retry, TooLarge
from shipper.transform.port import Ending
from tests.fakes.delivery import RecordHouse, record_house, wall
from tests.fakes.outbox import FakeOutbox, lines
from tests.fakes.pipeline import FakePass, FakePipeline
from tests.fakes.record_sink import FakeRecordSink, Judge, Texts
from tests.virtual_time import elapsed, virtual_time

REFUSED = Malformed("400 Bad Request")


def bad(*texts: str) -> Judge:
    """Refuses every parcel with one of these."""
    return lambda given: REFUSED if set(texts) & set(given) else Delivered()


def all_bad_while(refusing: Callable[[], bool]) -> Judge:
    return lambda _: REFUSED if refusing() else Delivered()


def numbered(count: int, start: int = 0) -> list[str]:
    return [f"line {number}" for number in range(start, start + count)]


def buried(it: RecordHouse) -> list[str]:
    return [json.loads(letter.record)["line"] for letter in it.outbox.letters]


@virtual_time
async def test_a_bad_record_is_found_by_halving_and_buried_with_the_answer_and_all_others_arrive_once() -> (
    None
):
    async with record_house(FakeRecordSink(judge=bad("line 77"), most=100)) as it:
        await it.outbox.commit([lines(*numbered(300), at_ms=5_000)])
        await it.until_delivered(1)
        assert sorted(it.sink.texts) == sorted(set(numbered(300)) - {"line 77"})
        assert buried(it) == ["line 77"]
        letter = it.outbox.letters[0]
        assert (letter.sink, letter.reason, letter.timestamp_ms) == ("logs", "400 Bad Request", 5_000)
        assert letter.partition == it.outbox.acknowledged[0].partition
        assert letter.buried_ms == pytest.approx(wall() * 1000, abs=5_000)
        assert len(it.sink.requests) <= 3 + 2 * 7
        assert it.delivered() == 299
        assert it.meter.counts["sink_requests_total", "logs", "malformed"] == 8


@virtual_time
async def test_a_parcel_that_is_too_large_is_sent_in_halves() -> None:
    async with record_house(
        FakeRecordSink(judge=lambda texts: TooLarge("413") if len(texts) > 12 else Delivered(), most=50)
    ) as it:
        await it.outbox.commit([lines(*numbered(100))])
        await it.until_delivered(1)
        assert it.sink.counts == dict.fromkeys(numbered(100), 1)
        assert max(map(len, it.sink.accepted)) == 12
        assert it.outbox.letters == []
        assert it.meter.counts["sink_requests_total", "logs", "too_large"] == 10


@virtual_time
async def test_a_record_that_is_too_large_by_itself_is_buried() -> None:
    async with record_house(
        FakeRecordSink(judge=lambda texts: TooLarge("413") if "line 3" in texts else Delivered())
    ) as it:
        await it.outbox.commit([lines(*numbered(8))])
        await it.until_delivered(1)
        assert [(letter.reason, letter.record) for letter in it.outbox.letters] == [
            ("413", b'{"timestamp_ms":0,"app":"shop","line":"line 3"}\n')
        ]


@virtual_time
async def test_many_bad_records_are_all_found_and_nothing_else_is_buried() -> None:
    worst = [f"line {number}" for number in range(0, 400, 7)]
    async with record_house(FakeRecordSink(judge=bad(*worst), most=100)) as it:
        await it.outbox.commit([lines(*numbered(400))])
        await it.until_delivered(1)
        assert buried(it) == worst
        assert sorted(it.sink.texts) == sorted(set(numbered(400)) - set(worst))


@virtual_time
async def test_one_or_two_records_that_nothing_else_is_there_to_compare_with_are_buried() -> None:
    async with record_house(FakeRecordSink(judge=bad("a", "b"))) as it:
        await it.outbox.commit([lines("a", "b")])
        await it.until_delivered(1)
        assert buried(it) == ["a", "b"]


@virtual_time
async def test_a_destination_that_refuses_everything_buries_next_to_nothing_and_parks_the_sink(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with record_house(FakeRecordSink(judge=all_bad_while(lambda: True), most=1000)) as it:
        for _ in range(8):
            await it.outbox.commit([lines(*numbered(500), app=app) for app in "abcdef"])
        await asyncio.sleep(3600)
        assert it.worker.state is State.PARKED
        assert len(it.outbox.letters) == 0
        assert len(it.sink.requests) < 600, "a few a minute"
        assert it.outbox.stats().backlog_records["logs"] == 24_000
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "refuses every record" in errors[0].__dict__["error"]
    assert "400 Bad Request" in errors[0].__dict__["error"]


@virtual_time
async def test_a_destination_that_refuses_everything_buries_two_of_many_batches_of_one_record() -> None:
    async with record_house(FakeRecordSink(judge=all_bad_while(lambda: True))) as it:
        for number in range(40):
            await it.outbox.commit([lines("lone", app=f"app-{number}")])
            await asyncio.sleep(5)
        await asyncio.sleep(3600)
        assert it.worker.state is State.PARKED
        assert len(it.outbox.letters) == 2


@virtual_time
async def test_a_destination_that_begins_to_refuse_everything_loses_nothing_and_gets_all_when_it_is_well() -> (
    None
):
    judge = all_bad_while(lambda: 10 < elapsed() < 1000)
    async with record_house(FakeRecordSink(judge=judge, most=20)) as it:
        for number in range(60):
            await it.outbox.commit([lines(*numbered(50, 50 * number), app=app) for app in "abc"])
            await asyncio.sleep(1)
        await asyncio.sleep(800)
        assert it.worker.state is State.PARKED
        await asyncio.sleep(2000)
        assert it.worker.state is State.HEALTHY
        assert it.outbox.stats().backlog_records["logs"] == 0
        assert len(it.outbox.letters) <= 2
        assert sum(it.sink.counts.values()) == 9000 - len(it.outbox.letters)


@virtual_time
async def test_an_app_of_which_every_record_is_bad_is_buried_and_does_not_stop_the_others() -> None:
    def judge(texts: Texts) -> Answer:
        return REFUSED if any(text.startswith("bad") for text in texts) else Delivered()

    async with record_house(FakeRecordSink(judge=judge, most=50)) as it:
        await it.outbox.commit([lines(*(f"bad {n}" for n in range(200)), app="bad")])
        longest = 0.0
        for number in range(200):
            await it.outbox.commit([lines(f"line {number}", app="good")])
            await asyncio.sleep(5)
            done = len(it.sink.texts)
            longest = max(longest, (number - done) * 5)
        assert longest < 15, "the others go on"
        await asyncio.sleep(600)
        assert sorted(it.sink.texts) == sorted(numbered(200))
        assert sorted(buried(it)) == sorted(f"bad {n}" for n in range(200))
        assert it.outbox.stats().backlog_records["logs"] == 0


@virtual_time
async def test_an_app_of_which_every_record_is_bad_and_which_came_first_does_not_stop_later_ones() -> None:
    def judge(texts: Texts) -> Answer:
        return REFUSED if any(text.startswith("bad") for text in texts) else Delivered()

    async with record_house(FakeRecordSink(judge=judge, most=50)) as it:
        await it.outbox.commit([lines(*(f"bad {n}" for n in range(20)), app="bad")])
        await asyncio.sleep(600)
        assert it.worker.state is State.PARKED
        assert it.outbox.letters == []
        await it.outbox.commit([lines("fine", app="good")])
        await it.until_delivered(1, within_s=65)
        assert it.sink.texts == ["fine"]
        assert it.worker.state is State.HEALTHY
        for number in range(100):
            await it.outbox.commit([lines(f"line {number}", app="good")])
            await asyncio.sleep(5)
        assert len(it.outbox.letters) == 20
        assert it.outbox.stats().backlog_records["logs"] <= 1


@virtual_time
async def test_some_bad_records_at_the_start_of_a_batch_do_not_speak_for_the_rest_of_it() -> None:
    worst = numbered(9)
    async with record_house(FakeRecordSink(judge=bad(*worst), most=1000, concurrency=1)) as it:
        await it.outbox.commit([lines(*numbered(1000))])
        await it.until_delivered(1, within_s=5)
        assert sorted(it.sink.texts) == sorted(numbered(991, 9))
        assert buried(it) == worst


@virtual_time
async def test_a_long_run_of_bad_records_waits_for_other_records_to_be_taken_and_is_buried_then() -> None:
    worst = numbered(40, 100)
    async with record_house(FakeRecordSink(judge=bad(*worst), most=1000)) as it:
        await it.outbox.commit([lines(*numbered(1000))])
        await asyncio.sleep(30)
        assert len(it.outbox.letters) == 0
        for number in range(60):
            await it.outbox.commit([lines("fine", app=f"app-{number}")])
            await asyncio.sleep(5)
        assert buried(it) == worst
        assert sum(it.sink.counts.values()) == 960 + 60
        assert it.outbox.stats().backlog_records["logs"] == 0


@virtual_time
async def test_later_records_of_the_same_batch_are_asked_for_before_anything_is_concluded() -> None:
    worst = numbered(40)
    async with record_house(FakeRecordSink(judge=bad(*worst), most=20, concurrency=1)) as it:
        await it.outbox.commit([lines(*numbered(400))])
        await it.until_delivered(1, within_s=10)
        assert buried(it) == worst
        assert it.worker.state is State.HEALTHY


@virtual_time
async def test_a_batch_in_doubt_goes_on_with_what_was_not_tried_yet() -> None:
    worst = numbered(100)
    async with record_house(FakeRecordSink(judge=bad(*worst), most=20, concurrency=1)) as it:
        await it.outbox.commit([lines(*numbered(400))])
        await it.until_delivered(1, within_s=600)
        assert buried(it) == worst


@virtual_time
async def test_a_drain_while_everything_is_refused_ends_and_buries_nothing() -> None:
    async with record_house(FakeRecordSink(judge=all_bad_while(lambda: True))) as it:
        await it.outbox.commit([lines(*numbered(100), app=app) for app in "abc"])
        await asyncio.sleep(5)
        assert await it.worker.drain(asyncio.get_running_loop().time() + 30) == 300
        assert it.outbox.letters == []


@virtual_time
async def test_a_letter_that_could_not_be_buried_at_once_is_buried_before_the_batch_is_settled() -> None:
    async with record_house(FakeRecordSink(judge=bad("line 5"))) as it:
        await it.outbox.commit([lines(*numbered(8))])
        await asyncio.sleep(0.9)
        it.outbox.refusals = 6
        await it.until_delivered(1)
        assert buried(it) == ["line 5"]


@virtual_time
async def test_what_a_pipeline_made_of_a_record_is_what_is_buried() -> None:
    async with record_house(
        FakeRecordSink(judge=lambda texts: REFUSED if "***" in texts[0] else Delivered())
    ) as it:
        await it.outbox.commit([lines("fine", app="a")])
        await it.outbox.commit([lines("trace secret", "+ at", "fine")])
        await it.until_delivered(2)
        assert buried(it) == ["trace ***\n+ at"]
        assert it.delivered() == 2


@virtual_time
async def test_progress_and_letters_of_a_batch_are_written_down_when_its_attempt_fails() -> None:
    outbox = FakeOutbox(["logs"], wall)
    sink = FakeRecordSink(judge=bad("line 1"), concurrency=1, seconds=0.001)
    async with record_house(sink, FakePipeline(), outbox) as it:
        await outbox.commit([lines(*numbered(100))])
        await asyncio.sleep(1.012)
        it.sink.judge = lambda _: Malformed("all")
        await asyncio.sleep(1.0)
        assert buried(it) == ["line 1"]
        assert (await outbox.sealed("logs"))[0].done >= 4


class TwoSorts(FakeRecordSink):
    """Logs in parcels, and each record that begins with `oops` as an issue of its own too."""

    def pack(self, partition: Partition, entries: Sequence[Entry]) -> Iterator[Parcel]:
        for parcel in super().pack(partition, entries):
            yield replace(parcel, settles=0, sort="logs")
        for number, entry in enumerate(entries):
            issue = (f"issue {entry.text}",) if entry.text.startswith("oops") else None
            yield Parcel(number, number + 1, number + 1, issue, sort="issues")


@virtual_time
async def test_halves_of_one_sort_of_parcel_do_not_send_the_other_sort_again() -> None:
    async with record_house(TwoSorts(judge=bad("line 5"), most=20)) as it:
        await it.outbox.commit([lines("oops 1", *numbered(15), "oops 2")])
        await it.until_delivered(1)
        assert it.sink.counts["issue oops 1"] == it.sink.counts["issue oops 2"] == 1
        assert set(it.sink.texts) == {
            *numbered(15),
            "oops 1",
            "oops 2",
            "issue oops 1",
            "issue oops 2",
        } - {"line 5"}
        assert buried(it) == ["line 5"]
        assert it.delivered() == 16


@virtual_time
async def test_a_record_that_is_refused_in_both_its_sorts_is_buried_once() -> None:
    async with record_house(TwoSorts(judge=bad("oops", "issue oops"), most=20)) as it:
        await it.outbox.commit([lines(*numbered(5), "oops", *numbered(5, 5))])
        await it.until_delivered(1)
        assert buried(it) == ["oops"]
        assert it.delivered() == 10


class Faulty(FakeRecordSink):
    """Packs as `fault` says while that is not empty."""

    fault = ""

    def pack(self, partition: Partition, entries: Sequence[Entry]) -> Iterator[Parcel]:
        match self.fault:
            case "raises":
                raise KeyError("bug")
            case "forgets":
                yield Parcel(0, 1, 0, ("forgetful",))
            case _:
                yield from super().pack(partition, entries)


@pytest.mark.parametrize("fault", ["raises", "forgets"])
def test_a_sink_that_packs_wrongly_is_told_and_nothing_is_lost(
    fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    @virtual_time
    async def body() -> None:
        sink = Faulty()
        sink.fault = fault
        async with record_house(sink) as it:
            await it.outbox.commit([lines(*numbered(6))])
            await asyncio.sleep(60)
            assert it.outbox.acknowledged == []
            sink.fault = ""
            await it.until_delivered(1)
            assert set(numbered(6)) <= set(it.sink.texts)

    body()
    assert any(record.levelno == logging.ERROR and "contract" in record.message for record in caplog.records)


@virtual_time
async def test_a_pipeline_that_cannot_finish_is_told_and_nothing_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = [True]

    class Unfinished(FakePass):
        def finish(self) -> Ending:
            if broken[0]:
                raise RuntimeError("bug")
            return super().finish()

    class Pipeline(FakePipeline):
        def start(self, partition: Partition, state: bytes) -> FakePass:
            return Unfinished(self, partition.kind, {})

    async with record_house(pipeline=Pipeline()) as it:
        await it.outbox.commit([lines(*numbered(6))])
        await asyncio.sleep(20)
        broken[0] = False
        await it.until_delivered(1)
        assert set(it.sink.texts) == set(numbered(6))
    assert any("contract" in record.message for record in caplog.records)


@virtual_time
async def test_a_parcel_that_is_dropped_for_a_rate_limit_is_settled_and_counted_and_proves_no_health() -> (
    None
):
    def judge(texts: Texts) -> Answer:
        if "line 1" in texts:
            return Dropped("quota", {"rate_limited": len(texts)})
        return Retry("503") if elapsed() < 30 else Delivered()

    async with record_house(FakeRecordSink(judge=judge)) as it:
        await it.outbox.commit([lines(*numbered(3), app="a"), lines("other", app="b")])
        await asyncio.sleep(25)
        assert it.worker.state is State.FAILING
        await it.until_delivered(2)
        assert it.meter.counts["records_dropped_total", "logs", "rate_limited"] == 3
        assert it.delivered() == 1
