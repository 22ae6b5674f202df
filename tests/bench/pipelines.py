"""What a pipeline does to records on their way to a sink, step by step: lines per CPU-second, in this process alone.

`python -m tests.bench.pipelines [--lines FILE ...]`. Every step includes decoding, without which there is nothing to
do it to; what a step costs is the difference.
"""

from __future__ import annotations

import argparse
import gc
import platform
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from shipper.archive.codec import LogIdentity, encode_log_run
from shipper.config.settings import Settings
from shipper.model import Kind, Partition
from shipper.transform.building import build_pipeline
from shipper.transform.built_in import IN_ORDER
from shipper.transform.pipeline import SinkPipeline
from tests.bench.reading import objects, plain

SLICE: Final = 1_000  # lines that are fed at once, some 256 KiB
SINK: Final = "archive"
_WHERE: Final = Partition(Kind.LOGS, "acme-corp", "checkout", 497_222)
_BEGIN_MS: Final = _WHERE.hour * 3_600_000
_REPLICAS: Final = 8
ALL: Final = {"sinks": SINK}


@dataclass(frozen=True, slots=True)
class Pace:
    """A step on a sort of text."""

    step: str
    text: str
    per_cpu_s: float


def pipeline(**sections: Any) -> SinkPipeline:
    """An archive's, with these sections of a configuration."""
    ignite = {"endpoint": "grpc://localhost:1", "organization": "acme-corp", "auth": {"type": "none"}}
    sinks = {SINK: {"type": "directory", "path": "archive"}}
    return build_pipeline(Settings.model_validate({"ignite": ignite, "sinks": sinks, **sections}), SINK)


def slices_of(lines: Sequence[str]) -> list[bytes]:
    """NDJSON as a partition's frames have it: some replicas in turn, a thousand lines a second."""
    made = []
    for number, start in enumerate(range(0, len(lines), SLICE)):
        run = lines[start : start + SLICE]
        times = [_BEGIN_MS + (start + at) % 3_600_000 for at in range(len(run))]
        streams = ["stderr" if at % 10 == 0 else "stdout" for at in range(len(run))]
        replica = f"checkout-7d9f-{number % _REPLICAS}"
        identity = LogIdentity("acme-corp", "checkout", replica, "eu-1", "ip-10-0-3-17")
        made.append(encode_log_run(identity, times, streams, run))
    return made


def with_addresses(lines: Sequence[str], every: int) -> list[str]:
    """The lines, some of them with an e-mail address at their end."""
    return [line + f" user{at}@example.com" if at % every == 0 else line for at, line in enumerate(lines)]


def objects_with_addresses(count: int) -> list[str]:
    """JSON lines that all have an address in a string."""
    rng = random.Random(3)
    return [line[:-1] + f',"user":"user{rng.randrange(10**6)}@example.com"}}' for line in objects(count)]


def paces(count: int, runs: int, files: Sequence[Path] = ()) -> Iterator[Pace]:
    """Every step, with a garbage collector that leaves alone what was there before, as in the daemon."""
    text = "log files" if files else "text of loggers"
    lines = plain(count, files)
    ordinary = slices_of(lines)
    drop = {"match": {"line": "(?i)health|GET /ping"}, "drop": True}
    many = [{"match": {"line": f"needle-{number}[0-9]x"}, "drop": True} for number in range(20)]
    level = {"match": {"level": ["trace", "debug"]}, "drop": True}
    built_in = [{"patterns": list(IN_ORDER)}]
    gc.collect()
    gc.freeze()
    own = [{"patterns": [], "custom": [{"name": "customer", "pattern": r"\bCN-[0-9]{8}\b"}]}]
    for step, sections, encodes in (
        ("decode only", {}, False),
        ("encode again", {}, True),
        ("route by stream", {"routes": [{"match": {"stream": "stderr"}, "drop": True}, ALL]}, False),
        ("route by line", {"routes": [drop, ALL]}, False),
        ("20 routes by line", {"routes": [*many, ALL]}, False),
        ("route by level (`level: auto`)", {"routes": [level, ALL], "read": [{"level": "auto"}]}, False),
        ("sample", {"routes": [{**ALL, "sample": 2}]}, False),
        ("throttle", {"routes": [{**ALL, "throttle": "500/s"}]}, False),
        ("redact, an expression of one's own", {"redact": own}, False),
        ("redact, built-in patterns but `ip`", {"redact": [{}]}, False),
        ("redact, all built-in patterns", {"redact": built_in}, False),
        ("redact but `ip`, and encode again", {"redact": [{}]}, True),
    ):
        yield Pace(step, text, _pace(ordinary, pipeline(**sections), runs, encodes=encodes))
    redacting = pipeline(redact=[{}])
    for sort, other in (
        (f"{text}, an address in every tenth line", with_addresses(lines, 10)),
        (f"{text}, an address in every line", with_addresses(lines, 1)),
        ("JSON lines", objects(count)),
        ("JSON lines, an address in each", objects_with_addresses(count)),
    ):
        yield Pace(
            "redact, built-in patterns but `ip`",
            sort,
            _pace(slices_of(other), redacting, runs, encodes=False),
        )


def _pace(slices: Sequence[bytes], made: SinkPipeline, runs: int, *, encodes: bool) -> float:
    times = []
    for _ in range(runs):
        step = made.start(_WHERE, b"")
        began = time.process_time()
        for ndjson in slices:
            entries = step.feed(ndjson)
            if encodes:
                made.encode(entries)
        times.append(time.process_time() - began)
    lines = sum(ndjson.count(b"\n") for ndjson in slices)
    return lines / max(median(times), 1e-9)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pipelines", description=__doc__)
    parser.add_argument(
        "--lines", type=Path, nargs="+", default=[], help="real log text, in place of a made-up one"
    )
    parser.add_argument("--count", type=int, default=50_000, help="so many lines")
    parser.add_argument("--runs", type=int, default=7, help="the median of so many runs")
    arguments = parser.parse_args()
    print(f"{platform.machine()}, Python {platform.python_version()}; {arguments.count} lines\n")
    print("| step, decoding included | text | lines per CPU-second |\n|---|---|---|")
    for pace in paces(arguments.count, arguments.runs, arguments.lines):
        print(f"| {pace.step} | {pace.text} | {pace.per_cpu_s:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
