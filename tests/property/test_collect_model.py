"""Whatever happens to replicas, streams, listings and the daemon: what was printed is in the archive once, or lies
in a gap.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from shipper.collect import window
from shipper.ignite.status import Code
from tests.fakes.collection import Collection
from tests.fakes.platform import FakeApp, FakeReplica, Line
from tests.virtual_time import virtual_time

Step = tuple[str, int]
LATE_MS = 6_000

WEIGHTS = {
    "print": 8,
    "print late": 2,
    "sleep": 6,
    "cut": 3,
    "end": 1,
    "refuse": 1,
    "stall": 1,
    "kill": 2,
    "stop": 1,
    "rotate": 2,
    "crash": 2,
    "restart": 3,
    "start": 2,
    "hide": 1,
    "gone": 1,
    "empty listing": 1,
    "stale listing": 1,
    "event": 2,
}
steps = st.lists(
    st.tuples(
        st.sampled_from([name for name, weight in WEIGHTS.items() for _ in range(weight)]), st.integers(0, 60)
    ),
    max_size=50,
)


@dataclass
class World:
    """Does to one app what the steps say. What has nothing to be done to does nothing."""

    it: Collection
    app: FakeApp = field(init=False)
    printed: int = 0
    started: int = 0

    def __post_init__(self) -> None:
        self.app = self.it.platform.app("checkout")

    def replica(self, number: int) -> FakeReplica | None:
        replicas = list(self.app.replicas.values())
        return replicas[number % len(replicas)] if replicas else None

    async def do(self, step: Step) -> None:
        name, number = step
        replica = self.replica(number)
        if name == "sleep":
            await asyncio.sleep(number / 4)
        elif name == "start":
            self.started += 1
            self.app.start(f"checkout-{self.started}")
            self.app.event("Started", f"checkout-{self.started}")
        elif name == "event":
            self.app.event(f"Event{len(self.it.platform.happened)}", replica.replica_id if replica else "")
        elif name in ("kill", "stop"):
            await (self.it.kill() if name == "kill" else self.it.stop())
            self.it.start()
        elif name in ("empty listing", "stale listing"):
            if not self.app.answers:  # wrong for one poll; the second is waited for
                self.app.answers.append([] if name == "empty listing" else self.app.listing())
        elif name == "refuse":
            self.it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE, times=number % 5)
        elif replica is not None:
            if name == "restart":
                await asyncio.sleep(0.01)  # no container starts in the millisecond in which the last one did
            self._to(replica, name, number)

    def _to(self, replica: FakeReplica, name: str, number: int) -> None:
        if name in ("print", "print late") and not replica.ended:
            late_ms = number * LATE_MS // 60 if name == "print late" else 0
            for _ in range(number):
                self.printed += 1
                replica.print(
                    f"line {self.printed}", at_ms=max(replica.started_ms, replica.now_ms() - late_ms)
                )
        elif name == "cut":
            codes = [Code.UNAVAILABLE, Code.INTERNAL, *([Code.NOT_FOUND] if replica.listed else [])]
            replica.cut(codes[number % len(codes)])
        elif name == "end":
            for pipe in replica.streams:
                pipe.end()
            replica.streams.clear()
        elif name == "stall" and replica.listed:  # one that was alive after its replica left is believed
            replica.stall()
        elif name == "rotate" and not Counter(replica.history).keys().isdisjoint(self.it.durable.counter()):
            replica.rotate(keep=number)  # of a history that was never read nobody can tell where it began
        elif name == "crash" and not replica.ended:
            replica.crash()
        elif name == "restart" and replica.ended:
            replica.restart()
        elif name == "hide" and any(replica.replica_id in key for key in self.it.durable.cursor_keys()):
            replica.listed = not replica.listed  # one that was listed before
        elif name == "gone" and self.app.shown.get(replica.replica_id, 0) == replica.restart_count:
            replica.gone()  # a container that no listing ever showed is noticed by its successor, not by its pod's end

    async def settle(self) -> None:
        """Long enough for every stall to be found and every replica that is gone to be closed."""
        self.it.platform.refusals.clear()
        for replica in self.app.replicas.values():
            replica.listed = True
        await asyncio.sleep(150)
        for replica in list(self.app.replicas.values()):
            replica.gone()
        await asyncio.sleep(150)
        await self.it.stop()


def unexplained(it: Collection) -> list[Line]:
    """Lines that are neither in the archive nor within a gap of their replica. A gap lies between two lines, and
    each of them may be late.
    """
    gaps = it.durable.gaps()
    return [
        line
        for line in Counter(it.platform.printed) - it.durable.counter()
        if not any(
            gap["replica_id"] == line.replica_id
            and gap["from_ms"] - LATE_MS <= line.time <= gap["to_ms"] + LATE_MS
            for gap in gaps
        )
    ]


@pytest.fixture(autouse=True, scope="module", params=["windows as they are", "small windows"])
def windows(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "small windows":
            patch.setattr(window, "MIN_HELD", 8)
            patch.setattr(window, "_SEGMENT", 16)
            patch.setattr(window, "_SEGMENT_LEAST", 4)
        yield


@settings(max_examples=120, deadline=None)
@given(steps, st.integers(0, 3))
def test_what_was_printed_is_archived_once_or_lies_in_a_gap(script: list[Step], seed: int) -> None:
    @virtual_time
    async def body() -> None:
        it = Collection(events=True, seed=seed)
        world = World(it)
        it.start()
        await asyncio.sleep(1)
        await world.do(("start", 0))
        for step in script:
            if step[0] != "end":  # an end in good order is believed, and here containers are mortal
                await world.do(step)
        await world.settle()
        for gap in it.durable.gaps():
            note(f"gap {gap}")
        assert not it.durable.counter() - Counter(it.platform.printed), "a line came twice"
        assert unexplained(it) == []
        events = Counter((event["reason"], event["timestamp_ms"]) for event in it.durable.events())
        assert events == Counter((event.reason, event.timestamp_ms) for event in it.platform.happened)

    body()


@settings(max_examples=60, deadline=None)
@given(steps, st.sampled_from([20, 100, 1000]), st.booleans(), st.booleans(), st.integers(0, 3))
def test_the_same_holds_where_lines_can_only_be_looked_at(
    script: list[Step], page: int, newest_first: bool, changes: bool, seed: int
) -> None:
    """`changes`: streams are offered at first, and again in the end."""

    @virtual_time
    async def body() -> None:
        it = Collection(events=True, seed=seed)
        it.platform.logs_limit, it.platform.newest_first = page, newest_first
        world = World(it)
        if not changes:
            it.platform.refuse("StreamAppLogs", Code.UNIMPLEMENTED)
        it.start()
        await asyncio.sleep(1)
        await world.do(("start", 0))
        for number, step in enumerate(script):
            if changes and number == len(script) // 4:
                it.platform.refuse("StreamAppLogs", Code.UNIMPLEMENTED)
                for replica in world.app.replicas.values():
                    replica.cut()
            if step[0] not in ("end", "stall"):
                await world.do(step)
        if changes:
            it.platform.refusals.clear()
            await it.restart()
        await asyncio.sleep(150)
        for replica in list(world.app.replicas.values()):
            replica.gone()
        await asyncio.sleep(150)
        await it.stop()
        for gap in it.durable.gaps():
            note(f"gap {gap}")
        assert not it.durable.counter() - Counter(it.platform.printed), "a line came twice"
        assert unexplained(it) == []

    body()


HARMLESS = ("print", "print late", "sleep", "cut", "end", "kill", "stop")
harmless = steps.map(lambda script: [step for step in script if step[0] in HARMLESS])


@settings(max_examples=60, deadline=None)
@given(harmless, st.booleans(), st.booleans(), st.integers(0, 3))
def test_cuts_and_restarts_of_the_daemon_alone_lose_nothing(
    script: list[Step], sorted_replay: bool, streams: bool, seed: int
) -> None:
    @virtual_time
    async def body() -> None:
        it = Collection(seed=seed)
        it.platform.sorted_replay = sorted_replay
        if not streams:
            it.platform.refuse("StreamAppLogs", Code.UNIMPLEMENTED)
            it.platform.logs_limit = len(script) * 60 + 1
        world = World(it)
        it.start()
        await world.do(("start", 0))
        for step in script:
            await world.do(step)
        await asyncio.sleep(60)
        await it.stop()
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.gaps() == []

    body()


@pytest.mark.parametrize("first", range(5))
def test_a_collector_that_is_cancelled_at_any_await_has_taken_what_its_cursors_say(first: int) -> None:
    @virtual_time
    async def body() -> None:
        for awaits in range(first, 250, 5):
            it = Collection(events=True)
            world = World(it)
            await world.do(("start", 0))
            await world.do(("print", 23))
            it.start()
            for turn in range(awaits):
                if turn % 30 == 20:
                    await world.do(("print", 7))
                if turn % 70 == 60:
                    await world.do(("cut", 0))
                await asyncio.sleep(0 if turn % 3 else 0.003)
            it._tasks[1].cancel()
            await asyncio.gather(it._tasks[1], return_exceptions=True)
            await it.intake.close()
            await it._tasks[0]
            assert taken(it) == it.durable.log_lines
            it.start()
            await it.caught_up()
            await it.kill()
            assert it.durable.counter() == Counter(it.platform.printed)

    body()


def taken(it: Collection) -> int:
    """How many lines the committed cursors count."""
    import orjson

    return sum(
        orjson.loads(stored.state)["taken"] for stored in it.durable.cursors() if '"logs"' in stored.key
    )
