"""Joining stack traces and reading lines, by themselves: lines per CPU-second of each step on each sort of text.

`python -m tests.bench.reading [--lines FILE ...]`. `orjson.loads` is what reading a JSON line cannot be quicker than.
"""

from __future__ import annotations

import argparse
import platform
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final, TypeAlias

import orjson

from shipper.config.reading import ReadSettings
from shipper.emulator.text import generated_lines, lines_of_files
from shipper.entry import Entry
from shipper.model import Kind
from shipper.transform.joining import Joiner, JoinLimits
from shipper.transform.reading import Reader

TRACES: Final = Path(__file__).parents[1] / "traces"
SLICE: Final = 2_000  # entries in a call, about as many as delivery decodes at once
_REPLICAS: Final = 8


@dataclass(frozen=True, slots=True)
class Pace:
    """A step on a sort of text, with what it is to reach."""

    step: str
    text: str
    per_cpu_s: float
    target: int | None = None


def plain(count: int, files: Sequence[Path]) -> list[str]:
    """Ordinary text: of files, or made up in the manner of several loggers."""
    if files:
        source = lines_of_files(list(files))
        return [source.line("app") for _ in range(count)]
    rng = random.Random(1)
    levels = ("INFO",) * 8 + ("DEBUG", "WARN", "ERROR")
    return [
        f"2026-11-24 10:{at // 60 % 60:02d}:{at % 60:02d},{rng.randrange(1000):03d} [worker-{rng.randrange(8)}] "
        f"{rng.choice(levels)} com.acme.shop.Orders - order {rng.randrange(10**6)} of customer {rng.randrange(10**4)} "
        f"stored in {rng.randrange(900)} ms"
        for at in range(count)
    ]


def objects(count: int) -> list[str]:
    """JSON lines with a level, two ids and some fields more."""
    rng = random.Random(2)
    return [
        orjson.dumps(
            {
                "ts": f"2026-11-24T10:{at // 60 % 60:02d}:{at % 60:02d}.123Z",
                "level": rng.choice(("info", "info", "warn", "error")),
                "logger": "shop.orders",
                "msg": f"order {rng.randrange(10**6)} stored",
                "trace_id": f"{rng.getrandbits(128) | 1:032x}",
                "span_id": f"{rng.getrandbits(64) | 1:016x}",
                "duration_ms": rng.random() * 900,
            }
        ).decode()
        for at in range(count)
    ]


def with_traces(count: int, lines: Sequence[str]) -> list[str]:
    """Ordinary text in which every tenth line is one of a stack trace."""
    traces = [path.read_text().splitlines() for path in sorted(TRACES.glob("*.txt"))]
    mixed: list[str] = []
    traced, at = 0, 0
    while len(mixed) < count:
        if traced * 10 <= len(mixed):
            mixed += traces[at % len(traces)]
            traced += len(traces[at % len(traces)])
            at += 1
        mixed.append(lines[len(mixed) % len(lines)])
    return mixed[:count]


def entries_of(lines: Sequence[str], start: int) -> list[Entry]:
    """Entries as decoding makes them, of replicas that take turns every fifty lines."""
    return [
        Entry(
            {
                "timestamp_ms": 1_790_000_000_000 + at,
                "organization": "acme-corp",
                "app": "checkout",
                "replica_id": f"checkout-7d9f-{at // 50 % _REPLICAS}",
                "cluster_id": "eu-1",
                "node_name": "ip-10-0-3-17",
                "stream": "stdout",
                "line": line,
            },
            Kind.LOGS,
            1_790_000_000_000 + at,
            line,
        )
        for at, line in enumerate(lines, start)
    ]


Work: TypeAlias = Callable[[Sequence[Entry]], None]


def joining() -> Work:
    """Join what comes."""
    joiner = Joiner(JoinLimits())
    return lambda entries: count_lines(joiner, entries)


def count_lines(joiner: Joiner, entries: Sequence[Entry]) -> None:
    """Join a slice and look at what comes out, as a sink does."""
    for entry in joiner.feed(entries):
        if entry.lines < 1:
            raise AssertionError("an entry of no lines")


def reading(**settings: Any) -> Work:
    """Read with such settings."""
    read = Reader.of([ReadSettings.model_validate(settings)]).read

    def work(entries: Sequence[Entry]) -> None:
        for entry in entries:
            read("checkout", entry)

    return work


def parse(entries: Sequence[Entry]) -> None:
    """Only what no reader of JSON can do without."""
    for entry in entries:
        entry.fields = orjson.loads(entry.text)


def paces(count: int, runs: int, files: Sequence[Path] = ()) -> Iterator[Pace]:
    """Every step on the text that it is for."""
    ordinary, json_lines, voices = plain(count, files), objects(count), generated_lines(seed=1)
    text = "log files" if files else "text of loggers"
    pattern = {"pattern": r"\] (?P<level>[A-Z]+) "}
    yield Pace("join", text, _pace(ordinary, joining, runs), 1_000_000)
    yield Pace("join", "JSON lines", _pace(json_lines, joining, runs))
    yield Pace(
        "join", "the emulator's text", _pace([voices.line("app") for _ in range(count)], joining, runs)
    )
    yield Pace(
        "join", f"{text}, every tenth line in a trace", _pace(with_traces(count, ordinary), joining, runs)
    )
    yield Pace("read, default", text, _pace(ordinary, reading, runs))
    yield Pace("read, `level: auto`", text, _pace(ordinary, lambda: reading(level="auto"), runs), 500_000)
    yield Pace(
        "read, a pattern for the level", text, _pace(ordinary, lambda: reading(level=pattern), runs), 500_000
    )
    yield Pace("read, default", "JSON lines", _pace(json_lines, reading, runs), 400_000)
    yield Pace("`orjson.loads` alone", "JSON lines", _pace(json_lines, lambda: parse, runs))


def _pace(lines: Sequence[str], make: Callable[[], Work], runs: int) -> float:
    """The median of some runs. Entries are made and dropped by the slice, as delivery does it."""
    times = []
    for _ in range(runs):
        work, spent = make(), 0.0
        for start in range(0, len(lines), SLICE):
            entries = entries_of(lines[start : start + SLICE], start)
            began = time.process_time()
            work(entries)
            spent += time.process_time() - began
        times.append(spent)
    return len(lines) / max(median(times), 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reading", description=__doc__)
    parser.add_argument(
        "--lines", type=Path, nargs="+", default=[], help="real log text, in place of a made-up one"
    )
    parser.add_argument("--count", type=int, default=50_000, help="so many lines")
    parser.add_argument("--runs", type=int, default=7, help="the median of so many runs")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}; {arguments.count} lines\n")
    print("| step | text | lines per CPU-second | target |\n|---|---|---|---|")
    for pace in paces(arguments.count, arguments.runs, arguments.lines):
        target = f"{pace.target:,}" if pace.target else ""
        print(f"| {pace.step} | {pace.text} | {pace.per_cpu_s:,.0f} | {target} |")


if __name__ == "__main__":
    main()
