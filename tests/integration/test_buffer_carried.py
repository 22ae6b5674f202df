"""Progress within a batch and what pipelines hold back: durable, one with the acknowledgement, bounded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shipper.buffer import LARGEST_STATE, Buffer, WhenFull
from shipper.errors import BufferFull
from shipper.model import MS_PER_HOUR, Batch, Carried, Kind
from tests.buffer_files import HOUR, MIB, Watch, everything, frame, gaps, lines, opened, partition, texts
from tests.fakes.meter import FakeMeter

SINKS = ["archive", "search"]
LIMIT = 16 * MIB


async def sealed(buffer: Buffer, app: str = "shop", sink: str = "search") -> Batch:
    """A batch of one new frame of two records."""
    await buffer.commit([lines("x", "y", where=partition(app))], [])
    batch = await buffer.seal(sink, partition(app), max_size=64 * MIB)
    assert batch is not None
    return batch


def held(app: str = "shop", state: bytes = b"state", records: int = 1, since_ms: int = 1000) -> Carried:
    return Carried(partition(app), state, records, since_ms)


# ---- progress ----


async def test_progress_is_there_after_a_restart_and_replaced_by_later_progress(tmp_path: Path) -> None:
    async with opened(tmp_path, sinks=SINKS) as buffer:
        batch = await sealed(buffer)
        assert (batch.done, batch.plan) == (0, "")
        await buffer.progressed(batch, 1, "plan-a")
        await buffer.progressed(batch, 7, "plan-b")
        assert await buffer.sealed("search") == [replace(batch, done=7, plan="plan-b")]
    async with opened(tmp_path, sinks=SINKS) as buffer:
        (again,) = await buffer.sealed("search")
        assert again == replace(batch, done=7, plan="plan-b")
        assert await buffer.read(again) is not None
        await buffer.acknowledge(again)
        await buffer.progressed(again, 8, "plan-b")  # too late, and harmless
        assert await buffer.sealed("search") == []


async def test_progress_that_makes_no_sense_is_a_fault(tmp_path: Path) -> None:
    async with opened(tmp_path, sinks=SINKS) as buffer:
        batch = await sealed(buffer)
        with pytest.raises(ValueError, match="-1 entries"):
            await buffer.progressed(batch, -1, "plan")
        with pytest.raises(ValueError, match="201 characters"):
            await buffer.progressed(batch, 1, "x" * 201)


async def test_attempts_do_not_undo_progress(tmp_path: Path) -> None:
    async with opened(tmp_path, sinks=SINKS) as buffer:
        batch = await sealed(buffer)
        await buffer.progressed(batch, 3, "plan")
        await buffer.attempted(batch)
        assert await buffer.sealed("search") == [replace(batch, done=3, plan="plan", attempts=1)]


# ---- carried state ----


async def test_what_is_held_back_is_one_with_the_acknowledgement(tmp_path: Path) -> None:
    """Replaced by each one that brings it, left alone by each that does not, forgotten when it is empty."""
    async with opened(tmp_path, sinks=SINKS) as buffer:
        await buffer.acknowledge(await sealed(buffer, "a"), held("a", b"1"))
        await buffer.acknowledge(await sealed(buffer, "b"), held("b", b"2", 5, 7))
        await buffer.acknowledge(await sealed(buffer, "a"))
        assert await buffer.carried("search") == [held("a", b"1"), held("b", b"2", 5, 7)]
        assert await buffer.carried("archive") == []
        await buffer.acknowledge(await sealed(buffer, "a"), held("a", b"3" * 10_000, 2))
    async with opened(tmp_path, sinks=SINKS) as buffer:
        assert await buffer.carried("search") == [held("a", b"3" * 10_000, 2), held("b", b"2", 5, 7)]
        await buffer.acknowledge(await sealed(buffer, "b"), held("b", b"", 0))
        await buffer.carry("search", held("a", b"4"))
        assert await buffer.carried("search") == [held("a", b"4")]
        await buffer.carry("search", held("a", b""))
        await buffer.carry("search", held("a", b""))  # nothing is there to forget
        assert await buffer.carried("search") == []
        with pytest.raises(KeyError):
            await buffer.carried("unknown")


async def test_a_batch_that_was_settled_before_brings_nothing(tmp_path: Path) -> None:
    """The second acknowledgement of one batch does not overwrite what a later batch has left."""
    async with opened(tmp_path, sinks=SINKS) as buffer:
        first = await sealed(buffer)
        await buffer.acknowledge(first, held(state=b"1"))
        await buffer.acknowledge(await sealed(buffer), held(state=b"2"))
        await buffer.acknowledge(first, held(state=b"1"))
        assert await buffer.carried("search") == [held(state=b"2")]


async def test_held_records_are_not_delivered_yet(tmp_path: Path) -> None:
    """They count as backlog of the sink since they are held, also after a restart; counts of a throttle do not."""
    async with opened(tmp_path, sinks=SINKS) as buffer:
        batch = await sealed(buffer, "a")
        assert buffer.stats().backlog_records["search"] == 2
        await buffer.acknowledge(batch, held("a", records=1, since_ms=5000))
        await buffer.carry("search", held("b", records=2, since_ms=4000))
        await buffer.carry("search", held("counts", records=0, since_ms=1))
        assert buffer.stats().backlog_records["search"] == 3
        assert buffer.stats().oldest_committed_ms["search"] == 4000
    async with opened(tmp_path, sinks=SINKS) as buffer:
        assert buffer.stats().backlog_records["search"] == 3
        await buffer.carry("search", held("b", b""))
        assert buffer.stats().oldest_committed_ms["search"] == 5000
        await buffer.carry("search", held("a", b"x", 0))
        assert buffer.stats().backlog_records["search"] == 0
        assert "search" not in buffer.stats().oldest_committed_ms


async def test_what_is_held_outlives_the_frames_and_partitions_it_came_from(tmp_path: Path) -> None:
    async with opened(tmp_path, sinks=["search"]) as buffer:
        await buffer.acknowledge(await sealed(buffer), held())
        assert buffer.stats().frames == 0
    async with opened(tmp_path, sinks=["search"]) as buffer:
        assert await buffer.carried("search") == [held()]
        await buffer.commit([lines("z")], [])
        assert texts(await everything(buffer, "search")) == ["z"]


async def test_a_state_that_is_too_large_is_a_fault_and_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, sinks=SINKS) as buffer:
        batch = await sealed(buffer)
        with pytest.raises(ValueError, match="at most 1048576 are kept"):
            await buffer.acknowledge(batch, held(state=bytes(LARGEST_STATE + 1)))
        with pytest.raises(ValueError, match="is no part of"):
            await buffer.acknowledge(batch, held("other"))
        assert await buffer.sealed("search") == [batch]
        await buffer.acknowledge(batch, held(state=bytes(LARGEST_STATE)))
        assert await buffer.carried("search") == [held(state=bytes(LARGEST_STATE))]


# ---- the bound ----


async def test_a_full_buffer_still_takes_the_largest_state_with_an_acknowledgement(tmp_path: Path) -> None:
    """Filled to the brim, every batch can be settled with a state of the largest size, within max_size."""
    watch = Watch(tmp_path)
    async with opened(tmp_path, max_size=LIMIT, sinks=SINKS) as buffer:
        with pytest.raises(BufferFull):
            for number in range(100_000):
                await buffer.commit([frame(50_000, partition(f"app-{number % 5}"), seed=number % 7)], [])
        with watch.watching():
            for round_ in range(3):
                for number in range(5):
                    where = partition(f"app-{number}")
                    batch = await buffer.seal("search", where, max_size=300_000)
                    assert batch is not None
                    state = bytes([round_ + 1]) * (LARGEST_STATE - 10 * number)
                    await buffer.acknowledge(batch, Carried(where, state, 1, number + 5 * round_))
                    assert Carried(where, state, 1, number + 5 * round_) in await buffer.carried("search")
        assert buffer.stats().bytes <= LIMIT
    assert watch.most <= LIMIT


async def test_where_there_is_no_more_room_counts_go_first_and_then_what_is_held_longest(
    tmp_path: Path,
) -> None:
    """States without records go unsaid; held records go counted and recorded as a gap of their hour."""
    meter = FakeMeter()
    async with opened(tmp_path, max_size=LIMIT, sinks=SINKS, meter=meter) as buffer:
        for number in range(4):
            await buffer.carry("search", held(f"counts-{number}", bytes(200_000), 0))
        await buffer.carry("search", held("young", bytes(200_000), 3, since_ms=2000))
        assert len(await buffer.carried("search")) == 5
        await buffer.carry("archive", held("old", bytes(200_000), 4, since_ms=1000))
        kept = {one.partition.app for one in await buffer.carried("search")}
        assert "young" in kept
        assert "counts-0" not in kept
        assert [key for key in meter.counts if key[0] == "records_dropped_total"] == []
        await buffer.carry("search", held("new", bytes(900_000), 1, since_ms=3000))
        left = [one.partition.app for sink in SINKS for one in await buffer.carried(sink)]
        assert left == ["new"]
        assert meter.counts["records_dropped_total", "archive", "buffer_full"] == 4
        assert meter.counts["records_dropped_total", "search", "buffer_full"] == 3
        (gap,) = gaps(await everything(buffer, "archive"))
        assert (gap["app"], gap["lost"], gap["reason"]) == ("old", 4, "buffer_full")
        assert (gap["from_ms"], gap["to_ms"]) == (HOUR * MS_PER_HOUR, (HOUR + 1) * MS_PER_HOUR - 1)
        assert "held back" in str(gap["detail"])
        assert buffer.stats().backlog_records["search"] == 1 + len(gaps(await everything(buffer, "search")))


async def test_thousands_of_small_states_are_bounded_too(tmp_path: Path) -> None:
    """The hours of a day leave their counts behind; the oldest are forgotten, and no commit is refused for them."""
    async with opened(tmp_path, max_size=LIMIT, sinks=["search"]) as buffer:
        for number in range(1500):
            await buffer.carry("search", held(f"app-{number}", bytes(800), 0))
        kept = await buffer.carried("search")
        assert 700 < len(kept) < 1500
        assert kept[-1].partition.app == "app-1499"
        assert kept[0].partition.app != "app-0"
        done = await buffer.commit([frame(5 * MIB)], [])
        assert all(done.frame_ids)


async def test_drop_oldest_leaves_what_is_held_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, max_size=LIMIT, sinks=SINKS, when_full=WhenFull.DROP_OLDEST) as buffer:
        await buffer.carry("search", held("a", bytes(900_000)))
        for number in range(30):
            await buffer.commit([frame(MIB, seed=number)], [])
        assert await buffer.carried("search") == [held("a", bytes(900_000))]


# ---- sinks that go ----


async def test_what_a_removed_sink_held_is_a_gap_where_no_other_sink_has_it(tmp_path: Path) -> None:
    """It is counted in any case; what the archive has, its reader is not told to be lost."""
    meter = FakeMeter()

    def route(where: object) -> frozenset[str]:
        return frozenset(SINKS if getattr(where, "app", "") != "alone" else ["search"])

    async with opened(tmp_path, sinks=SINKS, route=route) as buffer:
        await buffer.carry("search", held("shared", records=2))
        await buffer.carry("search", held("alone", records=3))
        await buffer.carry("archive", held("alone", b"mine", records=1))

    def without(where: object) -> frozenset[str]:
        gap = getattr(where, "kind", None) is Kind.GAPS
        return frozenset({"archive"} if gap else route(where) - {"search"})

    async with opened(tmp_path, sinks=["archive"], route=without, meter=meter) as buffer:
        assert await buffer.carried("archive") == [held("alone", b"mine", records=1)]
        (gap,) = gaps(await everything(buffer, "archive"))
        assert (gap["app"], gap["lost"], gap["reason"]) == ("alone", 3, "sink_removed")
    assert meter.counts["records_dropped_total", "search", "sink_removed"] == 5
    async with opened(tmp_path, sinks=SINKS, route=route) as buffer:
        assert await buffer.carried("search") == []
        assert buffer.stats().backlog_records["search"] == 0
