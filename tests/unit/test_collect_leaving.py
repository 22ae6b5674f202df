"""The end of a replica: its stream is read to the end, GetAppLogs is asked once more, and what is missing is said."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from shipper.ignite.status import Code
from shipper.model import GapReason
from tests.fakes.collection import Collection, collecting
from tests.fakes.platform import FakeReplica
from tests.virtual_time import virtual_time


async def started(it: Collection, *texts: str) -> FakeReplica:
    replica = it.platform.app("checkout").start("checkout-1")
    replica.print(*texts)
    await it.caught_up()
    return replica


async def closed(it: Collection, within_s: float = 60.0) -> float:
    """Wait until the subscription is over and what it brought is committed."""
    took_s = await it.until(lambda: it.subscription("checkout-1") is None, within_s)
    await asyncio.sleep(1)
    return took_s


@virtual_time
async def test_a_pod_that_lives_three_seconds_is_read_whole() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        await asyncio.sleep(12.3)
        for n in range(10):
            replica = app.start(f"checkout-{n}")
            app.event("Started", replica.replica_id)
            for i in range(30):
                replica.print(f"line {i} of {n}")
                await asyncio.sleep(0.1)
            replica.gone()
            await asyncio.sleep(3.7)
        await it.caught_up()
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_pod_that_leaves_while_its_stream_still_brings_lines_is_read_to_the_end() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        replica.listed = False
        for i in range(100):
            replica.print(f"still here {i}")
            await asyncio.sleep(0.5)
        replica.gone()
        await closed(it)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_pod_that_leaves_and_whose_stream_never_ends_is_closed_when_it_has_settled() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        replica.ends = replica.listed = False
        await asyncio.sleep(6)
        replica.print("last words")
        replica.gone()
        assert await closed(it) < 25
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []
        assert it.platform.open_streams == 0


@virtual_time
async def test_an_idle_pod_whose_stream_never_ends_is_no_gap_while_its_log_can_be_compared() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        replica.ends = False
        await asyncio.sleep(3600)
        replica.listed = False
        await asyncio.sleep(20)
        replica.gone()
        await closed(it)
        assert it.durable.gaps() == []


@virtual_time
async def test_the_last_words_of_a_pod_that_takes_long_to_stop_are_awaited() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        replica.ends = replica.listed = False
        for second in (25, 50, 28):
            await asyncio.sleep(second)
            replica.print(f"after {second} silent seconds")
        replica.gone()
        await closed(it)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_log_that_can_be_read_for_ever_keeps_no_subscription_open_for_ever() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        replica.ends = replica.listed = False
        assert 250 < await closed(it, 400) < 350
        assert it.durable.gaps() == []


@virtual_time
async def test_an_idle_pod_whose_stream_never_ends_may_have_lost_its_last_lines() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        await asyncio.sleep(60)
        replica.stall()
        lost = replica.print("nobody brings this")
        replica.gone()
        await closed(it)
        (gap,) = it.durable.gaps()
        assert gap["reason"] == GapReason.REPLICA_GONE
        assert gap["from_ms"] <= lost[0].time <= gap["to_ms"]


@virtual_time
async def test_where_no_stream_ever_ends_that_is_no_gap_any_more() -> None:
    async with collecting() as it:
        for n in range(20):
            replica = it.platform.app("checkout").start(f"checkout-{n}")
            replica.ends = False
            replica.print("one")
            await asyncio.sleep(120)
            replica.gone()
        await asyncio.sleep(60)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.reasons() == [GapReason.REPLICA_GONE] * 3


@virtual_time
async def test_a_pod_that_printed_nothing_and_whose_server_never_answered_is_no_gap() -> None:
    async with collecting() as it:
        it.platform.answers_streams = False
        replica = await started(it)
        await asyncio.sleep(120)
        replica.listed = False
        await asyncio.sleep(20)
        replica.gone()
        await closed(it)
        assert it.durable.gaps() == []


@virtual_time
async def test_lines_that_a_dead_stream_owed_when_its_pod_left_are_asked_for() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        replica.stall()
        replica.print("nobody brings this")
        replica.listed = False  # it ends in good order: for a while its log can still be had
        await it.caught_up(20)
        replica.gone()
        await closed(it)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_pod_that_goes_before_its_history_was_read_is_a_gap() -> None:
    async with collecting() as it:
        it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE)
        replica = it.platform.app("checkout").start("checkout-1")
        lost = replica.print("unheard")
        await asyncio.sleep(8)
        replica.gone()
        await closed(it, 90)
        assert it.durable.lines() == []
        (gap,) = it.durable.gaps()
        assert gap["reason"] == GapReason.REPLICA_GONE
        assert gap["replica_id"] == "checkout-1"
        assert gap["from_ms"] <= lost[0].time <= gap["to_ms"]


@virtual_time
async def test_a_pod_that_goes_while_its_stream_is_cut_is_a_gap_from_what_was_taken() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE)
        replica.cut()
        await asyncio.sleep(1)
        lost = replica.print("unheard")
        replica.gone()
        await closed(it, 90)
        (gap,) = it.durable.gaps()
        assert gap["reason"] == GapReason.REPLICA_GONE
        assert gap["from_ms"] <= lost[0].time <= gap["to_ms"]


@virtual_time
async def test_a_pod_that_is_cut_and_leaves_is_read_again_while_its_log_can_be_had() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE, times=5)
        replica.cut()
        replica.print("while nobody looked")
        replica.listed = False
        await asyncio.sleep(8)
        replica.print("and again")
        replica.crash()
        await closed(it)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_the_last_answer_of_get_app_logs_completes_what_the_stream_did_not_bring() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        it.platform.refuse("StreamAppLogs", Code.PERMISSION_DENIED)
        replica.cut()
        replica.print("asked for at the end")
        await asyncio.sleep(8)
        replica.listed = False
        await closed(it)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_last_answer_of_a_late_line_alone_does_not_reach_back_to_what_was_taken() -> None:
    """The line is older than the newest taken, and a rotation left nothing else: what it took away is a gap."""
    async with collecting() as it:
        replica = await started(it, "one")
        it.platform.refuse("StreamAppLogs", Code.PERMISSION_DENIED)
        replica.cut()
        late_ms = replica.now_ms() - 500
        lost = replica.print("rotated away")
        replica.rotate()
        replica.print("late", at_ms=late_ms)
        await asyncio.sleep(8)
        replica.listed = False
        await closed(it)
        assert it.durable.texts() == ["one", "late"]
        (gap,) = it.durable.gaps()
        assert gap["from_ms"] <= lost[0].time <= gap["to_ms"]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_truncated_last_answer_that_does_not_reach_back_is_a_gap(newest_first: bool) -> None:
    @virtual_time
    async def body() -> None:
        async with collecting() as it:
            it.platform.logs_limit, it.platform.newest_first = 10, newest_first
            it.platform.refuse("StreamAppLogs", Code.PERMISSION_DENIED)
            replica = it.platform.app("checkout").start("checkout-1")
            for i in range(25):
                replica.print(f"line {i}")
                await asyncio.sleep(0.1)
            await asyncio.sleep(8)
            replica.listed = False
            await closed(it)
            assert it.durable.texts() == [f"line {i}" for i in range(15, 25)]
            (gap,) = it.durable.gaps()
            assert gap["reason"] == GapReason.TRUNCATED
            lost = it.platform.printed[:15]
            assert gap["from_ms"] <= lost[0].time and lost[-1].time <= gap["to_ms"]

    body()


@virtual_time
async def test_a_server_that_refuses_to_give_many_lines_is_asked_for_fewer() -> None:
    async with collecting() as it:
        it.platform.logs_refused_above = 5000
        it.platform.refuse("StreamAppLogs", Code.PERMISSION_DENIED)
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print("asked for at the end")
        await asyncio.sleep(8)
        replica.listed = False
        await closed(it)
        assert it.durable.texts() == ["asked for at the end"]


@virtual_time
async def test_a_truncated_last_answer_that_reaches_back_is_none() -> None:
    async with collecting() as it:
        it.platform.logs_limit = 10
        replica = await started(it, *(f"line {i}" for i in range(50)))
        it.platform.refuse("StreamAppLogs", Code.PERMISSION_DENIED)
        replica.cut()
        replica.print("asked for at the end")
        await asyncio.sleep(8)
        replica.listed = False
        await closed(it)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_truncated_last_answer_about_the_next_container_is_a_gap() -> None:
    async with collecting() as it:
        it.platform.logs_limit = 10
        replica = await started(it, "one")
        replica.crash()
        await asyncio.sleep(1)
        it.platform.refuse("StreamAppLogs", Code.PERMISSION_DENIED)
        replica.restart()
        for i in range(25):
            replica.print(f"line {i}")
            await asyncio.sleep(0.3)
        replica.listed = False
        await closed(it)
        assert it.durable.texts() == ["one", *(f"line {i}" for i in range(15, 25))]
        (gap,) = it.durable.gaps()
        lost = it.platform.printed[1:16]
        assert gap["from_ms"] <= lost[0].time and lost[-1].time <= gap["to_ms"]
