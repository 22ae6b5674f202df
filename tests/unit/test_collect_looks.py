"""Where the platform has no stream of logs, they are read with GetAppLogs: once each, and what is missing is a gap."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from shipper.collect.states import State
from shipper.ignite.status import Code
from shipper.model import GapReason, Kind
from tests.fakes.collection import Collection, collecting
from tests.fakes.platform import ORG, FakeReplica, Refusal
from tests.virtual_time import virtual_time

STREAM = "StreamAppLogs"


def started(it: Collection, number: int = 1) -> FakeReplica:
    return it.platform.app("checkout").start(f"checkout-{number}")


def without_streams(it: Collection, *, genuine: bool = True) -> Refusal:
    return it.platform.refuse(STREAM, Code.UNIMPLEMENTED, genuine=genuine)


def archived_all(it: Collection) -> bool:
    return it.durable.counter() == Counter(it.platform.printed)


@virtual_time
async def test_lines_are_archived_once_said_once_shown_and_streams_tried_again_each_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with collecting() as it:
        no = without_streams(it)
        replicas = [started(it, number) for number in range(3)]
        for minute in range(150):
            replicas[minute % 3].print(f"line {minute}", "and again", "and again")
            await asyncio.sleep(60)
        await it.caught_up()
        assert archived_all(it)
        assert it.durable.gaps() == []
        assert 5 <= it.platform.calls[STREAM] <= 6, "one of the replicas tries for all"
        assert list(it.collector.context.offers.refused) == [STREAM]
        assert it.states.count(Kind.LOGS, State.LIVE) == 3
        said = [record.message for record in caplog.records if STREAM in record.message]
        assert len(said) == 1
        no.lift()
        await asyncio.sleep(4000)
        assert not it.collector.context.offers.refused
        looks = it.platform.calls["GetAppLogs"]
        for _ in range(20):
            replicas[0].print("live")
            await asyncio.sleep(10)
        assert archived_all(it)
        assert it.platform.calls["GetAppLogs"] - looks < 20, "only to compare streams that are silent"


@virtual_time
async def test_an_idle_replica_is_looked_at_rarely_and_a_busy_one_often() -> None:
    async with collecting() as it:
        without_streams(it)
        replica = started(it)
        await asyncio.sleep(600)
        idle = it.platform.calls["GetAppLogs"]
        assert 20 <= idle <= 45
        it.platform.logs_limit = 200
        for rate in (1, 20, 25, 30, 36):
            for second in range(100):
                replica.print(*(f"{rate} {second} {number}" for number in range(rate)))
                await asyncio.sleep(1)
        await it.caught_up()
        assert archived_all(it)
        assert it.durable.gaps() == []
        assert it.platform.calls["GetAppLogs"] - idle < 400


@virtual_time
async def test_more_lines_than_a_page_holds_between_two_looks_are_a_gap() -> None:
    async with collecting() as it:
        without_streams(it)
        it.platform.logs_limit = 10
        replica = started(it)
        replica.print("before")
        await it.caught_up()
        lines = []
        for number in range(30):
            lines += replica.print(f"burst {number}")
            await asyncio.sleep(0.01)
        await it.until(lambda: lines[-1] in it.durable.counter())
        await asyncio.sleep(60)
        missing = [line for line in lines if line not in it.durable.counter()]
        assert missing
        gaps = it.durable.gaps()
        assert all(any(gap["from_ms"] <= line.time <= gap["to_ms"] for gap in gaps) for line in missing)
        assert it.durable.counter() - Counter(it.platform.printed) == Counter()


@virtual_time
async def test_a_first_page_that_is_cut_is_a_gap_from_the_containers_start() -> None:
    async with collecting() as it:
        without_streams(it)
        it.platform.logs_limit = 10
        it.platform.app("checkout")
        await asyncio.sleep(1)
        replica = started(it)
        for number in range(30):
            replica.print(f"line {number}")
            await asyncio.sleep(0.001)
        await asyncio.sleep(60)
        (gap,) = it.durable.gaps()
        assert gap["reason"] == GapReason.TRUNCATED
        assert gap["from_ms"] <= replica.started_ms
        assert gap["to_ms"] >= it.platform.printed[19].time


@virtual_time
async def test_a_platform_that_shows_only_the_beginning_of_a_history_is_said_and_is_a_gap(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with collecting() as it:
        without_streams(it)
        it.platform.logs_limit, it.platform.logs_oldest = 10, True
        replica = started(it)
        for number in range(30):
            replica.print(f"line {number}")
            await asyncio.sleep(1)
        lost = replica.print("nobody shows this")
        await asyncio.sleep(30)
        replica.gone()
        await it.until(lambda: it.subscription("checkout-1") is None)
        await asyncio.sleep(1)
        assert sum("only the beginning" in record.message for record in caplog.records) == 1
        assert any(gap["from_ms"] <= lost[0].time <= gap["to_ms"] for gap in it.durable.gaps())


@pytest.mark.parametrize("newest_first", [False, True])
def test_kills_between_two_looks_lose_and_repeat_nothing(newest_first: bool) -> None:
    @virtual_time
    async def body() -> None:
        async with collecting() as it:
            without_streams(it)
            it.platform.newest_first = newest_first
            replica = started(it)
            for number in range(40):
                for twin in range(number % 7):
                    replica.print(f"line {number}", "the same", "the same")
                    await asyncio.sleep(0.1 * twin)
                if number % 5 == 0:
                    await it.restart()
                await asyncio.sleep(number % 9)
            await it.caught_up()
            assert archived_all(it)
            assert it.durable.gaps() == []

    body()


@virtual_time
async def test_what_a_stream_had_brought_is_not_taken_again_and_the_other_way_round() -> None:
    async with collecting() as it:
        replica = started(it)
        for turn in range(6):
            no = without_streams(it) if turn % 2 else None
            await it.restart()
            for number in range(400):
                replica.print(f"turn {turn} line {number}")
            await it.caught_up()
            replica.print("the same")
            await asyncio.sleep(30)
            if no is not None:
                no.lift()
        assert archived_all(it)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_restart_in_place_between_two_looks_is_a_gap_if_the_end_was_not_seen() -> None:
    async with collecting() as it:
        without_streams(it)
        replica = started(it)
        replica.print("one")
        await it.caught_up()
        lost = replica.print("last words")
        replica.crash()
        replica.restart()
        replica.print("again")
        await it.until(lambda: it.durable.log_lines == 2)
        await asyncio.sleep(30)
        (gap,) = it.durable.gaps()
        assert gap["reason"] == GapReason.RESTARTED
        assert gap["from_ms"] <= lost[0].time <= gap["to_ms"]


@virtual_time
async def test_a_replica_that_leaves_is_looked_at_until_its_log_is_gone() -> None:
    async with collecting() as it:
        without_streams(it)
        replica = started(it)
        replica.print("one")
        await it.caught_up()
        replica.listed = False
        for second in range(25):
            replica.print(f"leaving {second}")
            await asyncio.sleep(1)
        await asyncio.sleep(5)
        replica.gone()
        await it.until(lambda: it.subscription("checkout-1") is None)
        await asyncio.sleep(1)
        assert archived_all(it)
        assert it.durable.reasons() == [GapReason.REPLICA_GONE], "nobody knows what came after the last look"


@virtual_time
async def test_a_replica_that_left_and_stays_silent_with_its_log_still_there_is_whole() -> None:
    async with collecting() as it:
        without_streams(it)
        replica = started(it)
        replica.print("one")
        await it.caught_up()
        replica.listed = False
        await it.until(lambda: it.subscription("checkout-1") is None, 60)
        await asyncio.sleep(1)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_denial_that_no_server_of_the_platform_signed_is_believed_at_the_second_time() -> None:
    async with collecting() as it:
        no = without_streams(it, genuine=False)
        no.left = 1
        replica = started(it)
        replica.print("one")
        await it.caught_up()
        assert it.following("checkout-1")
        assert not it.collector.context.offers.refused
        without_streams(it, genuine=False)
        replica.cut()
        await it.until(lambda: STREAM in it.collector.context.offers.refused)
        replica.print("two")
        await it.caught_up()
        assert archived_all(it)


@virtual_time
async def test_a_pod_that_is_just_gone_does_not_turn_streams_off() -> None:
    async with collecting() as it:
        replica, other = started(it, 1), started(it, 2)
        no = without_streams(it, genuine=False)
        await asyncio.sleep(0.01)
        replica.gone()
        no.lift()
        other.print("one")
        await it.caught_up()
        await asyncio.sleep(60)
        assert not it.collector.context.offers.refused
        assert it.subscription("checkout-1") is None


@virtual_time
async def test_without_streams_and_recent_lines_replicas_are_parked_and_both_tried_again_each_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with collecting() as it:
        refusals = [without_streams(it), it.platform.refuse("GetAppLogs", Code.UNIMPLEMENTED)]
        replica = started(it)
        replica.print("one")
        await asyncio.sleep(5.5 * 3600)
        for call in (STREAM, "GetAppLogs"):
            assert 5 <= it.platform.calls[call] <= 7
            assert sum(f"{call} is not offered" in record.message for record in caplog.records) == 1
        assert it.states.count(Kind.LOGS, State.PARKED) == 1
        assert set(it.collector.context.offers.refused) == {STREAM, "GetAppLogs"}
        refusals[1].lift()
        await asyncio.sleep(4000)
        assert archived_all(it)
        assert it.states.count(Kind.LOGS, State.LIVE) == 1


@virtual_time
async def test_looks_that_fail_for_a_while_are_repeated_and_lose_nothing() -> None:
    async with collecting() as it:
        without_streams(it)
        replica = started(it)
        replica.print("one")
        await it.caught_up()
        for code in (Code.UNAVAILABLE, Code.INTERNAL, Code.RESOURCE_EXHAUSTED, Code.PERMISSION_DENIED):
            it.platform.refuse("GetAppLogs", code, times=5)
            replica.print(f"through {code}")
            await it.caught_up(600)
        assert archived_all(it)
        assert it.durable.gaps() == []


@virtual_time
async def test_other_apps_keep_their_streams() -> None:
    async with collecting() as it:
        it.platform.refuse(STREAM, Code.UNIMPLEMENTED, app="checkout")
        started(it).print("one")
        it.platform.app("mailer").start("mailer-1").print("two")
        await it.caught_up()
        assert it.following("mailer-1")
        assert not it.following("checkout-1")
        assert [app and app.name for app in it.collector.context.offers.refused[STREAM]] == ["checkout"]
        assert ORG == "acme-corp"
