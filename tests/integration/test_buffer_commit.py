"""The commit: frames and cursors together, durable, and what happens when there is no room."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from shipper.buffer import MINIMUM_SIZE, Buffer, WhenFull
from shipper.errors import BufferFull, BufferUnavailable
from shipper.model import Codec, CursorWrite, GapReason, Kind, StoredCursor
from tests.buffer_files import MIB, cursor, everything, frame, gaps, lines, opened, partition, texts
from tests.fakes.meter import FakeMeter


async def test_frames_and_cursors_outlive_the_process(tmp_path: Path) -> None:
    """What a commit stored is there when the buffer is opened again, to the byte."""
    odd = partition("app/../\ud800%", kind=Kind.EVENTS)
    async with opened(tmp_path) as buffer:
        first = buffer.buffer_id
        done = await buffer.commit(
            [lines("a", "b"), lines("c", where=odd)],
            [cursor("key/\ud800", b"\x00state", (3, b"three"), (1, b"one"))],
        )
        assert done.frame_ids == (1, 2)
    async with opened(tmp_path) as buffer:
        assert buffer.buffer_id == first
        assert len(first) == 8
        assert int(first, 16) >= 0
        (stored,) = await buffer.cursors()
        assert stored == StoredCursor(
            "key/\ud800", b"\x00state", ((1, b"one"), (3, b"three")), 1_760_400_000_000
        )
        assert {one.partition for one in await buffer.open_partitions("archive")} == {partition(), odd}
        found = await everything(buffer)
        assert texts(found) == ["a", "b"]
        assert texts(found, Kind.EVENTS) == ["c"]


async def test_the_files_are_for_their_owner_only(tmp_path: Path) -> None:
    """Log lines are nobody else's business on the machine."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([frame()], [])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"buffer.sqlite3": 0o600, "buffer.sqlite3-wal": 0o600, "shipper.lock": 0o600}


async def test_cursor_writes_replace_add_drop_and_delete(tmp_path: Path) -> None:
    """State is replaced, segments are added or replaced, those below the mark go, a delete forgets all."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([], [cursor("a", b"1", (1, b"x"), (2, b"y")), cursor("b", b"1", (1, b"z"))])
        await buffer.commit([], [cursor("a", b"2", (2, b"Y"), (3, b"w"), below=2)])
        await buffer.commit([], [CursorWrite("b", b"", delete=True)])
        (stored,) = await buffer.cursors()
        assert (stored.key, stored.state, stored.segments) == ("a", b"2", ((2, b"Y"), (3, b"w")))
        await buffer.commit([], [cursor("b", b"3")])
        assert [(one.key, one.segments) for one in await buffer.cursors() if one.key == "b"] == [("b", ())]


async def test_a_cursor_that_comes_twice_in_a_commit_is_written_in_order(tmp_path: Path) -> None:
    """Also when it is deleted and made anew in one commit."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([], [cursor("a", b"1", (1, b"x")), cursor("a", b"2", (2, b"y"))])
        await buffer.commit(
            [], [cursor("a", b"3"), CursorWrite("a", b"", delete=True), cursor("a", b"4", (9, b"n"), below=9)]
        )
        assert [(one.state, one.segments) for one in await buffer.cursors()] == [(b"4", ((9, b"n"),))]


async def test_many_cursors_are_written_again_and_again(tmp_path: Path) -> None:
    """Two thousand cursors with moving segments stay two thousand cursors with a few segments each."""
    async with opened(tmp_path) as buffer:
        for number in range(12):
            writes = [
                cursor(f"k{key}", b"s" * 80, (number, b"d" * 60), below=number - 1) for key in range(2000)
            ]
            await buffer.commit([], writes)
        stored = await buffer.cursors()
        assert len(stored) == 2000
        assert {tuple(seq for seq, _ in one.segments) for one in stored} == {(10, 11)}
        assert buffer.stats().bytes < 4 * MIB


async def test_a_frame_that_no_sink_takes_is_not_stored(tmp_path: Path) -> None:
    """Routing by kind happens at the commit; what is for nobody takes no room."""
    sinks = {"logs": frozenset({Kind.LOGS}), "events": frozenset({Kind.EVENTS})}
    async with opened(tmp_path, sinks=sinks) as buffer:
        done = await buffer.commit(
            [
                frame(where=partition(kind=Kind.EVENTS)),
                frame(where=partition(kind=Kind.BUILDS)),
                frame(where=partition()),
            ],
            [],
        )
        assert done.frame_ids == (1, 0, 2)
        assert [one.partition.kind for one in await buffer.open_partitions("logs")] == [Kind.LOGS]
        assert [one.partition.kind for one in await buffer.open_partitions("events")] == [Kind.EVENTS]
        assert buffer.stats().frames == 2


async def test_a_full_buffer_refuses_and_keeps_nothing_of_it(tmp_path: Path) -> None:
    """BLOCK: neither frames nor cursors of the refused commit are there, and the room is announced when it comes."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([frame(6 * MIB, first_ms=1)], [cursor("a", b"before")])
        with pytest.raises(BufferFull, match="max_size"):
            await buffer.commit([frame(4 * MIB)], [cursor("a", b"after")])
        assert [one.state for one in await buffer.cursors()] == [b"before"]
        assert buffer.stats().frames == 1

        waiting = asyncio.create_task(buffer.wait_for_space(), name="waiting")
        batch = await buffer.seal("archive", partition(), max_size=1)
        assert batch is not None
        assert not waiting.done()
        await buffer.acknowledge(batch)
        await waiting
        await buffer.commit([frame(4 * MIB)], [cursor("a", b"after")])
        assert [one.state for one in await buffer.cursors()] == [b"after"]


async def test_room_made_before_the_wait_is_not_missed(tmp_path: Path) -> None:
    """An acknowledgement between the refusal and the wait ends the wait at once."""
    async with opened(tmp_path) as buffer:
        await buffer.wait_for_space()
        await buffer.commit([frame(6 * MIB)], [])
        batch = await buffer.seal("archive", partition(), max_size=1)
        assert batch is not None
        with pytest.raises(BufferFull):
            await buffer.commit([frame(4 * MIB)], [])
        await buffer.acknowledge(batch)
        await buffer.wait_for_space()


@pytest.mark.parametrize("when_full", list(WhenFull))
async def test_a_frame_larger_than_the_buffer_is_given_up_loudly(tmp_path: Path, when_full: WhenFull) -> None:
    """Waiting could never help it: the rest of its commit is stored, the loss is counted and recorded."""
    meter = FakeMeter()
    async with opened(tmp_path, when_full=when_full, meter=meter) as buffer:
        giant = frame(20 * MIB, partition("giant"), records=7, first_ms=5)
        done = await buffer.commit([giant, lines("kept")], [cursor("a", b"1")])
        assert done.frame_ids[0] == 0
        assert done.frame_ids[1] > 0
        (dropped,) = done.dropped
        assert (dropped.partition, dropped.sinks, dropped.records) == (partition("giant"), ("archive",), 7)
        found = await everything(buffer)
        assert texts(found) == ["kept"]
        (gap,) = gaps(found)
        assert (gap["app"], gap["lost"], gap["from_ms"], gap["to_ms"]) == ("giant", 7, 5, 1004)
        assert gap["reason"] == GapReason.BUFFER_FULL
    assert meter.counts["records_dropped_total", "archive", "buffer_full"] == 7
    assert meter.counts["gaps_total", "buffer_full"] == 1


async def test_subscribers_hear_of_commits_for_their_sink_only(tmp_path: Path) -> None:
    """The event is set by a commit with frames for the sink, and by no other."""
    async with opened(tmp_path, sinks={"logs": frozenset({Kind.LOGS}), "all": None}) as buffer:
        logs, every = buffer.subscribe("logs"), buffer.subscribe("all")
        await buffer.commit([frame(where=partition(kind=Kind.EVENTS))], [cursor()])
        assert (logs.is_set(), every.is_set()) == (False, True)
        every.clear()
        await buffer.commit([frame()], [])
        assert (logs.is_set(), every.is_set()) == (True, True)
        every.clear()
        await buffer.commit([], [cursor()])
        assert not every.is_set()
        assert buffer.subscribe("all") is every


async def test_a_buffer_below_the_minimum_is_refused(tmp_path: Path) -> None:
    """A size that could not hold one commit is an error of the configuration."""
    with pytest.raises(ValueError, match="at least"):
        async with opened(tmp_path, max_size=MINIMUM_SIZE - 1):
            pass


async def test_a_closed_buffer_says_so(tmp_path: Path) -> None:
    """Closing twice is fine, using it after that is BufferUnavailable."""
    buffer = await Buffer.open(
        tmp_path,
        max_size=MINIMUM_SIZE,
        when_full=WhenFull.BLOCK,
        sinks=["archive"],
        meter=FakeMeter(),
        codec=Codec.ZSTD,
    )
    await buffer.close()
    await buffer.close()
    with pytest.raises(BufferUnavailable, match="closed"):
        await buffer.commit([frame()], [])


async def test_a_clean_close_leaves_one_file(tmp_path: Path) -> None:
    """The log is moved into the database, so that the next start has nothing to recover."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([frame()], [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["buffer.sqlite3", "shipper.lock"]


async def test_a_smaller_max_size_is_reached_by_delivering(tmp_path: Path) -> None:
    """A file that is larger than a newly configured bound takes nothing until it is emptied, then shrinks below it."""
    async with opened(tmp_path, max_size=64 * MIB) as buffer:
        for number in range(10):
            await buffer.commit([frame(4 * MIB, seed=number)], [])
    async with opened(tmp_path, max_size=16 * MIB) as buffer:
        with pytest.raises(BufferFull):
            await buffer.commit([frame()], [])
        while (batch := await buffer.seal("archive", partition(), max_size=8 * MIB)) is not None:
            await buffer.acknowledge(batch)
        await buffer.wait_for_space()
        await buffer.commit([frame()], [])
        for _ in range(100):
            if buffer.stats().disk_bytes <= 16 * MIB:
                break
            await buffer.cursors()
        assert buffer.stats().disk_bytes <= 16 * MIB


async def test_stats_follow_what_is_committed_and_settled(tmp_path: Path) -> None:
    """Backlog and age are those of frames that the sink has not acknowledged, sealed or not, also after a restart."""
    async with opened(tmp_path, sinks=["a", "b"], now=1000.0) as buffer:
        await buffer.commit([frame(records=3), frame(records=4, where=partition("other"))], [])
    async with opened(tmp_path, sinks=["a", "b"], now=2000.0) as buffer:
        await buffer.commit([frame(records=5)], [])
        batch = await buffer.seal("a", partition(), max_size=1)
        assert batch is not None
        assert batch.records == 3
        stats = buffer.stats()
        assert stats.backlog_records == {"a": 12, "b": 12}
        assert stats.oldest_committed_ms == {"a": 1_000_000, "b": 1_000_000}
        await buffer.acknowledge(batch)
        other = await buffer.seal("a", partition("other"), max_size=1)
        assert other is not None
        await buffer.acknowledge(other)
        stats = buffer.stats()
        assert stats.backlog_records == {"a": 5, "b": 12}
        assert stats.oldest_committed_ms == {"a": 2_000_000, "b": 1_000_000}
        assert stats.frames == 3
        await everything_settled(buffer, "a")
        await everything_settled(buffer, "b")
        stats = buffer.stats()
        assert stats.backlog_records == {"a": 0, "b": 0}
        assert stats.oldest_committed_ms == {}
        assert stats.frames == 0


async def everything_settled(buffer: Buffer, sink: str) -> None:
    for one in await buffer.open_partitions(sink):
        while (batch := await buffer.seal(sink, one.partition, max_size=MIB)) is not None:
            await buffer.acknowledge(batch)
