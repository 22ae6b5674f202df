"""`when_full: drop_oldest`: whole undelivered frames go, oldest first, each counted and recorded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from shipper.archive.codec import decode, decompress
from shipper.buffer import Buffer, WhenFull, gap_frame
from shipper.model import App, Codec, Gap, GapReason, Kind
from tests.buffer_files import MIB, everything, frame, gaps, opened, partition
from tests.fakes.meter import FakeMeter

DROP = WhenFull.DROP_OLDEST


async def drained(buffer: Buffer, sink: str = "archive") -> tuple[Counter[str], list[dict[str, object]]]:
    """How many frames of each app the sink gets, and the gap records."""
    apps: Counter[str] = Counter()
    records: list[dict[str, object]] = []
    for one in await buffer.open_partitions(sink):
        while (batch := await buffer.seal(sink, one.partition, max_size=8 * MIB)) is not None:
            frames = await buffer.read(batch)
            assert frames is not None
            if batch.partition.kind is Kind.GAPS:
                records += decode(decompress(batch.codec, b"".join(frames)))
            else:
                apps[batch.partition.app] += len(frames)
            await buffer.acknowledge(batch)
    return apps, records


async def test_the_oldest_frames_go_and_every_one_is_counted(tmp_path: Path) -> None:
    """What is delivered and what the gap records and the counter say is lost make up what was committed."""
    meter = FakeMeter()
    async with opened(tmp_path, when_full=DROP, meter=meter) as buffer:
        lost = 0
        for number in range(60):
            done = await buffer.commit([frame(MIB // 2, records=10, first_ms=number * 1000, seed=number)], [])
            assert all(done.frame_ids)
            lost += sum(one.records for one in done.dropped)
        youngest = (await buffer.seal("archive", partition(), max_size=64 * MIB)) or None
        assert youngest is not None
        frames = await buffer.read(youngest)
        assert frames is not None
        assert frames == [frame(MIB // 2, seed=number).data for number in range(60 - len(frames), 60)]
        await buffer.acknowledge(youngest)
        found = gaps(await everything(buffer))
    assert sum(gap["lost"] for gap in found) == lost == 600 - youngest.records > 0
    assert {(gap["app"], gap["reason"], gap["stream_kind"], gap["replica_id"]) for gap in found} == {
        ("shop", "buffer_full", "logs", "")
    }
    assert min(gap["from_ms"] for gap in found) == 0
    assert max(gap["to_ms"] for gap in found) == (59 - len(frames)) * 1000 + 999
    assert meter.counts["records_dropped_total", "archive", "buffer_full"] == lost
    assert meter.counts["gaps_total", "buffer_full"] == len(found)


async def test_each_app_and_kind_has_a_gap_of_its_own(tmp_path: Path) -> None:
    """Losses are told apart by app and by kind of record, over all of their hours."""
    async with opened(tmp_path, when_full=DROP) as buffer:
        await buffer.commit(
            [
                frame(MIB, partition("a", hour=1), records=1),
                frame(MIB, partition("a", hour=2), records=2),
                frame(MIB, partition("a", kind=Kind.EVENTS), records=4),
                frame(MIB, partition("b"), records=8),
            ],
            [],
        )
        done = await buffer.commit([frame(6 * MIB, partition("new"))], [])
        assert {one.partition for one in done.dropped} <= {
            partition("a", hour=1),
            partition("a", hour=2),
            partition("a", kind=Kind.EVENTS),
            partition("b"),
        }
        apps, found = await drained(buffer)
        assert apps["new"] == 1
        lost = {(gap["app"], gap["stream_kind"]): gap["lost"] for gap in found}
        assert lost == {("a", "logs"): 3, ("a", "events"): 4, ("b", "logs"): 8}


async def test_room_is_made_ahead_so_that_gap_records_stay_few(tmp_path: Path) -> None:
    """A buffer that stays full writes a gap record now and then, not with every commit."""
    async with opened(tmp_path, when_full=DROP) as buffer:
        for number in range(400):
            await buffer.commit([frame(MIB // 8, seed=number)], [])
        _, found = await drained(buffer)
        assert 0 < len(found) <= 400 * MIB // 8 // (MIB // 2) + 1


async def test_gap_records_outlive_all_others(tmp_path: Path) -> None:
    """Gap frames are the oldest here and stay, while anything else can be dropped instead."""
    old = Gap(1, App("acme", "old"), "r-1", Kind.LOGS, 0, 1, GapReason.ROTATED)
    async with opened(tmp_path, when_full=DROP) as buffer:
        await buffer.commit([gap_frame(old, Codec.ZSTD)], [])
        for number in range(40):
            await buffer.commit([frame(MIB, seed=number)], [])
        _, found = await drained(buffer)
        assert [gap["reason"] for gap in found].count("rotated") == 1


async def test_gap_records_go_when_nothing_else_is_left(tmp_path: Path) -> None:
    """The buffer never refuses for the sake of gap records; losing them is a loss that is recorded itself."""
    async with opened(tmp_path, when_full=DROP) as buffer:
        for number in range(3):
            await buffer.commit([frame(2 * MIB, partition(kind=Kind.GAPS), records=100, seed=number)], [])
        done = await buffer.commit([frame(5 * MIB)], [])
        assert {one.partition.kind for one in done.dropped} == {Kind.GAPS}
        assert all(done.frame_ids)


async def test_frames_in_a_sealed_batch_are_dropped_last_and_whole(tmp_path: Path) -> None:
    """A sink may be storing the batch just now. When it has to go, all of it goes, and the late answer is harmless."""
    meter = FakeMeter()
    async with opened(tmp_path, when_full=DROP, meter=meter) as buffer:
        for number in range(4):
            await buffer.commit([frame(MIB, records=10, seed=number)], [])
        batch = await buffer.seal("archive", partition(), max_size=2 * MIB)
        assert batch is not None
        assert batch.records == 20
        for number in range(4, 24):
            await buffer.commit([frame(MIB, records=10, seed=number)], [])
        assert await buffer.read(batch) == [frame(MIB, seed=0).data, frame(MIB, seed=1).data]

        done = await buffer.commit([frame(6 * MIB, records=1)], [])
        assert all(done.frame_ids)
        assert await buffer.read(batch) is None
        assert await buffer.sealed("archive") == []
        await buffer.acknowledge(batch)
        _, found = await drained(buffer)
        assert sum(gap["lost"] for gap in found) == 240
        assert buffer.stats().frames == 0
    assert meter.counts["records_dropped_total", "archive", "buffer_full"] == 240


async def test_only_sinks_that_lost_something_are_told(tmp_path: Path) -> None:
    """A sink that had acknowledged the dropped frames has no gap in its archive."""
    meter = FakeMeter()
    async with opened(tmp_path, when_full=DROP, sinks=["quick", "stuck"], meter=meter) as buffer:
        for number in range(30):
            await buffer.commit([frame(MIB, records=10, seed=number)], [])
            batch = await buffer.seal("quick", partition(), max_size=64 * MIB)
            assert batch is not None
            await buffer.acknowledge(batch)
        apps, found = await drained(buffer, "stuck")
        assert sum(gap["lost"] for gap in found) == 300 - 10 * apps["shop"] > 0
        assert await drained(buffer, "quick") == (Counter(), [])
        assert buffer.stats().frames == 0
    assert meter.counts["records_dropped_total", "quick", "buffer_full"] == 0
    assert meter.counts["records_dropped_total", "stuck", "buffer_full"] > 0


async def test_a_sink_that_takes_no_gap_records_is_counted_all_the_same(tmp_path: Path) -> None:
    """The loss has no record in such an archive, but it is in the counter."""
    meter = FakeMeter()
    sinks = {"logs": frozenset({Kind.LOGS})}
    async with opened(tmp_path, when_full=DROP, sinks=sinks, meter=meter) as buffer:
        for number in range(20):
            await buffer.commit([frame(MIB, records=10, seed=number)], [])
        apps, found = await drained(buffer, "logs")
        assert found == []
        assert meter.counts["records_dropped_total", "logs", "buffer_full"] == 200 - 10 * apps["shop"]


async def test_dropping_thousands_of_small_frames(tmp_path: Path) -> None:
    """Many transactions' worth of victims: the sum still holds."""
    async with opened(tmp_path, when_full=DROP) as buffer:
        total = 0
        for number in range(60):
            apps = [partition(f"app-{index % 7}") for index in range(200)]
            await buffer.commit([frame(1500, where, records=2, seed=number) for where in apps], [])
            total += 400
        await buffer.commit([frame(4 * MIB, partition("big"))], [])
        before = buffer.stats().backlog_records["archive"]
        found = [gap for _, group in [await drained(buffer)] for gap in group]
        assert sum(gap["lost"] for gap in found) == total + 1 + len(found) - before
