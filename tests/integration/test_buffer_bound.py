"""`max_size` is a hard bound: database and write-ahead log together never take more, at any moment."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from shipper.buffer import Buffer, WhenFull
from shipper.errors import BufferFull
from shipper.model import CursorWrite, Frame, Kind
from tests.buffer_files import MIB, Watch, everything, frame, opened, partition
from tests.fakes.meter import FakeMeter

LIMIT = 16 * MIB


def some_frames(rng: random.Random) -> list[Frame]:
    """Commits of every shape: many crumbs over many partitions, middling ones, one giant."""
    shape = rng.choice(["crumbs", "middling", "middling", "large", "giant"])
    if shape == "crumbs":
        return [
            frame(rng.randrange(1, 600), partition(f"app-{number}"), seed=rng.random())
            for number in range(300)
        ]
    if shape == "middling":
        sizes = [rng.randrange(1, 300_000) for _ in range(rng.randrange(1, 8))]
        return [frame(size, partition(f"app-{rng.randrange(4)}"), seed=rng.random()) for size in sizes]
    if shape == "large":
        return [frame(rng.randrange(1, 3 * MIB), seed=rng.random()) for _ in range(2)]
    return [frame(rng.randrange(4 * MIB, 9 * MIB), seed=rng.random())]


def some_cursors(rng: random.Random) -> list[CursorWrite]:
    """Usually a few; at times all of two thousand."""
    count = rng.choice([0, 3, 50, 2000])
    return [
        CursorWrite(f"logs/acme/app/{number}", rng.randbytes(80), ((rng.randrange(3), rng.randbytes(60)),))
        for number in range(count)
    ]


async def deliver_some(buffer: Buffer, rng: random.Random) -> None:
    """What a sink does meanwhile."""
    for one in await buffer.open_partitions("archive"):
        if rng.random() < 0.7:
            batch = await buffer.seal("archive", one.partition, max_size=rng.choice([1, MIB, 64 * MIB]))
            assert batch is not None
            if rng.random() < 0.8:
                await buffer.acknowledge(batch)


@pytest.mark.parametrize("when_full", list(WhenFull))
async def test_the_files_never_take_more_than_max_size(tmp_path: Path, when_full: WhenFull) -> None:
    """Over random commits, deliveries and refusals, every look at the disk finds the files within the bound."""
    rng = random.Random(when_full)
    watch = Watch(tmp_path)
    refused = 0
    async with opened(tmp_path, max_size=LIMIT, when_full=when_full) as buffer:
        with watch.watching():
            for _ in range(30):
                try:
                    await buffer.commit(some_frames(rng), some_cursors(rng))
                except BufferFull:
                    refused += 1
                    await deliver_some(buffer, rng)
                    for batch in await buffer.sealed("archive"):
                        await buffer.acknowledge(batch)
                if rng.random() < 0.1:
                    await deliver_some(buffer, rng)
                stats = buffer.stats()
                assert stats.bytes <= stats.limit_bytes == LIMIT
                assert stats.disk_bytes <= LIMIT
    assert watch.looks > 100
    assert 8 * MIB < watch.most <= LIMIT
    assert (refused > 0) is (when_full is WhenFull.BLOCK)


async def test_a_full_buffer_can_be_emptied(tmp_path: Path) -> None:
    """Filled to the brim with small frames, every batch can still be sealed, read, acknowledged or rejected."""
    meter = FakeMeter()
    async with opened(tmp_path, max_size=LIMIT, meter=meter) as buffer:
        count = 0
        with pytest.raises(BufferFull):
            for count in range(100_000):
                await buffer.commit([frame(2000, partition(f"app-{count % 50}"), seed=count % 7)] * 8, [])
        assert buffer.stats().frames == count * 8
        assert buffer.stats().bytes > LIMIT // 2
        for number, one in enumerate(await buffer.open_partitions("archive")):
            batch = await buffer.seal("archive", one.partition, max_size=64 * MIB)
            assert batch is not None
            frames = await buffer.read(batch)
            assert frames is not None
            assert len(b"".join(frames)) == batch.size
            if number % 2:
                await buffer.acknowledge(batch)
            else:
                await buffer.reject(batch, "no")
        assert sorted((await everything(buffer)).keys(), key=str)[0].kind is Kind.GAPS
        assert buffer.stats().frames == 0
        assert buffer.stats().bytes < MIB


async def test_a_commit_larger_than_the_log_is_still_one_commit(tmp_path: Path) -> None:
    """A commit of most of the buffer is taken whole, in the bound, with its cursors."""
    watch = Watch(tmp_path)
    async with opened(tmp_path, max_size=LIMIT) as buffer:
        sizes = [2 * MIB + MIB // 2, 100, MIB // 2, 3 * MIB]
        frames = [frame(size, partition(f"app-{size}"), seed=size) for size in sizes]
        assert sum(sizes) < buffer.largest_commit
        with watch.watching():
            await buffer.commit(frames, [CursorWrite("a", b"1"), CursorWrite("b", b"2")])
        assert watch.most <= LIMIT
        assert {one.key for one in await buffer.cursors()} == {"a", "b"}
        for one in frames:
            batch = await buffer.seal("archive", one.partition, max_size=1)
            assert batch is not None
            assert await buffer.read(batch) == [one.data]


async def test_the_largest_commit_fits_an_empty_buffer(tmp_path: Path) -> None:
    """What the buffer names as its largest commit is taken, as one frame or as a few."""
    for pieces in (1, 7):
        async with opened(tmp_path / str(pieces), max_size=LIMIT) as buffer:
            size = buffer.largest_commit // pieces
            apps = [partition(f"app-{number}") for number in range(pieces)]
            done = await buffer.commit([frame(size, app) for app in apps], [])
            assert all(done.frame_ids)
            assert done.dropped == ()


async def test_the_file_shrinks_after_an_outage(tmp_path: Path) -> None:
    """When a large backlog has been delivered, the disk is given back."""
    async with opened(tmp_path, max_size=256 * MIB) as buffer:
        for number in range(20):
            await buffer.commit([frame(4 * MIB, seed=number)], [])
        before = buffer.stats().disk_bytes
        while (batch := await buffer.seal("archive", partition(), max_size=16 * MIB)) is not None:
            await buffer.acknowledge(batch)
        for _ in range(200):
            if buffer.stats().disk_bytes < before // 2:
                break
            await buffer.cursors()  # any job: tidying goes on in between
        assert buffer.stats().disk_bytes < before // 2


async def test_garbage_never_stands_in_the_way(tmp_path: Path) -> None:
    """Small frames that were delivered are deleted late, but before a commit is refused for want of room."""
    async with opened(tmp_path, max_size=LIMIT) as buffer:
        for number in range(9):
            await buffer.commit([frame(1000, partition(f"app-{number % 3}"), seed=number)] * 500, [])
        batch = await buffer.seal("archive", partition("app-0"), max_size=64 * MIB)
        assert batch is not None
        await buffer.acknowledge(batch)
        room = buffer.largest_commit - buffer.stats().bytes
        assert room > 0
        await buffer.commit([frame(room + MIB, partition("large"))], [])


async def test_small_frames_make_room_for_who_waits(tmp_path: Path) -> None:
    """After a refusal their deletion does not wait for more of them to come."""
    async with opened(tmp_path, max_size=LIMIT) as buffer:
        await buffer.commit([frame(5 * MIB, partition("large"))], [])
        await buffer.commit([frame(1000, seed=number) for number in range(700)], [])
        with pytest.raises(BufferFull):
            await buffer.commit([frame(2_700_000)], [])
        batch = await buffer.seal("archive", partition(), max_size=64 * MIB)
        assert batch is not None
        await buffer.acknowledge(batch)
        async with asyncio.timeout(20):
            await buffer.wait_for_space()
            while True:
                try:
                    await buffer.commit([frame(2_700_000)], [])
                    break
                except BufferFull:
                    await buffer.wait_for_space()
