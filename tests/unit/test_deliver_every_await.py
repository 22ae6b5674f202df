"""Every await in shipper/deliver is cancelled where it waits: nothing is lost or left open, an archive has each record
once, and the next run delivers the rest.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

import pytest

from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.limits import Limits
from shipper.deliver.worker import Worker
from shipper.model import Carried, Frame, Kind, Partition
from shipper.sinks.port import Answer, Delivered, Malformed, Parked, Rejected, Retry, TooLarge
from tests.cancelling import Watch, Way, cut_life, watched
from tests.cutting import Cutting
from tests.fakes.delivery import half, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, lines
from tests.fakes.pipeline import FakePipeline
from tests.fakes.record_sink import FakeRecordSink, Texts
from tests.fakes.sink import FakeSink

ROOM = "shipper/deliver"
Step = Callable[["World"], Awaitable[None]]
POLICY = BatchPolicy(max_age_s=1.0, max_size=4_000_000)
NAMES = ("archive", "rewritten", "logs")


def judge(texts: Texts) -> Answer:
    if len(texts) > 2 and any(text.startswith("large") for text in texts):
        return TooLarge("413")
    return Malformed("400") if any(text.startswith("bad") for text in texts) else Delivered()


@dataclass
class World:
    """Three sinks of one buffer, over two lives of their workers; `at` is the step that comes next."""

    steps: Sequence[Step]
    limits: Limits = field(default_factory=Limits)
    outbox: FakeOutbox = field(default_factory=lambda: FakeOutbox(list(NAMES), wall))
    archive: FakeSink = field(default_factory=lambda: FakeSink(concurrency=2))
    rewritten: FakeSink = field(default_factory=lambda: FakeSink("rewritten", concurrency=2))
    logs: FakeRecordSink = field(default_factory=lambda: FakeRecordSink(concurrency=2, judge=judge))
    committed: list[Frame] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    at: int = 0
    over: bool = False

    async def commit(self, *frames: Frame) -> None:
        """Frames of which every sink is to have everything."""
        self.committed += frames
        await self.outbox.commit(frames)

    async def live(self) -> None:
        """One life of the workers, through the steps that are left, to a drain."""
        self.outbox.refusals = 0
        hold_s = 2.0
        self.workers = [
            Worker(self.archive, self.outbox, POLICY, FakeMeter(), clock=wall, draw=half, limits=self.limits),
            *(
                Worker(
                    sink,
                    self.outbox,
                    POLICY,
                    FakeMeter(),
                    pipeline=FakePipeline(hold_s=hold_s),
                    clock=wall,
                    draw=half,
                    limits=self.limits,
                )
                for sink in (self.rewritten, self.logs)
            ),
        ]
        async with asyncio.TaskGroup() as group:
            for worker in self.workers:
                group.create_task(worker.run(), name=f"worker {worker.sink.name}")
            while self.at < len(self.steps):
                self.at += 1
                await self.steps[self.at - 1](self)
            await asyncio.sleep(400.0)
            if not self.over:
                self.over = True
                await self.commit(lines("while it drains", "+ or before", app="late"))
            for worker in self.workers:
                await worker.drain(asyncio.get_running_loop().time() + 120.0)


# ---- steps ----


async def some_frames(world: World) -> None:
    await world.commit(lines("one", "two", "trace 1", "+ at 1", app="a"), lines("three", app="b"))
    await asyncio.sleep(3.0)
    await world.commit(lines("+ at 2", "four", "trace 2", app="a"), lines(*map(str, range(30)), app="b"))
    await asyncio.sleep(3.0)


async def sinks_fail(world: World) -> None:
    world.archive.script += [Retry("503"), Retry("503"), Parked("no key")]
    world.rewritten.script += [Retry("503"), Parked("no key")]
    world.logs.script += [Delivered(), Retry("503"), Retry("503"), Parked("no key")]
    await some_frames(world)
    await asyncio.sleep(60.0)


async def batches_are_rejected(world: World) -> None:
    world.archive.script += [Rejected("never")]
    world.rewritten.script += [Rejected("never")]
    await some_frames(world)


async def records_are_refused(world: World) -> None:
    await world.commit(lines("good", "bad 1", "good 2", "large 1", "large 2", "large 3", "bad 2", app="a"))
    await asyncio.sleep(10.0)
    await world.commit(
        *(lines(*(f"bad {n} {m}" for m in range(6)), f"fine {n}", app=f"bad-{n}") for n in range(3))
    )
    await asyncio.sleep(300.0)


async def it_is_aborted_with_letters_in_hand(world: World) -> None:
    world.logs.seconds = 0.2
    await world.commit(lines("bad 1", *(f"good {n}" for n in range(60)), app="a"))
    while not any(texts == ("bad 1",) for _, texts, _ in world.logs.requests):
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    world.logs.seconds = 0.01
    raise asyncio.CancelledError


async def the_buffer_refuses(world: World) -> None:
    for refusals in range(1, 14):
        world.outbox.refusals = refusals
        await world.commit(lines(f"refused {refusals}", f"trace {refusals}", f"bad {refusals}", app="a"))
        await asyncio.sleep(9.0)


async def a_frame_is_damaged(world: World) -> None:
    await asyncio.sleep(1.0)
    await world.outbox.commit([lines("damaged", app="z")])
    world.outbox.damaged = {world.outbox._next}
    await asyncio.sleep(10.0)


async def frames_are_large(world: World) -> None:
    text = "x" * 3_000
    await world.commit(*(lines(*(f"{n} {m} {text}" for m in range(500)), app=f"app-{n}") for n in range(2)))
    await world.commit(lines("y" * 1_500_000, "z" * 1_500_000, app="app-1"))
    await asyncio.sleep(60.0)


async def requests_are_slow(world: World) -> None:
    world.archive.seconds = world.rewritten.seconds = world.logs.seconds = 4.0
    await world.commit(*(lines(*(f"slow {n} {m}" for m in range(20)), app=f"app-{n}") for n in range(4)))
    await asyncio.sleep(200.0)
    world.archive.seconds = world.rewritten.seconds = world.logs.seconds = 0.01


async def another_configuration_held_something(world: World) -> None:
    where = Partition(Kind.LOGS, "acme", "a", 0)
    world.outbox.states["archive", where] = Carried(where, b"state", 0, 0)
    await world.commit(lines("count 1", "count 2", app="counted"))
    await asyncio.sleep(30.0)
    await asyncio.sleep(7_300.0)


COURSES: dict[str, tuple[list[Step], Limits]] = {
    step.__name__: ([some_frames, step, some_frames], Limits())
    for step in (
        sinks_fail,
        batches_are_rejected,
        records_are_refused,
        it_is_aborted_with_letters_in_hand,
        the_buffer_refuses,
        a_frame_is_damaged,
        frames_are_large,
        requests_are_slow,
    )
}
COURSES["what another configuration held"] = ([another_configuration_held_something], Limits())
COURSES["little memory"] = ([requests_are_slow], Limits(memory=100))


MOST_LIVES = 8  # a sink that refuses much takes its time


def lives(course: str, *cuts: Way) -> tuple[Watch, World]:
    """A run that is cut where something first waits in these ways, and the runs after it; or one that is not cut."""
    watch = Watch(ROOM, cuts)
    worlds: list[World] = []

    async def both(watch: Watch) -> None:
        steps, limits = COURSES[course]
        world = World(steps, limits)
        worlds.append(world)
        for _ in range(MOST_LIVES):
            cut = await cut_life(watch, world.live)
            assert all(worker._memory.held == 0 for worker in world.workers), "memory is held for ever"
            if not cut and world.over and not any(world.outbox.stats().backlog_records.values()):
                return
        raise AssertionError(f"left: {world.outbox.stats().backlog_records}")

    watched(watch, both)
    return watch, worlds[0]


@pytest.mark.parametrize("course", COURSES)
def test_cut_at_every_way_to_wait_nothing_is_lost_and_archives_have_it_once(course: str) -> None:
    cutting = _cutting()
    assert cutting.cut(course) or not cutting.ways()[course]


def test_every_await_of_the_room_was_cancelled() -> None:
    assert _cutting().left() == [], "add a step in which something waits there"


@cache
def _cutting() -> Cutting[World]:
    return Cutting(ROOM, COURSES, lives, _nothing_lost_nothing_twice)


def _nothing_lost_nothing_twice(world: World, where: str) -> None:
    assert not [*world.archive.violations, *world.rewritten.violations, *world.logs.violations], where
    committed = Counter(text for frame in world.committed for text in _texts(frame.data))
    for sink in (world.archive, world.rewritten):
        archived = Counter(text for data in sink.objects.values() for text in _texts(data))
        refused = sum(batch.records for batch, _ in world.outbox.rejected if batch.sink == sink.name)
        assert not archived - committed, (sink.name, where)
        assert sum((committed - archived).values()) == refused, (sink.name, where)
    sent = Counter(text for whole in world.logs.texts for text in whole.split("\n"))
    buried = {text for letter in world.outbox.letters for text in _texts(letter.record)}
    for text, times in committed.items():
        assert (sent[text] >= times) is not text.startswith("bad"), (text, where)
        assert sent[text] <= times + 2, (text, where)
    assert buried == {text for text in committed if text.startswith("bad")}, where
    assert not [key for key in world.outbox.states if key[0] == "archive"], where


def _texts(ndjson: bytes) -> list[str]:
    """Lines; what a pipeline joined is several."""
    return [text for record in ndjson.splitlines() for text in json.loads(record)["line"].split("\n")]
