"""Routes at commit: a frame is for the sinks that the route names, and a frame for none is counted and not stored."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

import pytest

from shipper.buffer import WhenFull, gap_frame
from shipper.errors import BufferFull
from shipper.model import App, Codec, Gap, GapReason, Kind, Partition, Unrouted
from tests.buffer_files import MIB, cursor, everything, frame, gaps, lines, opened, partition, texts
from tests.fakes.meter import FakeMeter

SINKS = ["archive", "search"]


class Routes:
    """A route by app; what it was asked is kept."""

    def __init__(self, **sinks: str) -> None:
        self.sinks = {app: frozenset(names.split()) for app, names in sinks.items()}
        self.asked: list[Partition] = []

    def __call__(self, where: Partition) -> frozenset[str]:
        self.asked.append(where)
        return self.sinks.get(where.app, frozenset())


async def test_a_frame_is_for_the_sinks_of_its_route_alone(tmp_path: Path) -> None:
    """Each sink gets what its routes say; what is for one alone goes with its acknowledgement."""
    route = Routes(a="archive", b="search", both="archive search")
    async with opened(tmp_path, sinks=SINKS, route=route) as buffer:
        frames = [lines(app, where=partition(app)) for app in ("a", "b", "both")]
        done = await buffer.commit(frames, [])
        assert all(done.frame_ids)
        assert texts(await everything(buffer, "archive")) == ["a", "both"]
        assert buffer.stats().frames == 2
        assert texts(await everything(buffer, "search")) == ["b", "both"]
        assert buffer.stats().frames == 0


async def test_what_a_route_drops_is_counted_as_that(tmp_path: Path) -> None:
    meter = FakeMeter()
    async with opened(tmp_path, sinks=SINKS, route=lambda _: Unrouted.FILTERED, meter=meter) as buffer:
        done = await buffer.commit([frame(records=3)], [])
        assert done.frame_ids == (0,)
        assert buffer.stats().frames == 0
    assert meter.counts["records_unrouted_total", "logs", "filtered"] == 3


async def test_a_frame_for_no_sink_is_counted_and_its_cursor_kept(tmp_path: Path) -> None:
    """It is not stored, but it was taken: nobody wants it again."""
    meter = FakeMeter()
    async with opened(tmp_path, sinks=SINKS, route=Routes(a="archive"), meter=meter) as buffer:
        frames = [
            frame(where=partition("none"), records=3),
            frame(where=partition("a")),
            frame(where=partition("none", kind=Kind.EVENTS), records=4),
        ]
        done = await buffer.commit(frames, [cursor("key", b"1")])
        assert done.frame_ids == (0, 1, 0)
        await buffer.commit(frames[:1], [cursor("key", b"2")])
        assert buffer.stats().frames == 1
        assert [one.state for one in await buffer.cursors()] == [b"2"]
    assert meter.counts["records_unrouted_total", "logs", "no_route"] == 6
    assert meter.counts["records_unrouted_total", "events", "no_route"] == 4
    assert [key for key in meter.counts if key[0] == "records_dropped_total"] == []


async def test_a_commit_that_fails_counts_nothing(tmp_path: Path) -> None:
    """What is committed again in the end was unrouted once."""
    meter = FakeMeter()
    async with opened(tmp_path, sinks=SINKS, route=Routes(a="archive"), meter=meter) as buffer:
        await buffer.commit([frame(5 * MIB, partition("a"))], [])
        both = [frame(5 * MIB, partition("a")), frame(where=partition("none"))]
        with pytest.raises(BufferFull):
            await buffer.commit(both, [])
        assert meter.counts["records_unrouted_total", "logs", "no_route"] == 0
        batch = await buffer.seal("archive", partition("a"), max_size=64 * MIB)
        assert batch is not None
        await buffer.acknowledge(batch)
        await buffer.commit(both, [])
    assert meter.counts["records_unrouted_total", "logs", "no_route"] == 1


async def test_a_partition_is_asked_about_once(tmp_path: Path) -> None:
    """The answer is remembered; another hour or kind is another question."""
    route = Routes(a="archive")
    async with opened(tmp_path, sinks=SINKS, route=route) as buffer:
        for _ in range(3):
            await buffer.commit([frame(where=partition("a")), frame(where=partition("none"))], [])
        await buffer.commit([frame(where=partition("a", hour=1))], [])
    assert route.asked == [partition("a"), partition("none"), partition("a", hour=1)]


async def test_stored_frames_stay_for_the_sinks_they_were_committed_for(tmp_path: Path) -> None:
    """Other routes after a restart are for what is committed from then on."""
    async with opened(tmp_path, sinks=SINKS, route=Routes(a="archive")) as buffer:
        await buffer.commit([lines("before", where=partition("a"))], [])
    async with opened(tmp_path, sinks=SINKS, route=Routes(a="search")) as buffer:
        await buffer.commit([lines("after", where=partition("a"))], [])
        assert texts(await everything(buffer, "archive")) == ["before"]
        assert texts(await everything(buffer, "search")) == ["after"]


async def test_names_of_no_sink_count_for_nothing(tmp_path: Path) -> None:
    """So does a sink that does not take the kind."""
    route = Routes(a="archive elsewhere", b="elsewhere")
    sinks = {"archive": frozenset({Kind.LOGS})}
    async with opened(tmp_path, sinks=sinks, route=route) as buffer:
        apps = [partition("a"), partition("b"), partition("a", kind=Kind.EVENTS)]
        done = await buffer.commit([frame(where=where) for where in apps], [])
        assert done.frame_ids == (1, 0, 0)


async def test_gap_records_are_routed_too_and_said_once_where_no_route_takes_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Those of the platform and those that the buffer makes itself: a loss is never silent."""
    meter = FakeMeter()

    def route(where: Partition) -> frozenset[str]:
        if where.kind is Kind.GAPS:
            return frozenset({"archive"} if where.app == "told" else set())
        return frozenset(SINKS)

    async with opened(tmp_path, sinks=SINKS, route=route, meter=meter) as buffer:
        for app in ("told", "untold"):
            await buffer.commit([lines("x", where=partition(app))], [])
            for sink in SINKS:
                batch = await buffer.seal(sink, partition(app), max_size=1)
                assert batch is not None
                await buffer.reject(batch, "no")
        gap = Gap(1, App("acme", "untold"), "r", Kind.LOGS, 0, 1, GapReason.ROTATED)
        await buffer.commit([gap_frame(gap, Codec.ZSTD)], [])
        assert [one["app"] for one in gaps(await everything(buffer, "archive"))] == ["told"]
        assert gaps(await everything(buffer, "search")) == []
        assert buffer.stats().frames == 0
    assert meter.counts["records_unrouted_total", "gaps", "no_route"] == 4
    assert meter.counts["gaps_total", "rejected"] == 4
    said = [one for one in caplog.records if "no route takes" in one.message]
    assert [one.levelno for one in said] == [logging.WARNING]


async def test_dropped_frames_are_recorded_for_who_gets_gaps(tmp_path: Path) -> None:
    """With drop_oldest the gap goes the way that gap records of that app go."""

    def route(where: Partition) -> frozenset[str]:
        return frozenset({"search"} if where.kind is Kind.GAPS else SINKS)

    async with opened(tmp_path, sinks=SINKS, when_full=WhenFull.DROP_OLDEST, route=route) as buffer:
        for number in range(12):
            await buffer.commit([frame(MIB, records=5, seed=number)], [])
        for sink, told in (("archive", False), ("search", True)):
            kinds = {one.partition.kind for one in await buffer.open_partitions(sink)}
            assert (Kind.GAPS in kinds) is told


async def test_frames_of_a_damaged_file_whose_sinks_are_unknown_go_where_they_would_go_now(
    tmp_path: Path,
) -> None:
    """And to every sink where no route takes them now: some sink's they were."""
    async with opened(tmp_path, sinks=SINKS) as buffer:
        await buffer.commit([lines(app, where=partition(app)) for app in ("a", "b", "none")], [])
    file = sqlite3.connect(tmp_path / "buffer.sqlite3")
    file.execute("UPDATE sinks SET name = 'text' || slot")
    file.commit()
    file.close()
    async with opened(tmp_path, sinks=SINKS, route=Routes(a="archive", b="search")) as buffer:
        assert buffer.recovered is not None
        assert texts(await everything(buffer, "archive")) == ["a", "none"]
        assert texts(await everything(buffer, "search")) == ["b", "none"]
