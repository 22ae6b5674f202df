"""`python -m tests.bench` measures the real daemon and prints a table: each figure beside its target."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final, TypeVar

from tests.bench import datadog, floor, pipelines, reading, rows
from tests.bench.printed import replica_name
from tests.bench.surroundings import Load, Setup, surroundings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: lines of history in all, runs, and seconds that a daemon is watched."""

    lines: int
    runs: int
    idle_s: float
    trickle_s: float
    paced_s: float


FULL: Final = Scale(lines=2_400_000, runs=3, idle_s=60, trickle_s=30, paced_s=20)
QUICK: Final = Scale(lines=400_000, runs=1, idle_s=5, trickle_s=5, paced_s=5)
_REMEMBERED: Final = 320  # lines after which a subscription's window is full (shipper.collect.window)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. `ratio`: lines per CPU-second to those of the floor, where lines are measured."""

    what: str
    target: str
    must: str
    measured: str
    ratio: float | None = None


class Bench:
    """The measurements by name; each starts what it needs and stops it again."""

    def __init__(self, scale: Scale, texts: list[Path], directory: Path | None) -> None:
        self.measurements: dict[str, Callable[[], Iterator[Row]]] = {
            "archive": self.archive,
            "http": self.http,
            "one": self.one_replica,
            "subscriptions": self.subscriptions,
            "idle": self.idle,
            "durable": self.durable,
            "start": self.start,
            "datadog": self.datadog,
            "transform": self.transform,
        }
        self._scale = scale
        self._texts = texts
        self._directory = directory
        self._floor = 0.0

    def archive(self) -> Iterator[Row]:
        """Eight replicas of two apps into objects; the same history once more; and the floor."""
        load = Load(replicas=8, apps=2, history=self._scale.lines // 8, texts=self._texts)
        passed: list[rows.Passage] = []
        skipped: list[rows.Passage] = []
        floors: list[float] = []
        with self._surroundings(load) as whole:
            for setup in self._repeated(whole):
                passed.append(_said("archived", rows.archived(setup)))
                skipped.append(_said("skipped", rows.skipped(setup)))
                floors.append(_said("floor, lines per CPU-second", _floor_of(setup)))
        least = self._floor = median(floors)
        yield Row(
            f"the floor: `{floor.what().replace('|', chr(92) + '|')}`, nothing parsed",
            "",
            "",
            f"{least:,.0f} lines per CPU-second",
        )
        per_cpu_s = median(one.per_cpu_s for one in passed)
        yield Row(
            "gRPC stream to S3 objects, 8 replicas",
            "400,000 lines per CPU-second",
            "250,000",
            f"{per_cpu_s:,.0f}",
            per_cpu_s / least,
        )
        yield Row(
            "the same, pace of one process",
            "300,000 lines/s",
            "200,000",
            f"{median(one.per_s for one in passed):,.0f}, in {max(one.memory_mb for one in passed):.0f} MB",
        )
        per_cpu_s = median(one.per_cpu_s for one in skipped)
        yield Row(
            "skipping replayed lines that are shipped",
            "1,000,000 lines/s",
            "",
            f"{median(one.per_s for one in skipped):,.0f} ({per_cpu_s:,.0f} per CPU-second)",
            per_cpu_s / least,
        )

    def http(self) -> Iterator[Row]:
        """The same history over the HTTP gateway, as objects of JSON on lines."""
        for packed, what in (
            ("full", "NDJSON over HTTP/1.1 to S3 objects, 8 replicas"),
            ("lines", "the same, each line in a chunk of its own"),
        ):
            load = Load(replicas=8, apps=2, history=self._scale.lines // 16, texts=self._texts, http=packed)
            passed: list[rows.Passage] = []
            floors: list[float] = []
            with self._surroundings(load) as whole:
                for setup in self._repeated(whole):
                    passed.append(_said(what, rows.archived(setup)))
                    floors.append(_said("its floor, lines per CPU-second", _floor_of(setup)))
            pace, least = median(one.per_cpu_s for one in passed), median(floors)
            yield Row(
                what,
                "",
                "150,000 lines per CPU-second",
                f"{pace:,.0f}, in {max(one.memory_mb for one in passed):.0f} MB (its own floor: {least:,.0f})",
                pace / least,
            )

    def one_replica(self) -> Iterator[Row]:
        """One replica alone into objects."""
        load = Load(replicas=1, history=self._scale.lines // 2, texts=self._texts)
        with self._surroundings(load) as whole:
            passed = [_said("one replica", rows.archived(setup)) for setup in self._repeated(whole)]
        per_cpu_s = median(one.per_cpu_s for one in passed)
        yield Row(
            "one replica alone",
            "200,000 lines/s",
            "150,000",
            f"{median(one.per_s for one in passed):,.0f} ({per_cpu_s:,.0f} per CPU-second)",
            per_cpu_s / self._least(),
        )

    def subscriptions(self) -> Iterator[Row]:
        """Thousands of replicas that print a line a second each, and have printed before: what a subscription keeps
        of a replica's last lines is in memory.
        """
        for replicas, target, must in ((2_000, "", "120 MB"), (5_000, "150 MB, 25 % of a core", "")):
            load = Load(replicas=replicas, apps=4, history=_REMEMBERED, texts=self._texts)
            with self._surroundings(load) as setup:
                footprint = _said(f"{replicas} subscriptions", rows.subscribed(setup, self._scale.trickle_s))
            what = f"{replicas:,} open subscriptions, a line a second each"
            yield Row(what, target, must, str(footprint), replicas / footprint.core / self._least())

    def idle(self) -> Iterator[Row]:
        """A sidecar with nothing to do."""
        with self._surroundings(Load(replicas=1)) as setup:
            footprint = _said("idle", rows.idle(setup, self._scale.idle_s))
        yield Row("idle sidecar: one replica, S3 sink", "60 MB, 0.5 % of a core", "", str(footprint))

    def durable(self) -> Iterator[Row]:
        """Lines that are printed now."""
        with self._surroundings(Load(replicas=8, apps=2, texts=self._texts)) as setup:
            delay = _said("printed to durable", rows.durable(setup, 10_000, self._scale.paced_s))
        yield Row(
            "printed to durable at 10,000 lines/s",
            "p50 150 ms, p99 500 ms",
            "p99 500 ms",
            f"p50 {delay.p50_s * 1000:.0f} ms, p99 {delay.p99_s * 1000:.0f} ms",
        )

    def start(self) -> Iterator[Row]:
        """From nothing to a record in the buffer."""
        with self._surroundings(Load(replicas=1, history=10)) as whole:
            times = [rows.started(setup) for setup in self._repeated(whole)]
        _said("start", ", ".join(f"{seconds:.2f} s" for seconds in times))
        yield Row("start-up to first record durable", "1 s", "", f"{median(times):.2f} s")

    def datadog(self) -> Iterator[Row]:
        """From a frame of the buffer to the body of a request, in this process alone."""
        given = datadog.sample(datadog.texts_of(self._texts), self._scale.lines // 20)
        for name, read in (("", False), (", with levels and JSON read", True)):
            *_, whole = datadog.paces(given, datadog.pipeline(join=True, read=read), self._scale.runs)
            yield Row(
                f"buffer to the body of a Datadog request{name}",
                "300,000 lines per CPU-second",
                "100,000",
                _said(f"datadog{name}", f"{whole:,.0f}"),
                whole / self._least(),
            )

    def transform(self) -> Iterator[Row]:
        """What happens to decoded records before a sink that shows them to people, in this process alone."""
        for pace in reading.paces(self._scale.lines // 48, self._scale.runs, self._texts):
            what = f"{pace.step}: {pace.text}"
            target = f"{pace.target:,} lines per CPU-second" if pace.target else ""
            yield Row(what, target, "", _said(what, f"{pace.per_cpu_s:,.0f}"))
        for step in pipelines.paces(self._scale.lines // 48, self._scale.runs, self._texts):
            what = f"{step.step}: {step.text}"
            yield Row(what, "", "", _said(what, f"{step.per_cpu_s:,.0f}"))

    def _least(self) -> float:
        """The floor of this run: measured with the row `archive`, or else by itself."""
        if not self._floor:
            with self._surroundings(
                Load(8, apps=2, history=self._scale.lines // 8, texts=self._texts)
            ) as whole:
                floors = [_floor_of(setup) for setup in self._repeated(whole)]
            self._floor = _said("floor, lines per CPU-second", median(floors))
        return self._floor

    def _repeated(self, whole: Setup) -> Iterator[Setup]:
        return (whole.again(f"run-{run}") for run in range(self._scale.runs))

    def _surroundings(self, load: Load) -> AbstractContextManager[Setup]:
        return surroundings(load, self._directory)


def _floor_of(setup: Setup) -> int:
    """Lines per CPU-second of taking the same streams off the wire and compressing them."""
    load = setup.load
    replicas = [replica_name(index, load.apps) for index in range(load.replicas)]
    took = floor.cpu_s(replicas, setup.server.port, setup.directory, http=bool(load.http))
    return round(setup.printed / took)


def _said(what: str, figure: T) -> T:
    print(f"{what}: {figure}", file=sys.stderr, flush=True)
    return figure


def _table(measured: list[Row]) -> str:
    lines = ["| what | target | must | measured | of the floor |", "|---|---|---|---|---|"]
    for row in measured:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(f"| {row.what} | {row.target} | {row.must} | {row.measured} | {ratio} |")
    return "\n".join(lines)


def _machine() -> str:
    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    return (
        f"{len(models)} x {models[0] if models else platform.machine()}, Python {platform.python_version()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less of everything, in under a minute")
    parser.add_argument(
        "--rows", help="only these, by comma: archive,one,subscriptions,idle,durable,start,datadog,transform"
    )
    parser.add_argument("--runs", type=int, help="the median of so many runs")
    parser.add_argument(
        "--lines", type=Path, nargs="+", default=[], help="real log text, in place of a made-up one"
    )
    parser.add_argument(
        "--directory", type=Path, help="where buffers are made: a real disk (default: the temporary folder)"
    )
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else FULL
    if arguments.runs:
        scale = Scale(scale.lines, arguments.runs, scale.idle_s, scale.trickle_s, scale.paced_s)
    bench = Bench(scale, [path.resolve() for path in arguments.lines], arguments.directory)
    chosen = arguments.rows.split(",") if arguments.rows else [*bench.measurements]
    unknown = set(chosen) - bench.measurements.keys()
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    began = time.monotonic()
    measured = [row for name in chosen for row in bench.measurements[name]()]
    print(f"\n{_machine()}; {time.monotonic() - began:.0f} s\n\n{_table(measured)}")


if __name__ == "__main__":
    main()
