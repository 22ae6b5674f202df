"""A container that restarts in place: the replica stays, its history begins anew."""

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
    """A replica that is followed, with its first lines in the buffer."""
    replica = it.platform.app("checkout").start("checkout-1")
    replica.print(*texts)
    await it.caught_up()
    return replica


@virtual_time
async def test_a_container_that_restarts_in_place_loses_nothing_when_its_stream_was_read_to_its_end() -> None:
    async with collecting() as it:
        replica = await started(it, "one", "two")
        replica.print("last words")
        replica.crash()
        await asyncio.sleep(10)
        replica.restart()
        replica.print("again")
        await it.caught_up()
        await asyncio.sleep(20)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_restarted_container_is_followed_as_soon_as_a_listing_shows_it() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        replica.crash()
        await asyncio.sleep(300)  # by now the pauses between two attempts are long
        replica.restart()
        replica.print("again")
        assert await it.caught_up() < 7
        assert it.durable.gaps() == []


@virtual_time
async def test_an_event_about_a_container_that_ended_asks_for_a_listing_at_once() -> None:
    async with collecting(events=True) as it:
        replica = await started(it, "one")
        replica.crash()
        await asyncio.sleep(300)
        replica.restart()
        replica.print("again")
        replica.app.event("Started", replica.replica_id)
        assert await it.caught_up() < 1


@virtual_time
async def test_a_container_that_restarts_while_its_stream_is_cut_leaves_a_gap() -> None:
    async with collecting() as it:
        replica = await started(it, "one", "two")
        it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE, times=3)
        replica.cut()
        lost = replica.print("nobody reads this")
        replica.restart()
        replica.print("again")
        await it.until(lambda: "again" in it.durable.texts())
        await asyncio.sleep(20)
        assert it.durable.counter() == Counter(it.platform.printed) - Counter(lost)
        (gap,) = it.durable.gaps()
        assert gap["reason"] == GapReason.RESTARTED
        assert gap["replica_id"] == "checkout-1"
        assert gap["from_ms"] <= lost[0].time <= gap["to_ms"]


@virtual_time
async def test_the_gap_of_a_restart_reaches_to_the_new_container_where_its_first_line_is_said_to_be_older() -> (
    None
):
    async with collecting() as it:
        replica = await started(it, "one", "two")
        it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE, times=1000)
        replica.cut()
        await asyncio.sleep(3)
        lost = replica.print("nobody reads this")
        replica.restart()
        replica.print("again, late", at_ms=replica.now_ms() - 2_500)
        it.platform.refusals.clear()
        await it.until(lambda: "again, late" in it.durable.texts())
        await asyncio.sleep(20)
        (gap,) = it.durable.gaps()
        assert gap["reason"] == GapReason.RESTARTED
        assert gap["from_ms"] <= lost[0].time <= gap["to_ms"]


@virtual_time
async def test_a_listing_that_is_stale_by_one_poll_makes_no_gap_of_a_restart() -> None:
    async with collecting() as it:
        replica = await started(it, "one", "two")
        replica.app.stale(2)
        replica.crash()
        replica.restart()
        replica.print("again")
        await it.caught_up()
        await asyncio.sleep(20)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_gap_of_a_restart_is_named_so_although_the_listing_was_stale() -> None:
    async with collecting() as it:
        replica = await started(it, "one", "two")
        replica.app.stale(1)
        replica.cut()
        replica.restart()
        replica.print("again")
        await it.caught_up()
        await asyncio.sleep(20)
        assert it.durable.reasons() == [GapReason.RESTARTED]


@virtual_time
async def test_a_doubt_survives_the_process() -> None:
    async with collecting() as it:
        replica = await started(it, "one", "two")
        for pipe in replica.streams:
            pipe.end()  # ends in good order, as a server that is replaced does
        replica.streams.clear()
        replica.rotate(0)
        await asyncio.sleep(0.5)
        replica.print("much later")
        await it.caught_up()
        assert it.durable.gaps() == []  # it may still turn out to be a restart
        await it.restart()
        await asyncio.sleep(20)
        assert it.durable.reasons() == [GapReason.ROTATED]


@virtual_time
async def test_two_restarts_between_two_streams_leave_a_gap() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE, times=4)
        replica.crash()
        await asyncio.sleep(0.3)
        replica.restart()
        lost = replica.print("a short life")
        replica.restart()
        replica.print("again")
        await it.until(lambda: "again" in it.durable.texts())
        await asyncio.sleep(20)
        assert it.durable.counter() == Counter(it.platform.printed) - Counter(lost)
        assert it.durable.reasons() == [GapReason.RESTARTED]


@virtual_time
async def test_a_container_that_had_nothing_to_say_is_no_gap() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        for _ in range(3):
            replica.crash()
            await asyncio.sleep(12)
            replica.restart()
            await asyncio.sleep(12)
        replica.print("at last")
        await it.caught_up()
        await asyncio.sleep(20)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_container_whose_stream_could_never_be_opened_is_a_gap_when_the_next_one_is_read() -> None:
    async with collecting() as it:
        refusal = it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE)
        replica = it.platform.app("checkout").start("checkout-1")
        lost = replica.print("unheard")
        await asyncio.sleep(8)
        replica.restart()
        refusal.lift()
        replica.print("again")
        await it.until(lambda: it.durable.texts() == ["again"])
        await asyncio.sleep(20)
        (gap,) = it.durable.gaps()
        assert gap["reason"] == GapReason.RESTARTED
        assert gap["from_ms"] <= lost[0].time <= gap["to_ms"]


@virtual_time
async def test_a_container_that_restarted_before_its_first_line_was_read_is_a_gap_although_the_listing_is_stale() -> (
    None
):
    async with collecting() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        await it.until(lambda: it.following("checkout-1"))
        await asyncio.sleep(1)
        replica.app.stale(1)
        it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE, times=2)
        lost = replica.print("unheard")
        replica.cut()
        await asyncio.sleep(0.1)
        replica.restart()
        replica.print("again")
        await it.until(lambda: it.durable.texts() == ["again"])
        await it.restart()
        await asyncio.sleep(20)
        (gap,) = it.durable.gaps()
        assert gap["reason"] == GapReason.RESTARTED
        assert gap["from_ms"] <= lost[0].time <= gap["to_ms"]


@virtual_time
async def test_a_container_that_crashes_just_after_its_first_lines_were_read_is_none() -> None:
    async with collecting() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        for _ in range(5):
            replica.print("starting", "cannot start")
            await asyncio.sleep(2)
            replica.crash()
            await asyncio.sleep(11)
            replica.restart()
        await asyncio.sleep(20)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_replica_that_is_first_seen_after_it_restarted_is_a_gap() -> None:
    async with collecting() as it:
        it.platform.app("checkout")
        await asyncio.sleep(20)
        replica = it.platform.app("checkout").start("checkout-1", restart_count=1)
        replica.print("again")
        await it.caught_up()
        assert it.durable.reasons() == [GapReason.RESTARTED]


@virtual_time
async def test_a_replica_that_started_and_restarted_while_shipper_was_away_is_a_gap() -> None:
    async with collecting() as it:
        await started(it, "one")
        await it.kill()
        lost = it.platform.app("checkout").start("checkout-2").print("unheard")
        await asyncio.sleep(100)
        it.platform.app("checkout").replicas["checkout-2"].restart()
        it.start()
        await asyncio.sleep(10)
        (gap,) = it.durable.gaps()
        assert (gap["reason"], gap["replica_id"]) == (GapReason.RESTARTED, "checkout-2")
        assert gap["from_ms"] <= lost[0].time <= gap["to_ms"]


@virtual_time
async def test_a_replica_that_restarted_before_shipper_came_is_none() -> None:
    it = Collection()
    it.platform.app("checkout").start("checkout-1", restart_count=4).print("one")
    it.start()
    await it.caught_up()
    await it.stop()
    assert it.durable.gaps() == []


@virtual_time
async def test_a_stream_that_goes_on_over_a_restart_repeats_nothing_after_a_cut() -> None:
    async with collecting() as it:
        replica = await started(it, "one", "two")
        replica.continues = True
        replica.crash()
        replica.restart()
        replica.print(*(f"line {i}" for i in range(1500)))
        await it.caught_up()
        await asyncio.sleep(20)
        replica.cut()
        replica.print("after the cut")
        await it.caught_up()
        await asyncio.sleep(20)
        assert it.durable.counter() == Counter(it.platform.printed)


@virtual_time
async def test_a_restart_of_a_sidecar_repeats_nothing() -> None:
    async with collecting() as it:
        replica = await started(it, *(f"line {i}" for i in range(1500)))
        await asyncio.sleep(15)
        replica.print(*(f"more {i}" for i in range(1500)))
        await it.caught_up()
        replica.rotate(2000)
        replica.restart_count += 1  # the count is of all containers of the pod
        await asyncio.sleep(12)
        replica.cut()
        replica.print("one more")
        await it.caught_up()
        await asyncio.sleep(20)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@pytest.mark.parametrize("hours", [-30, -2, 2])
def test_a_clock_that_is_set_between_two_containers_loses_nothing(hours: int) -> None:
    @virtual_time
    async def body() -> None:
        async with collecting() as it:
            replica = await started(it, *(f"line {i}" for i in range(1000)))
            for i in range(60):
                replica.print(*(f"later {i} {j}" for j in range(7)))
                await asyncio.sleep(400)
            replica.crash()
            replica.clock_offset_ms = hours * 3_600_000
            await asyncio.sleep(5)
            replica.restart()
            replica.print(*(f"new {i}" for i in range(1000)))
            await it.caught_up()
            replica.cut()
            replica.print("after the cut")
            await it.caught_up()
            assert it.durable.counter() == Counter(it.platform.printed)

    body()


@virtual_time
async def test_a_pod_of_the_same_name_as_one_that_is_gone_is_another() -> None:
    async with collecting() as it:
        replica = await started(it, "one")
        replica.crash()
        replica.restart()
        replica.print("two")
        await it.caught_up()
        replica.gone()
        await asyncio.sleep(30)
        again = it.platform.app("checkout").start("checkout-1")
        again.print("three")
        await it.caught_up()
        again.crash()
        await asyncio.sleep(10)
        again.restart()
        again.print("four")
        await it.caught_up()
        await asyncio.sleep(20)
        assert it.durable.counter() == Counter(it.platform.printed)
