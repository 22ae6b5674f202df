"""A caller that is cancelled in the middle: the job lands or not, and the buffer knows which."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shipper.buffer import Buffer, WhenFull
from shipper.errors import BufferLocked
from shipper.model import Codec
from tests.buffer_files import MIB, cursor, frame, opened, partition
from tests.fakes.meter import FakeMeter


async def cancelled(coroutine: object, turns: int) -> None:
    """Start it, let the loop turn so many times, cancel it."""
    task = asyncio.ensure_future(coroutine)  # type: ignore[call-overload]
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("turns", [1, 2])
async def test_a_cancelled_commit_is_whole_and_known(tmp_path: Path, turns: int) -> None:
    """Frames, cursors, sums and events agree with each other after it, and after a restart."""
    async with opened(tmp_path) as buffer:
        arrived = buffer.subscribe("archive")
        await cancelled(buffer.commit([frame(4 * MIB, records=9)], [cursor("a", b"1")]), turns)
        cursors = await buffer.cursors()  # runs after the job that nobody waits for
        assert [one.state for one in cursors] == [b"1"]
        assert arrived.is_set()
        assert buffer.stats().backlog_records == {"archive": 9}
        batch = await buffer.seal("archive", partition(), max_size=1)
        assert batch is not None
        assert await buffer.read(batch) == [frame(4 * MIB).data]
    async with opened(tmp_path) as buffer:
        assert buffer.stats().backlog_records == {"archive": 9}


async def test_a_cancelled_seal_is_found_among_the_sealed(tmp_path: Path) -> None:
    """The batch exists although its seal had no answer; nothing of it is open any more."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([frame(seed=number) for number in range(5)], [])
        await cancelled(buffer.seal("archive", partition(), max_size=300), 1)
        (batch,) = await buffer.sealed("archive")
        assert batch.size == 300
        (rest,) = await buffer.open_partitions("archive")
        assert rest.frames == 2


async def test_a_cancelled_acknowledgement_has_happened(tmp_path: Path) -> None:
    """The frames are gone, and who waits for space hears of it."""
    meter = FakeMeter()
    async with opened(tmp_path, meter=meter) as buffer:
        await buffer.commit([frame(5 * MIB, records=3)], [])
        batch = await buffer.seal("archive", partition(), max_size=1)
        assert batch is not None
        await cancelled(buffer.acknowledge(batch), 1)
        assert await buffer.sealed("archive") == []
        assert buffer.stats().frames == 0
        await buffer.wait_for_space()
        await buffer.commit([frame(5 * MIB)], [])


async def test_losses_are_counted_though_nobody_waits(tmp_path: Path) -> None:
    """Counters follow the job, not its caller."""
    meter = FakeMeter()
    async with opened(tmp_path, meter=meter) as buffer:
        await buffer.commit([frame(records=3)], [])
        batch = await buffer.seal("archive", partition(), max_size=1)
        assert batch is not None
        await cancelled(buffer.reject(batch, "no"), 1)
        await buffer.cursors()
    assert meter.counts["records_dropped_total", "archive", "rejected"] == 3


async def test_jobs_that_were_handed_over_are_done_before_the_close(tmp_path: Path) -> None:
    """Closing waits for a commit whose caller has gone."""
    async with opened(tmp_path) as buffer:
        await cancelled(buffer.commit([frame(MIB)], [cursor("a", b"1")]), 1)
    async with opened(tmp_path) as buffer:
        assert [one.key for one in await buffer.cursors()] == ["a"]


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_a_cancelled_open_holds_nothing(tmp_path: Path, turns: int) -> None:
    """The lock is free again when the job that was opening has ended."""
    opening = Buffer.open(
        tmp_path,
        max_size=16 * MIB,
        when_full=WhenFull.BLOCK,
        sinks=["archive"],
        meter=FakeMeter(),
        codec=Codec.ZSTD,
    )
    await cancelled(opening, turns)
    async with asyncio.timeout(10):
        while True:
            try:
                async with opened(tmp_path) as buffer:
                    await buffer.commit([frame()], [])
                    break
            except BufferLocked:  # until the abandoned job has closed behind itself
                await asyncio.sleep(0.01)
