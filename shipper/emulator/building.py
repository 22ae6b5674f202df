"""The driver's builds: apps are compiled and their images built now and then, a few bytes at a time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from shipper.emulator.builds import FAILED, SUCCEEDED, EmulatedBuild
from shipper.emulator.scenario import Traffic
from shipper.emulator.world import EmulatedApp, World

KEPT: Final = 200  # builds; older ones are forgotten with what they printed
LEAST_GAP_S: Final = 10.0  # between two compiles of an app: a draft names only the newest
_PACKAGES: Final = (
    "serde v1.0.219",
    "tokio v1.44.2",
    "größe v0.3.1",
    "http v1.3.1",
    "日本語 v2.0.0",
    "ring v0.17.14",
)
_CUT: Final = 60  # bytes of a piece at most: lines and characters are cut


@dataclass(slots=True)
class _Job:
    build: EmulatedBuild
    output: bytes
    rate: float  # bytes a second
    owed: float = 0.0


class Builder:
    """Steps are a function of the seed and the times of the steps."""

    def __init__(self, world: World, traffic: Traffic) -> None:
        self._world = world
        self._every_s = traffic.builds_every_s
        self._life_s = traffic.build_life_s
        self._random = random.Random(f"builder-{world.scenario.seed}")
        self._jobs: list[_Job] = []
        self._due: dict[str, float] = {}

    def step(self, now: float, elapsed: float) -> None:
        """Go on to `now`: begin what is due, print what is due, end what is complete."""
        if not self._every_s:
            return
        for app in list(self._world.apps.values()):
            due = self._due.setdefault(app.name, now + self._random.uniform(0, 0.3) * self._every_s)
            if now >= due:
                self._begin(app)
                self._due[app.name] = now + max(LEAST_GAP_S, self._random.uniform(0.5, 1.5) * self._every_s)
        for job in self._jobs:
            job.owed += elapsed * job.rate
            while job.owed >= 1 and job.output:
                self._print(job, int(job.owed))
        self._end_complete()

    def finish(self) -> None:
        """Bring everything under way to its end at once."""
        for job in self._jobs:
            while job.output:
                self._print(job, len(job.output))
        self._end_complete()

    def _begin(self, app: EmulatedApp) -> None:
        build = app.compile() if self._random.random() < 0.6 else app.build()
        output = _output(self._random, app.name, build.source)
        self._jobs.append(_Job(build, output, len(output) / self._life_s))
        self._world.tell(f"{app.name}: {build.source} {build.build_id} began")
        self._world.builds.forget_beyond(KEPT)

    def _print(self, job: _Job, most: int) -> None:
        size = min(most, self._random.randint(1, _CUT))
        job.build.write(job.output[:size])
        job.output = job.output[size:]
        job.owed -= size

    def _end_complete(self) -> None:
        for job in [job for job in self._jobs if not job.output]:
            self._jobs.remove(job)
            job.build.finish(FAILED if self._random.random() < 0.15 else SUCCEEDED)
            self._world.tell(f"{job.build.app}: {job.build.source} {job.build.build_id} ended")


def _output(rng: random.Random, app: str, source: str) -> bytes:
    """What a compile or an image build prints: colours, progress bars, line ends of both kinds, no line end at last."""
    if source == "compile":
        packages = rng.sample(_PACKAGES, rng.randint(2, len(_PACKAGES)))
        lines = [f"\x1b[1m\x1b[32m   Compiling\x1b[0m {package}" for package in packages]
        lines += [_bar(rng), f"   Compiling {app} v0.1.0", "    Finished `release` profile [optimized]"]
    else:
        steps = rng.randint(3, 8)
        lines = [
            f"Step {step}/{steps} : RUN step-{step} {'x' * rng.randrange(60)}" for step in range(1, steps + 1)
        ]
        lines += [_bar(rng), "", f"pushed registry/{app}:latest"]
    text = "".join(line + rng.choice(("\n", "\n", "\r\n")) for line in lines)
    return text.encode() + rng.choice((b"", b"done", b"\xf0\x9f not text"))


def _bar(rng: random.Random) -> str:
    width = rng.randint(5, 20)
    return "\r".join(f"[{'=' * done:<{width}}] {100 * done // width}%" for done in range(width + 1))
