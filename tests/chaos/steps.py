"""SIGKILL at every system call with which a small run changes its buffer and its archive, one call after the other.

A run prints a few lines, adds a sink, prints, removes it, prints, and drains: calls of start, commit, seal, upload,
acknowledge, reload and end. The daemon is killed at the n-th, is started again, goes on, and what is archived is
compared with what was printed.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shipper.emulator import EmulatedReplica, Emulator, Printed
from tests.chaos.faulty_disk import Act, FaultyDisk, build
from tests.chaos.forked import Nursery
from tests.chaos.harvest import Shelf, folder
from tests.chaos.oracle import Truth, judge

WITHIN_S: Final = 120.0
LOOK_EVERY_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """One run. `at` is the step, call and file where it was killed, "" if it never got that far; `calls` how many there
    were.
    """

    number: int
    at: str
    calls: int
    problems: tuple[str, ...]


@dataclass
class Lane:
    """A nursery and what it does one run after the other."""

    folder: Path
    disk: FaultyDisk
    nursery: Nursery

    async def run(self, number: int, act: Act) -> StepOutcome:
        """Kill at this call."""
        small = _SmallRun(self, self.folder / "work" / str(number))
        seen = self.disk.seen
        self.disk.arm(act, before=number - 1)
        try:
            async with asyncio.timeout(WITHIN_S):
                problems = await small.go()
        except TimeoutError:
            problems = ["it was not over in time: " + small.told()]
        finally:
            at = self.disk.last
            self.disk.disarm()
            if self.nursery.running:
                await self.nursery.end(signal.SIGKILL)
        return StepOutcome(number, at, self.disk.seen - seen, tuple(problems))


@asynccontextmanager
async def lane(folder: Path) -> AsyncIterator[Lane | None]:
    """None where no library can be built."""
    library = build(folder)
    if library is None:
        yield None
        return
    disk = FaultyDisk(library, folder, buffer=folder / "buffer", archive=folder / "archive")
    async with Nursery(disk.environment) as nursery:
        yield Lane(folder, disk, nursery)


@dataclass
class _SmallRun:
    lane: Lane
    folder: Path
    problems: list[str] = field(default_factory=list)
    number: int = 0
    killed: int = 0
    starts: int = 0
    killed_early: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        name = self.folder.name
        self.buffer, self.archive = self.lane.folder / "buffer" / name, self.lane.folder / "archive" / name
        for path in (self.buffer, self.archive):
            path.mkdir(parents=True)

    @property
    def log(self) -> Path:
        return self.folder / "shipper.log"

    def told(self) -> str:
        return self.log.read_text(errors="replace")[-600:] if self.log.exists() else "nothing"

    async def go(self) -> list[str]:
        async with Emulator() as ignite:
            self.ignite = ignite
            self.replica = ignite.app("checkout").start_replica()
            self._print()
            self._configure()
            await self._start()
            await self._until_archived()
            self._print()
            self._configure(extra="drain")
            self.lane.nursery.send(signal.SIGHUP)
            await self._until_archived()
            self._configure(extra="discard")
            self.lane.nursery.send(signal.SIGHUP)
            self._print()
            await self._until_archived()
            self._configure()
            self.lane.nursery.send(signal.SIGHUP)
            self._print()
            await self._until_archived()
            await self._drain()
            self._judge(self.archive / "local", all_of_it=True)
            self._judge(self.archive / "extra", all_of_it=False)
        if "Traceback (most recent call last)" in self.log.read_text():
            self.problems.append("a traceback is in the log: " + self.told())
        return self.problems

    def _print(self) -> None:
        replica: EmulatedReplica = self.replica
        for _ in range(3):
            self.number += 1
            replica.print(f"line {self.number}")
        at = replica.now_ms()
        for _ in range(2):
            replica.print("again and again", ts=at)

    def _configure(self, extra: str = "") -> None:
        sinks = [f"  local: {{type: directory, path: {self.archive / 'local'}, batch: {{max_age: 100ms}}}}"]
        if extra:
            sinks.append(
                f"  extra: {{type: directory, path: {self.archive / 'extra'}, on_remove: {extra}, "
                "batch: {max_age: 100ms}}"
            )
        fresh = self.folder / "fresh.yaml"
        fresh.write_text(f"""
ignite:
  endpoint: {self.ignite.endpoint}
  organization: acme-corp
  auth: {{type: token, token: emulator-token}}
collect: {{poll_interval: 500ms}}
buffer: {{path: {self.buffer}, max_size: 64MiB}}
sinks:
{chr(10).join(sinks)}
telemetry: {{listen: "127.0.0.1:0"}}
""")
        fresh.chmod(0o600)
        fresh.replace(self.folder / "shipper.yaml")

    async def _start(self) -> None:
        await self.lane.nursery.start(self.folder / "shipper.yaml", self.log)
        self.starts += 1

    @property
    def _up(self) -> bool:
        """Whether the daemon that was started last heeds signals."""
        return self.log.read_text(errors="replace").count("watching app") >= self.starts - self.killed_early

    async def _again_if_killed(self) -> None:
        """It may die once, of the kill; that it ends otherwise is a fault."""
        if self.lane.nursery.running:
            return
        status = await self.lane.nursery.status()
        if status == -signal.SIGKILL and not self.killed and self.lane.disk.last:
            self.killed += 1
            self.killed_early += not self._up
        else:
            self.problems.append(f"the daemon ended by itself with {status}: {self.told()}")
        await self._start()

    async def _until_archived(self) -> None:
        while not self.problems:
            await self._again_if_killed()
            missing = self.ignite.ledger.counter() - self._shelf(self.archive / "local").counter()
            if not missing and self._up:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    async def _drain(self) -> None:
        status = await self.lane.nursery.end(signal.SIGTERM)
        if (
            status == -signal.SIGKILL and not self.killed
        ):  # at one of the last calls: once more, from the start
            self.killed += 1
            await self._start()
            self._print()
            await self._until_archived()
            status = await self.lane.nursery.end(signal.SIGTERM)
        if status:
            self.problems.append(f"the drained daemon ended with {status}: {self.told()}")

    @staticmethod
    def _shelf(root: Path) -> Shelf:
        shelf = Shelf()
        for key, body in folder(shelf, root):
            shelf.put(key, body)
        return shelf

    def _judge(self, root: Path, *, all_of_it: bool) -> None:
        """Of a sink that came and went only that nothing is in it twice."""
        printed = self.ignite.ledger.counter()
        shelf = self._shelf(root)
        verdict = judge(
            root.name, Truth(printed, Counter(), printed, frozenset()), shelf.counter(), [], once=True
        )
        found: Sequence[tuple[str, Counter[Printed]]] = (
            ("missing", verdict.lost),
            ("twice", verdict.doubled),
        )
        self.problems += [
            f"{root.name}: {what}: {line.line!r}"
            for what, lines in found
            if what == "twice" or all_of_it
            for line in lines
        ]
        if shelf.spans():
            self.problems.append(f"{root.name}: gaps: {shelf.spans()}")


async def kill_at_each(numbers: Iterable[int], lanes: int) -> list[StepOutcome]:
    """Some at a time; torn writes and kills before a call take turns. Empty where no library can be built."""
    waiting, found = iter(numbers), list[StepOutcome]()

    async def work(place: Path) -> None:
        place.mkdir()
        async with lane(place) as made:
            if made is not None:
                for number in waiting:
                    found.append(await made.run(number, Act.TORN if number % 2 else Act.KILL_BEFORE))

    with tempfile.TemporaryDirectory(prefix="chaos-steps-", ignore_cleanup_errors=True) as folder:
        async with asyncio.TaskGroup() as tasks:
            for at in range(lanes):
                tasks.create_task(work(Path(folder) / str(at)), name=f"lane {at}")
    return sorted(found, key=lambda outcome: outcome.number)


async def calls_of_a_run() -> int:
    """How many calls there are where nobody is killed."""
    (whole,) = await kill_at_each([10**6], 1) or [StepOutcome(0, "", 0, ())]
    return whole.calls
