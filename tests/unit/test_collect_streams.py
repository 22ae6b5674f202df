"""One replica's stream: rotation, late and identical lines, wrong clocks, messages that are none."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from shipper.collect.states import State
from shipper.collect.taker import DISORDER_MS
from shipper.ignite.status import Code
from shipper.model import GapReason, Kind
from tests.fakes.collection import Collection, collecting
from tests.fakes.platform import FakeReplica, chunk_of
from tests.virtual_time import virtual_time

HOUR_MS = 3_600_000
YEAR_9999 = 253_402_300_799_000


async def started(it: Collection, *texts: str) -> FakeReplica:
    replica = it.platform.app("checkout").start("checkout-1")
    replica.print(*texts)
    await it.caught_up()
    return replica


@virtual_time
async def test_a_reconnect_repeats_nothing_and_loses_nothing() -> None:
    async with collecting() as it:
        replica = await started(it, *(f"line {i}" for i in range(50)))
        for turn in range(20):
            replica.print(f"before cut {turn}")
            await asyncio.sleep(0.01 * turn)
            replica.cut()
            replica.print(f"after cut {turn}")
            await asyncio.sleep(1)
        await it.caught_up()
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []
        assert it.meter.counts["duplicates_suppressed_total", "logs"] > 0


@virtual_time
async def test_a_stream_that_brings_lines_is_open_again_within_a_second_however_often_it_is_cut() -> None:
    """Its replica may be about to go: what it prints while the stream is closed could never be had."""
    async with collecting() as it:
        replica = await started(it, "first")
        for turn in range(12):  # the backoff alone would wait up to half a minute by now
            replica.print(f"line {turn}")
            await it.until(lambda turn=turn: f"line {turn}" in it.durable.texts())
            cut_at = asyncio.get_running_loop().time()
            replica.cut()
            replica.print(f"while closed {turn}")
            await it.until(lambda turn=turn: f"while closed {turn}" in it.durable.texts())
            assert asyncio.get_running_loop().time() - cut_at < 1.5


@virtual_time
async def test_a_rotation_is_a_gap_between_what_was_taken_and_where_the_replay_begins() -> None:
    async with collecting() as it:
        replica = await started(it, "one", "two")
        it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE, times=3)
        replica.cut()
        last = replica.now_ms()
        await asyncio.sleep(0.1)
        lost = replica.print("rotated away")
        await asyncio.sleep(0.1)
        (first,) = replica.print("kept")
        replica.rotate(keep=1)
        await it.until(lambda: "kept" in it.durable.texts())
        await asyncio.sleep(20)
        assert it.durable.counter() == Counter(it.platform.printed) - Counter(lost)
        (gap,) = it.durable.gaps()
        assert gap["reason"] == GapReason.ROTATED
        assert gap["stream_kind"] == Kind.LOGS
        assert (gap["app"], gap["replica_id"]) == ("checkout", "checkout-1")
        assert gap["from_ms"] <= last < lost[0].time < first.time
        assert gap["to_ms"] == first.time + DISORDER_MS


@virtual_time
async def test_the_gap_of_a_rotation_holds_lost_lines_that_were_out_of_order_by_less_than_a_second() -> None:
    async with collecting() as it:
        replica = await started(it, "one", "two")
        it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE, times=1000)
        replica.cut()
        late = replica.print("late, and rotated away", at_ms=replica.now_ms() - 900)
        await asyncio.sleep(2)
        early = replica.print("rotated away")
        replica.print("kept, and late", at_ms=replica.now_ms() - 900)
        replica.rotate(keep=1)
        it.platform.refusals.clear()
        await it.until(lambda: "kept, and late" in it.durable.texts())
        await asyncio.sleep(20)
        assert it.durable.counter() == Counter(it.platform.printed) - Counter([*late, *early])
        (gap,) = it.durable.gaps()
        for line in (*late, *early):
            assert gap["from_ms"] <= line.time <= gap["to_ms"]


@virtual_time
async def test_a_rotation_that_took_only_what_was_read_is_no_gap() -> None:
    async with collecting() as it:
        replica = await started(it, *(f"line {i}" for i in range(500)))
        await asyncio.sleep(60)
        replica.print("newest")
        await it.caught_up()
        replica.rotate(keep=3)
        replica.cut()
        replica.print("later")
        await it.caught_up()
        await asyncio.sleep(20)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_rotation_while_the_stream_is_open_loses_nothing() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        for i in range(30):
            replica.print(f"line {i}")
            replica.rotate(keep=1)
            await asyncio.sleep(1)
        replica.cut()
        await it.caught_up()
        assert it.durable.gaps() == []


@pytest.mark.parametrize("sorted_replay", [False, True], ids=["in order of printing", "sorted by time"])
def test_lines_up_to_some_seconds_out_of_order_are_taken_once(sorted_replay: bool) -> None:
    @virtual_time
    async def body() -> None:
        async with collecting() as it:
            it.platform.sorted_replay = sorted_replay
            replica = await started(it, "one")
            for i in range(300):
                replica.print(f"line {i}", at_ms=replica.now_ms() - (i * 7919) % 8000, stream="stderr")
                replica.print(f"line {i}")
                if i % 10 == 0:
                    replica.cut()
                await asyncio.sleep(0.2)
            await it.caught_up()
            assert it.durable.counter() == Counter(it.platform.printed)
            assert it.durable.gaps() == []

    body()


@virtual_time
async def test_identical_lines_in_one_millisecond_are_all_kept() -> None:
    async with collecting() as it:
        replica = await started(it, "tick", "tick", "tick")
        at = replica.history[0].time
        replica.cut()
        replica.print("tick", "tick", at_ms=at)
        replica.print("tick", at_ms=at, stream="stderr")
        await it.caught_up()
        replica.cut()
        await asyncio.sleep(5)
        assert Counter(it.durable.texts()) == {"tick": 6}


@virtual_time
async def test_a_quiet_replica_may_be_late_by_minutes() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        await asyncio.sleep(600)
        replica.print("two")
        await it.caught_up()
        replica.cut()
        replica.print("late by five minutes", at_ms=replica.now_ms() - 300_000)
        await it.caught_up()
        assert it.durable.counter() == Counter(it.platform.printed)


@pytest.mark.parametrize("hours", [-1000, -7, 7, 1000], ids=["long behind", "behind", "ahead", "long ahead"])
def test_a_clock_that_is_wrong_by_hours_changes_nothing(hours: int) -> None:
    @virtual_time
    async def body() -> None:
        async with collecting(events=True) as it:
            replica = it.platform.app("checkout").start("checkout-1")
            replica.clock_offset_ms = hours * HOUR_MS
            replica.started_ms = replica.now_ms()
            for i in range(300):
                replica.print(f"line {i}")
                if i % 50 == 0:
                    replica.cut()
                await asyncio.sleep(1)
            await it.caught_up()
            replica.stall()
            replica.print("nobody brings this")
            assert await it.caught_up() < 60
            replica.gone()
            await it.until(lambda: it.subscription("checkout-1") is None)
            assert it.durable.counter() == Counter(it.platform.printed)
            assert it.durable.gaps() == []

    body()


@pytest.mark.parametrize("sorted_replay", [False, True], ids=["in order of printing", "sorted by time"])
@pytest.mark.parametrize("back_ms", [20_000, HOUR_MS, 30 * HOUR_MS])
def test_a_clock_that_is_set_back_between_connections_repeats_and_loses_nothing(
    sorted_replay: bool, back_ms: int
) -> None:
    @virtual_time
    async def body() -> None:
        async with collecting() as it:
            it.platform.sorted_replay = sorted_replay
            replica = await started(it, *(f"line {i}" for i in range(1000)))
            for i in range(600):
                replica.print(f"before {i}")
                await asyncio.sleep(0.1)
            await it.caught_up()
            replica.cut()
            replica.clock_offset_ms -= back_ms
            await asyncio.sleep(0.5)
            for i in range(100):
                replica.print(f"after {i}")
                await asyncio.sleep(0.1)
                if i % 30 == 0:
                    replica.cut()
                    await asyncio.sleep(1)
            await it.caught_up()
            assert it.durable.counter() == Counter(it.platform.printed)
            assert it.durable.gaps() == []

    body()


@pytest.mark.parametrize("sorted_replay", [False, True], ids=["in order of printing", "sorted by time"])
@pytest.mark.parametrize("strange", [YEAR_9999, 0, -1, -(2**63), 2**63 - 1])
def test_one_line_of_an_absurd_time_hides_no_other(sorted_replay: bool, strange: int) -> None:
    @virtual_time
    async def body() -> None:
        async with collecting() as it:
            it.platform.sorted_replay = sorted_replay
            replica = await started(it, *(f"line {i}" for i in range(400)))
            replica.print("strange", at_ms=strange)
            for i in range(400):
                replica.print(f"later {i}")
                if i % 97 == 0:
                    replica.cut()
                await asyncio.sleep(0.2)
            await it.restart()
            replica.print("after the restart")
            await it.caught_up()
            replica.stall()
            replica.print("nobody brings this")
            assert await it.caught_up() < 60
            assert it.durable.counter() == Counter(it.platform.printed)
            assert it.durable.gaps() == []

    body()


@virtual_time
async def test_messages_that_cannot_be_decoded_are_a_gap_and_the_stream_goes_on() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        (pipe,) = replica.streams
        pipe.feed(chunk_of([], undecodable=3))
        replica.print("two")
        await it.caught_up()
        (gap,) = it.durable.gaps()
        assert (gap["reason"], gap["lost"]) == (GapReason.UNDECODABLE, 3)
        assert it.meter.counts["undecodable_messages_total", "logs"] == 3
        assert replica.streams == [pipe]


@virtual_time
async def test_whatever_a_line_contains_it_comes_out_as_it_went_in() -> None:
    texts = ["", "\x00\x1b[31m", '{"level": "info"}', "ü" * 1000, "a" * 1_000_000, "\u2028", "tab\t", "\r"]
    async with collecting() as it:
        replica = await started(it, *texts)
        replica.print(b"not \xff utf-8")
        replica.cut()
        await it.caught_up()
        assert it.durable.texts() == [*texts, b"not \xff utf-8"]


@virtual_time
async def test_a_refused_stream_is_parked_and_tried_again_slowly() -> None:
    async with collecting() as it:
        refusal = it.platform.refuse("StreamAppLogs", Code.PERMISSION_DENIED)
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print("one")
        await it.until(lambda: it.states.count(Kind.LOGS, State.PARKED) == 1)
        await asyncio.sleep(600)
        assert 7 <= it.platform.calls["StreamAppLogs"] <= 15
        refusal.lift()
        assert await it.caught_up() < 80


@virtual_time
async def test_a_server_that_says_when_is_asked_then() -> None:
    async with collecting() as it:
        it.platform.refuse("StreamAppLogs", Code.RESOURCE_EXHAUSTED, retry_after_s=20.0, times=1)
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print("one")
        assert 19 < await it.caught_up() < 22


@virtual_time
async def test_the_gauge_of_states_follows_a_subscription_through_its_life() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        assert it.states.count(Kind.LOGS, State.LIVE) == 1
        it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE, times=3)
        replica.cut()
        await it.until(lambda: it.states.count(Kind.LOGS, State.WAITING) == 1)
        await it.until(lambda: it.states.count(Kind.LOGS, State.LIVE) == 1)
        replica.gone()
        await it.until(lambda: it.subscription("checkout-1") is None)
        assert {state: it.states.count(Kind.LOGS, state) for state in State} == dict.fromkeys(State, 0)
