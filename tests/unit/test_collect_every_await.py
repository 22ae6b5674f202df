"""Every await in shipper/collect is cancelled where it waits: nothing is lost, doubled or left open, and the next run
goes on.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest

from shipper.collect.intake import HOLD_AT
from shipper.errors import BufferFull, BufferUnavailable
from shipper.ignite.status import Code, Status
from shipper.model import Kind
from tests.cancelling import Site, Watch, Way, cut_life, sites_in, watched
from tests.fakes.builds import FakeBuilds
from tests.fakes.collection import Collection, wall_ms
from tests.fakes.platform import FakeReplica

ROOM = "shipper/collect"
Step = Callable[["World"], Awaitable[None]]


@dataclass
class World:
    """One platform and one buffer, over two lives of the daemon; `at` is the step that comes next."""

    steps: Sequence[Step]
    it: Collection = field(
        default_factory=lambda: Collection(
            events=True, builds=FakeBuilds(wall_ms), named_builds={"mailer": ["bld_named"]}
        )
    )
    at: int = 0
    ended: bool = False

    @property
    def builds(self) -> FakeBuilds:
        assert self.it.builds is not None
        return self.it.builds

    @property
    def replicas(self) -> list[FakeReplica]:
        return list(self.it.platform.app("checkout").replicas.values())

    async def caught_up(self) -> None:
        """Everything printed is committed."""
        for _ in range(600):
            if self.it.durable.log_lines >= len(self.it.platform.printed):
                return
            await asyncio.sleep(0.3)
        raise AssertionError("it never catches up")

    def _calm(self) -> None:
        """Lift what a step that was cut left behind."""
        durable, platform = self.it.durable, self.it.platform
        durable.commit_s, durable.troubles = 0.005, []
        platform.refusals.clear()
        self.builds.refusals.clear()
        self.builds.slow_s = 0.001
        for app in platform.apps.values():
            app.answers.clear()

    async def live(self) -> None:
        """One life of the daemon, through the steps that are left, to an orderly end."""
        self._calm()
        self.it.start()
        try:
            while self.at < len(self.steps):
                self.at += 1
                await self.steps[self.at - 1](self)
            await self.caught_up()
            if not self.ended:
                self.ended = True
                for replica in self.replicas:
                    if replica.listed and not replica.ended:
                        replica.print("while it drains")
                await asyncio.sleep(0.01)
            await self.it.stop()
        except BaseException:
            await self.it.kill()
            raise


async def some_lines(world: World) -> None:
    app = world.it.platform.app("checkout")
    for number in range(2):
        app.start(f"checkout-{number}").print(*(f"line {number} {n}" for n in range(12)), "twin", "twin")
    app.event("Started", "checkout-0")
    await world.it.until(lambda: world.it.following("checkout-0") and world.it.following("checkout-1"))


async def more_while_live(world: World) -> None:
    for replica in world.replicas:
        replica.print("live", "live too")
    world.it.platform.app("checkout").event("Pulled", "checkout-1")
    await asyncio.sleep(1.0)


async def the_buffer_is_full_then_away(world: World) -> None:
    world.it.durable.troubles += [
        BufferFull("full"),
        BufferUnavailable("no disk"),
        BufferUnavailable("no disk"),
    ]
    for replica in world.replicas:
        replica.print(*(f"while full {n}" for n in range(9)))
    await asyncio.sleep(2.0)
    world.it.durable.space.set()
    await asyncio.sleep(5.0)
    world.it.durable.space.set()


async def so_much_that_readers_are_held(world: World) -> None:
    world.it.durable.commit_s = 3.0
    app = world.it.platform.app("checkout")
    for _ in range(6):
        for replica in world.replicas:
            replica.print(*("x" * 1_000 + str(n) for n in range(30)))
        app.event("Noise")
        await asyncio.sleep(0.5)
    await asyncio.sleep(20.0)
    world.it.durable.commit_s = 0.005


async def readers_without_streams_are_held(world: World) -> None:
    refusal = world.it.platform.refuse("StreamAppLogs", Code.UNIMPLEMENTED)
    for replica in world.replicas:
        replica.cut()
    await asyncio.sleep(30.0)
    await under_load(world, 60.0)
    refusal.lift()


async def under_load(world: World, seconds: float) -> None:
    """Replicas print more than the buffer takes."""
    world.it.durable.commit_s = 9.0
    for _ in range(int(seconds)):
        for replica in world.replicas:
            replica.print("x" * 12_000)
        await asyncio.sleep(0.5)
        world.replicas[0].print("y" * 24_000)
        await asyncio.sleep(0.5)
    world.it.durable.commit_s = 0.005


async def a_compile_is_confirmed_while_readers_are_held(world: World) -> None:
    compiled = world.builds.compile("checkout")
    compiled.write("one line without an end")
    compiled.end()
    while not world.builds.calls["StreamCompileLogs"]:
        await asyncio.sleep(0.5)
    await asyncio.sleep(0.5)
    world.it.durable.commit_s = 30.0
    for _ in range(2):
        world.replicas[0].print("x" * 60_000)
        await asyncio.sleep(0.5)
    await asyncio.sleep(60.0)
    world.it.durable.commit_s = 0.005


async def streams_are_cut_while_readers_are_held(world: World) -> None:
    app = world.it.platform.app("checkout")
    world.it.durable.commit_s = 20.0
    for _ in range(2):
        world.replicas[0].print("x" * 60_000)
        await asyncio.sleep(0.5)
    for replica in world.replicas:
        replica.cut()
        replica.print("after the cut")
    for pipe in app.event_streams:
        pipe.cut()
    app.event("Held", "checkout-0")
    await asyncio.sleep(60.0)
    world.it.durable.commit_s = 0.005


async def a_compile_is_forgotten_while_readers_are_held(world: World) -> None:
    compiled = world.builds.compile("checkout")
    compiled.kept = False
    compiled.write("once\nand then forgotten")
    compiled.end()
    while not world.builds.calls["StreamCompileLogs"]:
        await asyncio.sleep(0.5)
    await asyncio.sleep(1.0)
    compiled.streamed = False
    await asyncio.sleep(270.0)
    await under_load(world, 120.0)


async def streams_are_cut(world: World) -> None:
    app = world.it.platform.app("checkout")
    for replica in world.replicas:
        replica.cut()
    for pipe in app.event_streams:
        pipe.cut()
    app.event("Killing", "checkout-0")
    await asyncio.sleep(10.0)


async def streams_end_in_order(world: World) -> None:
    app = world.it.platform.app("checkout")
    for replica in world.replicas:
        for pipe in replica.streams:
            pipe.end()
        replica.streams.clear()
        replica.print("after the end")
    for pipe in app.event_streams:
        pipe.end()
    await asyncio.sleep(20.0)


async def streams_are_refused(world: World) -> None:
    platform = world.it.platform
    refusals = [
        platform.refuse(method, Code.UNIMPLEMENTED) for method in ("StreamAppLogs", "StreamAppEvents")
    ]
    app = platform.app("checkout")
    for replica in world.replicas:
        replica.cut()
        replica.print("without a stream")
    for pipe in app.event_streams:
        pipe.cut()
    app.event("Quiet", "checkout-1")
    await asyncio.sleep(120.0)
    for refusal in refusals:
        refusal.lift()


async def builds_are_read_while_readers_are_held(world: World) -> None:
    """A compile over its stream, one over its log, a build's log; all larger than what may wait."""
    line = b"z" * 900 + b"\n"
    world.it.durable.commit_s = 4.0
    compiled = world.builds.compile("checkout")
    logged = world.builds.build("bld_named")
    for build in (compiled, logged):
        build.chunk = 10_000
        for _ in range(120):
            build.write(line)
        build.write("the end")
    world.it.platform.app("mailer").start("mailer-0").print("hello")
    await asyncio.sleep(90.0)
    for build in (compiled, logged):
        build.write(line + b"the very end")
    compiled.end()
    await asyncio.sleep(300.0)
    world.it.durable.commit_s = 0.005


async def compiles_are_not_streamed(world: World) -> None:
    world.builds.refusals["StreamCompileLogs"] = Status(Code.UNIMPLEMENTED, "no such call")
    world.builds.refusals["ListBuilds"] = Status(Code.UNAVAILABLE, "not now")
    compiled = world.builds.compile("checkout")
    compiled.write("by its log\n")
    await asyncio.sleep(60.0)
    compiled.end()
    del world.builds.refusals["ListBuilds"]
    await asyncio.sleep(400.0)


async def a_compile_has_a_stream_and_no_log(world: World) -> None:
    compiled = world.builds.compile("checkout")
    compiled.kept = False
    compiled.write("by its stream\nand no more")
    await asyncio.sleep(20.0)
    compiled.cut()
    compiled.end()
    await asyncio.sleep(60.0)
    compiled.streamed = False
    await asyncio.sleep(4000.0)


async def builds_are_listed_slowly(world: World) -> None:
    world.builds.slow_s = 5.0
    world.it.platform.app("checkout")
    await asyncio.sleep(30.0)


async def events_are_streamed_and_not_listed(world: World) -> None:
    refusal = world.it.platform.refuse("GetAppEvents", Code.UNIMPLEMENTED)
    for pipe in world.it.platform.app("checkout").event_streams:
        pipe.cut()
    await asyncio.sleep(60.0)
    for pipe in world.it.platform.app("checkout").event_streams:
        pipe.cut()
    world.it.platform.app("checkout").event("Streamed", "checkout-1")
    await asyncio.sleep(60.0)
    refusal.lift()
    await asyncio.sleep(8000.0)


async def a_stream_of_events_is_half_open(world: World) -> None:
    app = world.it.platform.app("checkout")
    for pipe in app.event_streams:
        pipe.stall()
    app.event("Silent", "checkout-0")
    await asyncio.sleep(120.0)


async def the_platform_is_slow_to_open(world: World) -> None:
    platform = world.it.platform
    slow = [platform.delay(method, 5.0) for method in ("StreamAppEvents", "StreamAppLogs", "GetAppLogs")]
    for pipe in platform.app("checkout").event_streams:
        pipe.cut()
    for replica in world.replicas:
        replica.cut()
        replica.print("slowly")
    await asyncio.sleep(90.0)
    for each in slow:
        each.lift()


async def recent_lines_are_few(world: World) -> None:
    """GetAppLogs takes no large limit, and cuts: which end has to be found out."""
    world.it.platform.logs_limit = 10
    world.it.platform.logs_refused_above = 1000
    await streams_are_refused(world)


async def pods_go_that_were_only_looked_at(world: World) -> None:
    refusal = world.it.platform.refuse("StreamAppLogs", Code.UNIMPLEMENTED)
    for replica in world.replicas:
        replica.cut()
    await asyncio.sleep(60.0)
    await world.caught_up()
    first, second = world.replicas
    first.gone()
    second.listed = False
    await asyncio.sleep(300.0)
    refusal.lift()


async def pods_go_whose_streams_were_cut(world: World) -> None:
    await world.caught_up()
    first, second = world.replicas
    for pipe in first.streams:
        pipe.end()
    first.streams.clear()
    first.listed = False
    second.listed = False
    await asyncio.sleep(12.0)
    second.cut(Code.NOT_FOUND)
    await asyncio.sleep(30.0)
    first.gone()
    second.gone()
    await asyncio.sleep(300.0)


async def many_replicas_are_silent(world: World) -> None:
    app = world.it.platform.app("checkout")
    for number in range(20):
        app.start(f"quiet-{number}").print("once")
    world.it.platform.delay("GetAppLogs", 2.0, times=60)
    world.it.platform.logs_limit = 1
    world.it.platform.logs_oldest = True
    for replica in world.replicas:
        replica.print("the oldest lines show nothing of this")
    await asyncio.sleep(150.0)


async def many_builds_are_known(world: World) -> None:
    """More cursors than one transaction takes."""
    for number in range(60):
        build = world.builds.build(f"bld_{number}")
        build.write(f"build {number}\n")
        world.builds.list(f"bld_{number}", app_name="checkout")
    await asyncio.sleep(200.0)


async def streams_are_half_open(world: World) -> None:
    world.it.platform.app("checkout")
    for replica in world.replicas:
        replica.print("before it stalls")
    await asyncio.sleep(1.0)
    for replica in world.replicas:
        replica.stall()
        replica.print(*(f"nobody brings {n}" for n in range(5)))
    await asyncio.sleep(300.0)


async def listings_fail_and_are_late(world: World) -> None:
    platform = world.it.platform
    refusals = [
        platform.refuse(method, Code.UNAVAILABLE, times=3)
        for method in ("ListAppReplicas", "ListApps", "GetAppEvents")
    ]
    slow = platform.delay("ListAppReplicas", 3.0, times=4)
    await asyncio.sleep(60.0)
    for refusal in [*refusals, slow]:
        refusal.lift()


async def a_listing_is_wrong(world: World) -> None:
    app = world.it.platform.app("checkout")
    app.answers.append([])
    for replica in world.replicas:
        for pipe in replica.streams:
            pipe.end()
        replica.streams.clear()
    await asyncio.sleep(30.0)


async def a_container_crashes(world: World) -> None:
    replica = world.replicas[0]
    replica.print("last words")
    await world.caught_up()
    replica.crash()
    await asyncio.sleep(20.0)
    replica.restart()
    replica.print("born again")
    await world.caught_up()


async def a_pod_goes(world: World) -> None:
    world.it.platform.app("checkout")
    await world.caught_up()
    replica = world.replicas[0]
    replica.listed = False
    replica.print("unlisted")
    await asyncio.sleep(10.0)
    world.it.platform.refuse("GetAppLogs", Code.UNAVAILABLE, times=3)
    await world.caught_up()
    replica.gone()
    await asyncio.sleep(120.0)


async def builds_are_made(world: World) -> None:
    compiled = world.builds.compile("checkout")
    compiled.write("one\ntwo\n")
    await asyncio.sleep(30.0)
    compiled.write("three\nfo")
    compiled.cut()
    await asyncio.sleep(60.0)
    compiled.write("ur\n")
    compiled.stall()
    await asyncio.sleep(120.0)
    compiled.end()
    world.builds.breaks.append(1)
    built = world.builds.build("bld_named")
    built.write("alpha\nbeta\n")
    other = world.builds.build("bld_listed")
    other.write("gamma\n" * 20)
    world.builds.list("bld_listed", app_name="checkout")
    await asyncio.sleep(400.0)


async def another_app_is_chosen(world: World) -> None:
    mailer = world.it.platform.app("mailer")
    mailer.start("mailer-0").print("hello")
    await world.caught_up()
    await asyncio.sleep(30.0)
    world.it.durable.commit_s = 2.0
    for replica in world.replicas:
        replica.print("just before it is let go")
    await asyncio.sleep(0.1)
    world.it.select(["mailer"], events=True)
    await asyncio.sleep(30.0)
    world.it.durable.commit_s = 0.005
    world.it.select(["*"], events=True)
    await world.caught_up()


async def work_goes_on_until_the_end(world: World) -> None:
    for replica in world.replicas:
        if replica.listed and not replica.ended:
            replica.print("nearly the last")
    await asyncio.sleep(0.01)


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


NEVER_WAITS = "async with asyncio.timeout"
TRIES = 3  # a way that depends on the order of a set may not come again at once


@cache
def ways() -> dict[str, list[Way]]:
    """By course, the ways to wait that no course before it has."""
    known: set[Way] = set()
    found = {}
    for course in COURSES:
        seen = lives(course)[0].ways
        found[course] = [way for way in seen if way not in known]
        known |= seen.keys()
    return found


@cache
def cut(course: str) -> frozenset[Site]:
    """Cut the course at each of its ways to wait, and judge what is left; the awaits that were cancelled."""
    cancelled: set[Site] = set()
    for way in ways()[course]:
        for _ in range(TRIES):
            watch, world = lives(course, way)
            _nothing_lost_nothing_twice(world, " < ".join(map(str, reversed(way))))
            if watch.hit:
                cancelled.update(way)
                cancelled |= _cut_while_it_ends(course, way, watch)
                break
    return frozenset(cancelled)


def _cut_while_it_ends(course: str, way: Way, watch: Watch) -> set[Site]:
    """What waits only in a run that is cut already is cancelled too."""
    usual = {site for found in ways().values() for each in found for site in each}
    cancelled: set[Site] = set()
    for later in watch.later:
        if not usual.issuperset(later) and not cancelled.issuperset(later):
            again, world = lives(course, way, later)
            _nothing_lost_nothing_twice(world, f"while it ends: {later[-1]}")
            cancelled.update(later if again.hit else ())
    return cancelled


@pytest.mark.parametrize("course", COURSES)
def test_cut_at_every_way_to_wait_nothing_is_lost_or_doubled(course: str) -> None:
    assert cut(course) or not ways()[course]


def test_every_await_of_the_room_was_cancelled() -> None:
    cancelled = {site for course in COURSES for site in cut(course)}
    left = [str(site) for site in sorted(sites_in(ROOM) - cancelled) if not site.text.startswith(NEVER_WAITS)]
    assert left == [], "add a step in which something waits there"


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
