"""What thousands of subscriptions would keep in memory each."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from shipper.collect.cursor import Cursor
from shipper.collect.intake import HOLD_AT
from shipper.ignite.port import LogChunk
from shipper.model import Replica
from tests.fakes.collection import collecting, wall_ms
from tests.fakes.durable import FakeDurable
from tests.virtual_time import virtual_time

_ROLLUP = Path("/proc/self/smaps_rollup")


def alive(kind: type) -> int:
    """How many there are."""
    gc.collect()
    return sum(isinstance(item, kind) for item in gc.get_objects())


@virtual_time
async def test_a_silent_subscription_keeps_nothing_of_what_its_stream_brought_last() -> None:
    before = alive(LogChunk)
    async with collecting() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print(*(f"line {i}" for i in range(500)))
        await it.caught_up()
        await asyncio.sleep(1)
        assert alive(LogChunk) == before


@virtual_time
async def test_of_a_replica_only_what_the_newest_listing_says_is_kept() -> None:
    before = alive(Replica)
    async with collecting() as it:
        for n in range(5):
            it.platform.app("checkout").start(f"checkout-{n}")
        await asyncio.sleep(60)
        assert alive(Replica) == before + 5


@virtual_time
async def test_however_many_streams_bring_something_at_once_a_commit_is_no_larger_than_what_may_wait() -> (
    None
):
    durable = FakeDurable(wall_ms, commit_s=1.0)
    async with collecting(durable=durable) as it:
        for n in range(200):
            it.platform.app("checkout").start(f"checkout-{n}").print(*["x" * 20_000] * 5)
        await it.caught_up()
        assert sum(frame.raw_size for frame in durable.frames) > 2 * HOLD_AT
        assert max(frame.raw_size for frame in durable.frames) < HOLD_AT + 5 * 21_000


@pytest.mark.skipif(not _ROLLUP.exists(), reason="only Linux tells")
def test_a_cursors_state_takes_no_more_memory_than_it_has_bytes() -> None:
    """orjson's answers keep the four kilobytes that they were written into."""
    cursor = Cursor('["logs","acme","checkout","checkout-1"]')
    before = held()
    states = [cursor.write().state for _ in range(2_000)]
    assert held() - before < 2_000 * 1_000
    assert len(states[0]) < 500


def held() -> int:
    """Anonymous memory of this process in bytes."""
    lines = _ROLLUP.read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))
