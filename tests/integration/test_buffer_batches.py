"""Batches: sealed once, the same bytes at every reading, settled for each sink alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from shipper.archive.layout import batch_name
from shipper.model import Batch, Codec, GapReason, Kind, Partition
from tests.buffer_files import MIB, everything, frame, gaps, lines, opened, partition, texts
from tests.fakes.meter import FakeMeter


def tamper(directory: Path, sql: str, *parameters: object) -> None:
    """Change the closed file behind the buffer's back."""
    connection = sqlite3.connect(directory / "buffer.sqlite3")
    connection.execute(sql, parameters)
    connection.commit()
    connection.close()


async def test_a_batch_is_the_oldest_frames_in_order_up_to_its_size(tmp_path: Path) -> None:
    """Members are taken from the oldest on while they fit; one frame is taken whatever its size."""
    frames = [frame(size, first_ms=1000 - size, seed=size) for size in (100, 200, 300, 5000, 50)]
    async with opened(tmp_path) as buffer:
        await buffer.commit(frames[:2], [])
        await buffer.commit(frames[2:], [])
        sizes = []
        while (batch := await buffer.seal("archive", partition(), max_size=600)) is not None:
            sizes.append(batch.size)
            expected, frames = (
                frames[: 3 if batch.size == 600 else 1],
                frames[3 if batch.size == 600 else 1 :],
            )
            assert await buffer.read(batch) == [one.data for one in expected]
            assert batch.records == len(expected)
            assert batch.first_ms == min(one.first_ms for one in expected)
            assert batch.last_ms == max(one.last_ms for one in expected)
        assert sizes == [600, 5000, 50]


async def test_name_and_bytes_are_the_same_after_a_restart(tmp_path: Path) -> None:
    """A sealed batch is written down: the next process repeats it under its name, byte for byte, with its attempts."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([lines("a", at=2_000), lines("b", at=1_000)], [])
        batch = await buffer.seal("archive", partition(), max_size=MIB)
        assert batch is not None
        before = await buffer.read(batch)
        assert batch.name == batch_name(1_000, buffer.buffer_id, 1, 2)
        await buffer.attempted(batch)
        await buffer.commit([lines("later")], [])
    async with opened(tmp_path) as buffer:
        (again,) = await buffer.sealed("archive")
        assert again == Batch(**{name: getattr(batch, name) for name in batch.__slots__} | {"attempts": 1})
        assert await buffer.read(again) == before
        assert await buffer.read(batch) == before
        assert [one.frames for one in await buffer.open_partitions("archive")] == [1]
        await buffer.acknowledge(again)
        assert await buffer.sealed("archive") == []
        assert await buffer.read(again) is None


async def test_sealed_batches_come_in_the_order_of_sealing(tmp_path: Path) -> None:
    """Across partitions and restarts."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([frame(where=partition(app)) for app in "abc"], [])
        names = []
        for app in "cab":
            batch = await buffer.seal("archive", partition(app), max_size=1)
            assert batch is not None
            names.append(batch.name)
        assert [one.name for one in await buffer.sealed("archive")] == names
    async with opened(tmp_path) as buffer:
        assert [one.name for one in await buffer.sealed("archive")] == names


async def test_frames_of_another_codec_are_sealed_apart(tmp_path: Path) -> None:
    """After a change of compression a partition has both; an object never mixes them."""
    codecs = [Codec.ZSTD, Codec.ZSTD, Codec.GZIP, Codec.ZSTD]
    async with opened(tmp_path) as buffer:
        await buffer.commit([lines(str(number), codec=codec) for number, codec in enumerate(codecs)], [])
        (one,) = await buffer.open_partitions("archive")
        assert (one.codec, one.frames, one.records) == (Codec.ZSTD, 4, 4)
        sealed = []
        while (batch := await buffer.seal("archive", partition(), max_size=MIB)) is not None:
            sealed.append((batch.codec, batch.records))
        assert sealed == [(Codec.ZSTD, 2), (Codec.GZIP, 1), (Codec.ZSTD, 1)]
        assert texts(await everything(buffer)) == ["0", "1", "2", "3"]


async def test_there_is_nothing_to_seal_twice(tmp_path: Path) -> None:
    """An unknown partition, and one whose frames are sealed already, give no batch."""
    async with opened(tmp_path) as buffer:
        assert await buffer.seal("archive", partition(), max_size=1) is None
        await buffer.commit([frame()], [])
        assert await buffer.seal("archive", partition(), max_size=1) is not None
        assert await buffer.seal("archive", partition(), max_size=1) is None
        with pytest.raises(KeyError):
            await buffer.seal("unknown", partition(), max_size=1)


async def test_a_frame_stays_until_every_sink_has_it(tmp_path: Path) -> None:
    """Each sink seals and settles in its own way; the frame goes with the last acknowledgement."""
    async with opened(tmp_path, sinks=["fast", "slow"]) as buffer:
        await buffer.commit([frame(1000, seed=number) for number in range(10)], [])
        fast = await buffer.seal("fast", partition(), max_size=MIB)
        assert fast is not None
        await buffer.acknowledge(fast)
        assert buffer.stats().frames == 10
        left = 10
        while (slow := await buffer.seal("slow", partition(), max_size=3000)) is not None:
            frames = await buffer.read(slow)
            assert frames is not None
            await buffer.acknowledge(slow)
            left -= len(frames)
            assert buffer.stats().frames == left
        assert left == 0
        assert await buffer.open_partitions("fast") == []


async def test_acknowledging_again_is_harmless(tmp_path: Path) -> None:
    """The second time nothing happens, also to batches that came later."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([frame()], [])
        first = await buffer.seal("archive", partition(), max_size=1)
        assert first is not None
        await buffer.acknowledge(first)
        await buffer.commit([frame()], [])
        second = await buffer.seal("archive", partition(), max_size=1)
        assert second is not None
        assert second.batch_id != first.batch_id
        await buffer.acknowledge(first)
        await buffer.reject(first, "no")
        await buffer.attempted(first)
        assert await buffer.sealed("archive") == [second]


async def test_batches_are_settled_in_any_order(tmp_path: Path) -> None:
    """The youngest first: the frames of the others stay."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([frame(seed=number) for number in range(3)], [])
        batches = [await buffer.seal("archive", partition(), max_size=1) for _ in range(3)]
        for number in (2, 0, 1):
            batch = batches[number]
            assert batch is not None
            assert await buffer.read(batch) == [frame(seed=number).data]
            await buffer.acknowledge(batch)
    async with opened(tmp_path) as buffer:
        assert buffer.stats().frames == 0


async def test_a_batch_of_thousands_of_frames_is_settled_whole(tmp_path: Path) -> None:
    """More frames than one transaction deletes: they go all the same, and commits come in between."""
    async with opened(tmp_path, max_size=64 * MIB) as buffer:
        for _ in range(6):
            await buffer.commit([frame(64)] * 500, [])
        batch = await buffer.seal("archive", partition(), max_size=64 * MIB)
        assert batch is not None
        assert batch.records == 3000
        frames = await buffer.read(batch)
        assert frames is not None
        assert len(frames) == 3000
        await buffer.acknowledge(batch)
        assert await buffer.sealed("archive") == []
        await buffer.commit([frame(64)], [])
        for _ in range(200):
            if buffer.stats().frames == 1:
                break
            await buffer.cursors()
        assert buffer.stats().frames == 1
        assert len(await buffer.open_partitions("archive")) == 1


async def test_garbage_of_a_crash_is_collected_at_the_next_start(tmp_path: Path) -> None:
    """A batch that was forgotten before all of its frames were deleted leaves nothing behind."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([frame(seed=number) for number in range(300)], [])
        assert await buffer.seal("archive", partition(), max_size=20_000) is not None
    tamper(tmp_path, "DELETE FROM batches")
    async with opened(tmp_path) as buffer:
        assert buffer.stats().backlog_records == {"archive": 100}
        for _ in range(50):
            if buffer.stats().frames == 100:
                break
            await buffer.cursors()
        assert buffer.stats().frames == 100


async def test_a_large_batch_is_read_in_parts_that_make_the_same_whole(tmp_path: Path) -> None:
    """Reading never holds the buffer's thread for a whole batch; the result does not show it."""
    async with opened(tmp_path, max_size=64 * MIB) as buffer:
        frames = [frame(3 * MIB + number, seed=number) for number in range(8)]
        for one in frames:
            await buffer.commit([one], [])
        batch = await buffer.seal("archive", partition(), max_size=64 * MIB)
        assert batch is not None
        assert await buffer.read(batch) == [one.data for one in frames]


# ---- rejection ----


async def test_a_rejected_batch_becomes_a_gap_for_its_sink_alone(tmp_path: Path) -> None:
    """Forgotten and recorded in one commit: the sink gets the gap record, the other sink still gets the lines."""
    meter = FakeMeter()
    async with opened(tmp_path, sinks=["bad", "good"], meter=meter, now=5000.0) as buffer:
        await buffer.commit([lines("a", "b", at=1_000), lines("c", at=3_000)], [])
        batch = await buffer.seal("bad", partition(), max_size=MIB)
        assert batch is not None
        await buffer.reject(batch, "413: too large")
        await buffer.reject(batch, "413: too large")
    async with opened(tmp_path, sinks=["bad", "good"], meter=meter) as buffer:
        (gap,) = gaps(await everything(buffer, "bad"))
        assert gap == {
            "timestamp_ms": 5_000_000,
            "organization": "acme",
            "app": "shop",
            "replica_id": "",
            "stream_kind": "logs",
            "from_ms": 1_000,
            "to_ms": 3_000,
            "reason": GapReason.REJECTED,
            "detail": "413: too large",
            "lost": 3,
        }
        found = await everything(buffer, "good")
        assert texts(found) == ["a", "b", "c"]
        assert gaps(found) == []
        assert buffer.stats().frames == 0
    assert meter.counts["records_dropped_total", "bad", "rejected"] == 3
    assert meter.counts["gaps_total", "rejected"] == 1


async def test_rejected_gap_records_do_not_breed(tmp_path: Path) -> None:
    """A sink that refuses gap records too is not given a gap record about that."""
    meter = FakeMeter()
    async with opened(tmp_path, meter=meter) as buffer:
        await buffer.commit([lines("a")], [])
        batch = await buffer.seal("archive", partition(), max_size=1)
        assert batch is not None
        await buffer.reject(batch, "no")
        (one,) = await buffer.open_partitions("archive")
        again = await buffer.seal("archive", one.partition, max_size=1)
        assert again is not None
        await buffer.reject(again, "no")
        assert buffer.stats().frames == 0
    assert meter.counts["records_dropped_total", "archive", "rejected"] == 2
    assert meter.counts["gaps_total", "rejected"] == 1


# ---- damage ----


@pytest.mark.parametrize("how", ["altered", "gone", "cut"])
async def test_a_damaged_frame_costs_itself_and_nothing_else(tmp_path: Path, how: str) -> None:
    """Its loss is recorded exactly, the batch's other frames arrive, under other names than the damaged batch had."""
    meter = FakeMeter()
    async with opened(tmp_path, sinks=["archive", "other"]) as buffer:
        frames = [lines(f"{number}a", f"{number}b", at=1_000 * number) for number in range(5)]
        await buffer.commit(frames, [])
        batch = await buffer.seal("archive", partition(), max_size=MIB)
    change = {"altered": "UPDATE pieces SET data = zeroblob(length(data))", "gone": "DELETE FROM pieces"}.get(
        how, "UPDATE pieces SET data = substr(data, 1, 5)"
    )
    tamper(tmp_path, f"{change} WHERE id = 3 * 4096")
    async with opened(tmp_path, sinks=["archive", "other"], meter=meter) as buffer:
        assert batch is not None
        event = buffer.subscribe("archive")
        assert await buffer.read(batch) is None
        assert event.is_set()
        parts = await buffer.sealed("archive")
        assert len(parts) == 2
        assert batch.name not in {part.name for part in parts}
        await buffer.acknowledge(batch)  # the sink had it after all: too late, and harmless
        assert len(await buffer.sealed("archive")) == 2
        found = await everything(buffer)
        assert texts(found) == ["0a", "0b", "1a", "1b", "3a", "3b", "4a", "4b"]
        (gap,) = gaps(found)
        assert (gap["reason"], gap["lost"], gap["from_ms"], gap["to_ms"]) == (
            "buffer_corrupt",
            2,
            2_000,
            2_000,
        )
        other = await everything(buffer, "other")
        assert texts(other) == texts(found)
        assert gaps(other) == [gap]
        assert buffer.stats().frames == 0
    for sink in ("archive", "other"):
        assert meter.counts["records_dropped_total", sink, "buffer_corrupt"] == 2
    assert meter.counts["gaps_total", "buffer_corrupt"] == 1


async def test_a_batch_that_misses_a_frame_is_sealed_anew_at_the_start(tmp_path: Path) -> None:
    """A row that is gone without a trace does not pass for the batch that was sealed."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([lines(str(number)) for number in range(4)], [])
        batch = await buffer.seal("archive", partition(), max_size=MIB)
    tamper(tmp_path, "DELETE FROM frames WHERE id = 2")
    async with opened(tmp_path) as buffer:
        assert batch is not None
        assert batch.name not in {one.name for one in await buffer.sealed("archive")}
        assert texts(await everything(buffer)) == ["0", "2", "3"]


# ---- sinks come and go ----


async def test_a_new_sink_gets_what_is_committed_from_then_on(tmp_path: Path) -> None:
    """Frames from before it was configured are not its own."""
    async with opened(tmp_path, sinks=["old"]) as buffer:
        await buffer.commit([lines("before")], [])
    async with opened(tmp_path, sinks=["old", "new"]) as buffer:
        await buffer.commit([lines("after")], [])
        assert texts(await everything(buffer, "new")) == ["after"]
        assert texts(await everything(buffer, "old")) == ["before", "after"]
        assert buffer.stats().frames == 0


async def test_a_removed_sink_is_forgotten_loudly(tmp_path: Path) -> None:
    """What it still had to get is counted; its frames do not stay for ever. Others got them: no gap."""
    meter = FakeMeter()
    async with opened(tmp_path, sinks=["kept", "removed"]) as buffer:
        await buffer.commit([frame(records=5)], [])
        await buffer.commit([frame(records=7, where=partition("other"))], [])
        done = await buffer.seal("removed", partition("other"), max_size=1)
        assert done is not None
        await buffer.acknowledge(done)
        kept = await buffer.seal("kept", partition(), max_size=1)
        assert kept is not None
        await buffer.acknowledge(kept)
    async with opened(tmp_path, sinks=["kept"], meter=meter) as buffer:
        assert [one.partition for one in await buffer.open_partitions("kept")] == [partition("other")]
        last = await buffer.seal("kept", partition("other"), max_size=1)
        assert last is not None
        await buffer.acknowledge(last)
        await buffer.cursors()
        assert buffer.stats().frames == 0
    assert meter.counts["records_dropped_total", "removed", "sink_removed"] == 5


async def test_records_that_only_a_removed_sink_was_to_get_are_a_gap(tmp_path: Path) -> None:
    """A sink that was renamed: the lines that the old name had not taken are recorded as lost for the new one."""
    meter = FakeMeter()
    async with opened(tmp_path, sinks=["archive"]) as buffer:
        await buffer.commit([frame(records=5, first_ms=1_000), frame(records=6, first_ms=9_000)], [])
        assert await buffer.seal("archive", partition(), max_size=1) is not None
    async with opened(tmp_path, sinks=["renamed"], meter=meter) as buffer:
        assert await buffer.sealed("renamed") == []
        (gap,) = gaps(await everything(buffer, "renamed"))
        assert (gap["reason"], gap["lost"], gap["from_ms"], gap["to_ms"]) == (
            "sink_removed",
            11,
            1_000,
            9_999,
        )
        await buffer.cursors()
        assert buffer.stats().frames == 0
    assert meter.counts["records_dropped_total", "archive", "sink_removed"] == 11
    assert meter.counts["gaps_total", "sink_removed"] == 1


async def test_a_removed_sinks_slot_is_given_to_another_without_its_frames(tmp_path: Path) -> None:
    """Frames that were routed to the old owner of a slot never reach the new one."""
    async with opened(tmp_path, sinks=["a", "b"]) as buffer:
        await buffer.commit([lines("old")], [])
    async with opened(tmp_path, sinks=["c", "b"]) as buffer:
        await buffer.commit([lines("new")], [])
        assert texts(await everything(buffer, "c")) == ["new"]
    async with opened(tmp_path, sinks=["d", "e", "b"]) as buffer:
        assert await buffer.open_partitions("d") == await buffer.open_partitions("e") == []
        assert texts(await everything(buffer, "b")) == ["old", "new"]


async def test_a_partition_of_any_name_comes_back_as_it_was(tmp_path: Path) -> None:
    """Names of all sorts, extreme hours: the partition after a restart equals the one before."""
    odd = [
        Partition(Kind.LOGS, "", "", 0),
        Partition(Kind.BUILDS, "a/b", "x" * 300, -(2**40)),
        Partition(Kind.EVENTS, "日本語", "\ud800\x00", 2**40),
    ]
    async with opened(tmp_path) as buffer:
        await buffer.commit([frame(where=one) for one in odd], [])
    async with opened(tmp_path) as buffer:
        assert {one.partition for one in await buffer.open_partitions("archive")} == set(odd)
        for one in odd:
            assert await buffer.seal("archive", one, max_size=1) is not None
