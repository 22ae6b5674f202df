"""Runs one target on inputs from a seed, and says what came of it. What fails is kept, and the run goes on."""

from __future__ import annotations

import hashlib
import random
import resource
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target

CORPUS: Final = Path(__file__).parent / "corpus"
SLOW_S: Final = 1.0  # of the processor for one input of at most 8 KiB
MOST_GROWTH_MB: Final = 150.0  # of the process, from its first thousand inputs to its last
_MOST_SEEDS: Final = 2_000
_LOOK_EVERY: Final = 1_000


@dataclass(slots=True)
class Found:
    """An input that failed first in its way."""

    data: bytes
    how: str

    @property
    def name(self) -> str:
        """Of its file in the corpus."""
        return hashlib.sha256(self.data).hexdigest()[:16]


@dataclass(slots=True)
class Report:
    """What came of one target."""

    target: str
    executions: int = 0
    seconds: float = 0.0
    words: Counter[str] = field(default_factory=Counter)
    found: list[Found] = field(default_factory=list)
    grown_mb: float = 0.0

    def __str__(self) -> str:
        pace = self.executions / max(self.seconds, 1e-9)
        return (
            f"| {self.target} | {self.executions:,} | {self.seconds:,.0f} | {pace:,.0f} | {len(self.words):,} "
            f"| {self.grown_mb:.0f} | {len(self.found)} |"
        )


def cases(target: Target) -> Sequence[Path]:
    """The files of its corpus: what it failed on once."""
    return sorted((CORPUS / target.name).glob("*"))


async def one(target: Target, data: bytes) -> str:
    """What the target says of an input. Raises what it raises, and AssertionError where it took too long."""
    began = time.process_time()
    word = target.run(data) if target.run is not None else await _waited(target, data)
    if time.process_time() - began > SLOW_S:
        raise AssertionError(f"{time.process_time() - began:.1f} s for {len(data)} bytes")
    return word


async def fuzz(target: Target, seed: int, *, runs: int, seconds: float) -> Report:
    """So many inputs, or as many as fit into the time. An input that is the first to give a word is changed further."""
    rng = random.Random(f"{target.name}-{seed}")
    first = [*target.seeds, *(path.read_bytes() for path in cases(target))]
    seeds, report, ways = list(first), Report(target.name), set[str]()
    began, small_mb = time.monotonic(), 0.0
    while report.executions < runs:
        data = (
            first[report.executions]
            if report.executions < len(first)
            else mutated(seeds[int(rng.random() * len(seeds))], first, target.words, rng)
        )
        report.executions += 1
        try:
            word = await one(target, data)
        except Exception as error:
            _keep(report, ways, data, error)
            continue
        if word not in report.words and len(seeds) < _MOST_SEEDS:
            seeds.append(data)
        report.words[word] += 1
        if report.executions % _LOOK_EVERY == 0:
            small_mb = small_mb or _peak_mb()
            if time.monotonic() - began > seconds:
                break
    report.seconds = time.monotonic() - began
    report.grown_mb = _peak_mb() - (small_mb or _peak_mb())
    if report.grown_mb > MOST_GROWTH_MB:
        report.found.append(Found(b"", f"the process grew by {report.grown_mb:.0f} MB"))
    return report


def _keep(report: Report, ways: set[str], data: bytes, error: Exception) -> None:
    place = traceback.extract_tb(error.__traceback__)[-1]
    way = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
    if way not in ways:
        ways.add(way)
        report.found.append(Found(data, f"{way}: {str(error)[:200]}"))


async def _waited(target: Target, data: bytes) -> str:
    assert target.run_async is not None
    return await target.run_async(data)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
