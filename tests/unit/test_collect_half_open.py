"""A stream that is open and dead is found within a minute and replaced; one that is merely silent is left alone."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from shipper.collect.states import State
from shipper.errors import BufferFull
from shipper.ignite.status import Code
from shipper.model import Kind
from tests.fakes.collection import Collection, collecting
from tests.fakes.platform import FakeReplica, chunk_of
from tests.virtual_time import virtual_time


async def started(it: Collection, *texts: str) -> FakeReplica:
    replica = it.platform.app("checkout").start("checkout-1")
    replica.print(*texts)
    await it.caught_up()
    return replica


@pytest.mark.parametrize("silent_s", [0.0, 1.0, 17.0, 29.0, 44.0, 600.0])
def test_a_half_open_stream_is_found_within_a_minute_and_replaced(silent_s: float) -> None:
    @virtual_time
    async def body() -> None:
        async with collecting() as it:
            replica = await started(it, *(f"line {i}" for i in range(1500)))
            await asyncio.sleep(silent_s)
            replica.stall()
            for i in range(120):
                replica.print(f"accumulates {i}")
                await asyncio.sleep(0.5)
            assert "accumulates 0" in it.durable.texts()
            assert it.reconnects("stalled") == 1
            await it.caught_up(5)
            assert it.durable.counter() == Counter(it.platform.printed)
            assert it.durable.gaps() == []

    body()


@virtual_time
async def test_a_stream_that_was_dead_from_its_first_moment_is_found_too() -> None:
    async with collecting() as it:
        it.platform.answers_streams = False
        replica = it.platform.app("checkout").start("checkout-1")
        await it.until(lambda: it.following("checkout-1"))
        await asyncio.sleep(1)
        it.platform.answers_streams = True
        replica.history.clear()
        replica.stall()
        replica.print("nobody brings this")
        assert await it.caught_up() < 60


@virtual_time
async def test_a_stream_that_is_merely_silent_is_left_alone() -> None:
    async with collecting() as it:
        await started(it, *(f"line {i}" for i in range(1500)))
        await asyncio.sleep(3600)
        assert it.platform.calls["StreamAppLogs"] == 1
        assert it.platform.calls["GetAppLogs"] > 60
        assert it.states.count(Kind.LOGS, State.LIVE) == 1


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_silent_stream_is_left_alone_in_whatever_order_the_platform_answers(newest_first: bool) -> None:
    @virtual_time
    async def body() -> None:
        async with collecting() as it:
            it.platform.newest_first = newest_first
            replica = await started(it)
            for i in range(1200):
                replica.print(f"line {i}", f"line {i}", stream="stderr" if i % 7 else "stdout")
                await asyncio.sleep(0.1)
            await asyncio.sleep(300)
            assert it.platform.calls["StreamAppLogs"] == 1

    body()


@virtual_time
async def test_a_silent_stream_of_a_server_that_never_answered_a_word_is_live() -> None:
    async with collecting() as it:
        it.platform.answers_streams = False
        await started(it)
        await it.until(lambda: it.states.count(Kind.LOGS, State.LIVE) == 1, 60)
        await asyncio.sleep(300)
        assert it.platform.calls["StreamAppLogs"] == 1


@virtual_time
async def test_a_limit_that_cuts_the_new_end_hides_no_dead_stream() -> None:
    async with collecting() as it:
        it.platform.logs_oldest = True
        replica = await started(it, *(f"line {i}" for i in range(300)))
        await asyncio.sleep(120)
        assert it.platform.calls["StreamAppLogs"] == 1
        replica.stall()
        replica.print("nobody brings this")
        assert await it.caught_up() < 60


@virtual_time
async def test_a_stream_that_speaks_is_not_checked() -> None:
    async with collecting() as it:
        replica = await started(it)
        for i in range(300):
            replica.print(f"line {i}")
            await asyncio.sleep(1)
        assert it.platform.calls["GetAppLogs"] == 0


@virtual_time
async def test_a_stream_that_our_own_backpressure_holds_back_is_left_alone() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        it.durable.troubles = [BufferFull("full")] * 100_000
        replica.chunk = 1
        big = "x" * 1_000_000
        for i in range(40):
            replica.print(f"{i} {big}")
        await it.until(lambda: it.intake.holding)
        for _ in range(30):
            await asyncio.sleep(10)
            replica.print("more")
            assert it.following("checkout-1")
        assert it.platform.calls["StreamAppLogs"] == 1
        it.durable.troubles.clear()
        it.durable.space.set()
        await it.caught_up()
        await asyncio.sleep(120)
        assert it.platform.calls["StreamAppLogs"] == 1
        assert it.durable.counter() == Counter(it.platform.printed)


@virtual_time
async def test_a_check_that_fails_replaces_nothing_and_is_repeated() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        it.platform.refuse("GetAppLogs", Code.UNAVAILABLE, times=5)
        await asyncio.sleep(60)
        assert it.platform.calls["StreamAppLogs"] == 1
        assert it.platform.calls["GetAppLogs"] > 5
        replica.stall()
        replica.print("nobody brings this")
        assert await it.caught_up() < 60


@virtual_time
async def test_lines_that_are_on_their_way_while_the_check_is_made_are_no_reason() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        for _ in range(20):
            (pipe,) = replica.streams
            pipe.stalled = True  # the stream is slower than GetAppLogs, by seconds
            await asyncio.sleep(19.5)
            lines = replica.print("slow")
            await asyncio.sleep(2)
            pipe.stalled = False
            pipe.feed(chunk_of(lines))
            await asyncio.sleep(1)
        await it.caught_up()
        assert it.platform.calls["StreamAppLogs"] == 1


@virtual_time
async def test_many_silent_streams_are_checked_a_few_at_a_time() -> None:
    async with collecting() as it:
        app = it.platform.app("checkout")
        for n in range(100):
            app.start(f"checkout-{n}").print("one")
        it.platform.delay("GetAppLogs", 0.5)
        await it.caught_up()
        await asyncio.sleep(60)
        times = [at for at, method, _ in it.platform.log if method == "GetAppLogs"]
        assert len(times) >= 100
        assert all(later - earlier >= 0.49 for earlier, later in zip(times, times[16:], strict=False))


@virtual_time
async def test_each_of_many_dead_streams_is_found_in_time() -> None:
    async with collecting() as it:
        app = it.platform.app("checkout")
        replicas = [app.start(f"checkout-{n}") for n in range(200)]
        for replica in replicas:
            replica.print("one")
        await it.caught_up()
        it.platform.delay("GetAppLogs", 0.1)
        await asyncio.sleep(30)
        for replica in replicas:
            replica.stall()
            replica.print("nobody brings this")
        assert await it.caught_up() < 60
        assert it.durable.counter() == Counter(it.platform.printed)


@virtual_time
async def test_where_recent_lines_are_not_offered_that_is_said_once_and_asked_for_each_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with collecting() as it:
        no = it.platform.refuse("GetAppLogs", Code.UNIMPLEMENTED)
        replicas = [it.platform.app("checkout").start(f"checkout-{number}") for number in range(3)]
        await asyncio.sleep(2.5 * 3600)
        assert 5 <= it.platform.calls["GetAppLogs"] <= 6, "one of the replicas tries for all"
        said = [record.message for record in caplog.records if "GetAppLogs is not offered" in record.message]
        assert len(said) == 1
        assert list(it.collector.context.offers.refused) == ["GetAppLogs"]
        replicas[0].print("one")
        await it.caught_up()
        no.lift()
        await asyncio.sleep(4000)
        assert not it.collector.context.offers.refused


@virtual_time
async def test_where_recent_lines_may_not_be_read_silent_streams_are_checked_no_more_often_than_else() -> (
    None
):
    async with collecting() as it:
        it.platform.refuse("GetAppLogs", Code.PERMISSION_DENIED)
        await started(it, "one")
        await asyncio.sleep(600)
        assert 10 <= it.platform.calls["GetAppLogs"] <= 20
