"""Replicas that were gone, or seemed to be: other runs, wrong listings, cursors that are kept for a while."""

from __future__ import annotations

import asyncio
from collections import Counter

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
async def test_a_replica_that_was_open_at_the_last_run_and_is_gone_at_the_next_start_is_a_gap_once() -> None:
    it = Collection()
    it.start()
    replica = await started(it, "one")
    await it.kill()
    lost = replica.print("while nobody ran")
    replica.gone()
    for _ in range(2):
        it.start()
        await asyncio.sleep(20)
        await it.stop()
    (gap,) = it.durable.gaps()
    assert gap["reason"] == GapReason.REPLICA_GONE
    assert gap["from_ms"] <= lost[0].time <= gap["to_ms"]


@virtual_time
async def test_a_container_that_was_read_to_its_end_before_the_last_run_ended_may_have_been_followed_by_others() -> (
    None
):
    it = Collection()
    it.start()
    replica = await started(it, "one")
    replica.crash()
    await asyncio.sleep(1)
    await it.kill()
    replica.restart()
    replica.print("while nobody ran")
    replica.gone()
    it.start()
    await asyncio.sleep(20)
    await it.stop()
    assert it.durable.reasons() == [GapReason.REPLICA_GONE]


@virtual_time
async def test_a_replica_that_left_its_listing_while_shipper_was_away_is_read_if_it_still_can_be() -> None:
    it = Collection()
    it.start()
    replica = await started(it, "one")
    await it.kill()
    replica.print("while nobody ran")
    replica.listed = False
    replica.crash()
    it.start()
    await asyncio.sleep(20)
    await it.stop()
    assert it.durable.counter() == Counter(it.platform.printed)
    assert it.durable.gaps() == []


@virtual_time
async def test_a_listing_that_is_empty_for_a_moment_loses_no_stream_and_repeats_no_line() -> None:
    async with collecting() as it:
        replica = await started(it, *(f"line {i}" for i in range(300)))
        for i in range(40):
            replica.app.answers.append([])
            replica.print(f"more {i}")
            await asyncio.sleep(7)
        assert it.platform.calls["StreamAppLogs"] == 1
        await it.caught_up()
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_listing_that_is_wrong_while_a_stream_is_cut_closes_nothing_for_good() -> None:
    async with collecting() as it:
        replica = await started(it, *(f"line {i}" for i in range(300)))
        for code in (Code.UNAVAILABLE, Code.NOT_FOUND, Code.OK, Code.DEADLINE_EXCEEDED):
            replica.app.answers.append([])
            await asyncio.sleep(6)
            replica.cut(code)
            replica.print(f"after {code.name}")
            await asyncio.sleep(12)
            assert it.following("checkout-1")
        await it.caught_up()
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_replica_that_comes_back_hours_after_it_was_closed_repeats_nothing() -> None:
    for hours in (0.1, 1.0):
        async with collecting() as it:
            replica = await started(it, *(f"line {i}" for i in range(300)))
            replica.listed = False
            replica.crash()
            await closed(it)
            await asyncio.sleep(hours * 3600)
            await it.restart()
            await asyncio.sleep(60)
            replica.listed, replica.ended = True, False
            replica.print("back again")
            await it.caught_up()
            assert it.durable.counter() == Counter(it.platform.printed)


@virtual_time
async def test_the_cursors_of_replicas_that_are_gone_are_forgotten_in_time() -> None:
    async with collecting() as it:
        app = it.platform.app("checkout")
        for n in range(50):
            app.start(f"checkout-{n}").print(*(f"line {i}" for i in range(100)))
        await it.caught_up()
        for replica in list(app.replicas.values()):
            replica.gone()
        await asyncio.sleep(60)
        assert len(it.durable.cursors()) == 50
        await asyncio.sleep(1200)
        assert len(it.durable.cursors()) == 50
        assert not any(cursor.segments for cursor in it.durable.cursors())
        await asyncio.sleep(2 * 3600)
        assert it.durable.cursors() == []
