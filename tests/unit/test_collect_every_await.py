"""Every await in shipper/collect is cancelled where it waits: nothing is lost, doubled or left open, and the next run
goes on.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import Any

import pytest

from shipper.collect.intake import HOLD_AT
from shipper.model import Kind
from tests.cancelling import Watch, Way, cut_life, watched
from tests.courses.builds import (
    a_compile_has_a_stream_and_no_log,
    a_compile_is_confirmed_while_readers_are_held,
    a_compile_is_forgotten_while_readers_are_held,
    builds_are_listed_slowly,
    builds_are_made,
    builds_are_read_while_readers_are_held,
    compiles_are_not_streamed,
    many_builds_are_known,
)
from tests.courses.collecting import Step, World
from tests.courses.streams import (
    a_container_crashes,
    a_listing_is_wrong,
    a_pod_goes,
    a_stream_of_events_is_half_open,
    another_app_is_chosen,
    events_are_streamed_and_not_listed,
    listings_fail_and_are_late,
    many_replicas_are_silent,
    more_while_live,
    pods_go_that_were_only_looked_at,
    pods_go_whose_streams_were_cut,
    readers_without_streams_are_held,
    recent_lines_are_few,
    so_much_that_readers_are_held,
    some_lines,
    streams_are_cut,
    streams_are_cut_while_readers_are_held,
    streams_are_half_open,
    streams_are_refused,
    streams_end_in_order,
    the_buffer_is_full_then_away,
    the_platform_is_slow_to_open,
    work_goes_on_until_the_end,
)
from tests.cutting import Cutting
from tests.fakes.collection import Collection

ROOM = "shipper/collect"


LITTLE = 40_000  # bytes that may wait: what is more holds the readers back


PLAIN = (
    more_while_live,
    the_buffer_is_full_then_away,
    streams_are_cut,
    builds_are_made,
    streams_end_in_order,
    listings_fail_and_are_late,
    a_listing_is_wrong,
    streams_are_half_open,
    streams_are_refused,
    a_container_crashes,
    a_pod_goes,
    another_app_is_chosen,
    compiles_are_not_streamed,
    a_compile_has_a_stream_and_no_log,
    events_are_streamed_and_not_listed,
    a_stream_of_events_is_half_open,
    the_platform_is_slow_to_open,
    recent_lines_are_few,
    pods_go_that_were_only_looked_at,
    pods_go_whose_streams_were_cut,
    many_replicas_are_silent,
)


HELD = (
    so_much_that_readers_are_held,
    readers_without_streams_are_held,
    builds_are_read_while_readers_are_held,
    streams_are_cut_while_readers_are_held,
    a_compile_is_confirmed_while_readers_are_held,
    a_compile_is_forgotten_while_readers_are_held,
    many_builds_are_known,
)


COURSES: dict[str, tuple[list[Step], int]] = {
    "a listing of builds is slow": ([builds_are_listed_slowly, some_lines], HOLD_AT),
    **{step.__name__: ([some_lines, step, work_goes_on_until_the_end], HOLD_AT) for step in PLAIN},
    **{step.__name__: ([some_lines, step, work_goes_on_until_the_end], LITTLE) for step in HELD},
}


def lives(course: str, *cuts: Way) -> tuple[Watch, World]:
    """A run that is cut where something first waits in these ways, and the runs after it; or one that is not cut."""
    watch = Watch(ROOM, cuts)
    worlds: list[World] = []

    async def both(watch: Watch) -> None:
        steps, hold_at = COURSES[course]
        world = World(steps)
        world.it.hold_at = hold_at
        worlds.append(world)
        while True:
            over = world.ended
            await cut_life(watch, world.live)
            assert world.it.platform.open_streams == 0
            assert not any(build.streams for build in world.builds.builds.values())
            if over:
                return

    watched(watch, both)
    return watch, worlds[0]


@pytest.mark.parametrize("course", COURSES)
def test_cut_at_every_way_to_wait_nothing_is_lost_or_doubled(course: str) -> None:
    cutting = _cutting()
    assert cutting.cut(course) or not cutting.ways()[course]


def test_every_await_of_the_room_was_cancelled() -> None:
    assert _cutting().left() == [], "add a step in which something waits there"


@cache
def _cutting() -> Cutting[World]:
    return Cutting(ROOM, COURSES, lives, _nothing_lost_nothing_twice)


def _nothing_lost_nothing_twice(world: World, where: str) -> None:
    it = world.it
    printed, archived = Counter(it.platform.printed), it.durable.counter()
    assert not archived - printed, where
    gaps = [(gap["replica_id"], gap["from_ms"], gap["to_ms"]) for gap in it.durable.gaps()]
    for line in printed - archived:
        assert any(line.replica_id == who and begin <= line.time <= end for who, begin, end in gaps), (
            where,
            line,
        )
    events = Counter(
        (event["reason"], event.get("replica_id", ""), event["count"]) for event in it.durable.events()
    )
    assert not events - Counter(
        (each.reason, each.replica_id, each.count) for each in it.platform.happened
    ), where
    for build_id, build in world.builds.builds.items():
        lines = [_text(line) for line in build.log.split(b"\n") if line]
        taken = [_text(record["line"]) for record in _of_build(it, build_id)]
        assert Counter(taken) <= Counter(lines), (where, build_id)
        if any(build_id in key and b'"closed":true' in state for key, state in _cursors(it)):
            assert taken == lines, (where, build_id)


def _of_build(it: Collection, build_id: str) -> list[dict[str, Any]]:
    records = it.durable.records(Kind.BUILDS)
    return [record for record in records if build_id in (record.get("build_id"), record.get("deploy_id"))]


def _cursors(it: Collection) -> list[tuple[str, bytes]]:
    return [(cursor.key, cursor.state) for cursor in it.durable.cursors()]


def _text(line: str | bytes) -> bytes:
    return line if isinstance(line, bytes) else line.encode()
