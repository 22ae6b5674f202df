"""While no listing can be had, containers may come and go that nobody shows: what they printed is a gap."""

from __future__ import annotations

import asyncio
from collections import Counter

from shipper.ignite.status import Code
from shipper.model import GapReason
from tests.fakes.collection import Collection, collecting
from tests.virtual_time import virtual_time


async def closed(it: Collection) -> None:
    await it.until(lambda: it.subscription("checkout-1") is None, 120)
    await asyncio.sleep(1)


def lost_are_in_gaps(it: Collection, reason: GapReason) -> bool:
    missing = Counter(it.platform.printed) - it.durable.counter()
    gaps = it.durable.gaps()
    return bool(missing) and all(
        any(gap["reason"] == reason.value and gap["from_ms"] <= line.time <= gap["to_ms"] for gap in gaps)
        for line in missing
    )


@virtual_time
async def test_a_container_that_started_and_went_after_one_that_was_read_to_its_end_is_a_gap() -> None:
    async with collecting() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print("one")
        await it.caught_up()
        listing = it.platform.refuse("ListAppReplicas", Code.UNAVAILABLE)
        streams = it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE)
        replica.crash()
        await asyncio.sleep(60)
        replica.restart()
        replica.print("nobody reads this")
        await asyncio.sleep(20)
        replica.gone()
        streams.lift()
        listing.lift()
        await closed(it)
        assert lost_are_in_gaps(it, GapReason.REPLICA_GONE)


@virtual_time
async def test_a_container_that_went_before_the_first_stream_could_be_opened_is_a_gap() -> None:
    async with collecting(include=["checkout"]) as it:
        streams = it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE)
        replica = it.platform.app("checkout").start("checkout-1")
        await it.until(lambda: it.subscription("checkout-1") is not None, 20)
        listing = it.platform.refuse("ListAppReplicas", Code.UNAVAILABLE)
        await asyncio.sleep(1)
        replica.print("nobody reads this")
        replica.crash()
        await asyncio.sleep(60)
        replica.restart()
        await asyncio.sleep(1)
        replica.print("read")
        streams.lift()
        await it.until(lambda: it.durable.texts() == ["read"], 60)
        replica.gone()
        await asyncio.sleep(5)
        listing.lift()
        await closed(it)
        assert lost_are_in_gaps(it, GapReason.RESTARTED)


@virtual_time
async def test_a_stream_that_is_read_to_the_end_of_its_pod_misses_nothing_though_listings_fail() -> None:
    async with collecting() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print("one")
        await it.caught_up()
        await asyncio.sleep(20)
        listing = it.platform.refuse("ListAppReplicas", Code.UNAVAILABLE)
        await asyncio.sleep(60)
        replica.print("two")
        replica.listed = False
        listing.lift()
        await asyncio.sleep(20)
        replica.print("last words")
        replica.gone()
        await closed(it)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_listing_that_failed_for_some_seconds_makes_no_gap() -> None:
    async with collecting() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print("one")
        await it.caught_up()
        await asyncio.sleep(20)
        listing = it.platform.refuse("ListAppReplicas", Code.UNAVAILABLE)
        replica.print("last words")
        await asyncio.sleep(15)
        replica.gone()
        listing.lift()
        await closed(it)
        assert it.durable.gaps() == []
