"""`python -m tests.bench.peers` sends the same lines through shipper and through other programs, one after the other,
into one S3 server, and prints what each took.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from statistics import median
from typing import Final

from tests.bench import floor, rows
from tests.bench.pages import put
from tests.bench.peers.collector import VERSION, built
from tests.bench.peers.passing import PEERS, Peer, Result, passed
from tests.bench.printed import replica_name
from tests.bench.surroundings import Load, Setup, surroundings

_REPLICAS: Final = 8
_APPS: Final = 2
_COMMAND: Final = "make peers"

Runs = Mapping[str, list[Result]]


def measured(lines: int, runs: int, compression: str) -> tuple[Runs, float]:
    """Every program, so many times in turn; and the floor of the NDJSON stream, lines per CPU-second."""
    history = lines // _REPLICAS
    results: dict[str, list[Result]] = {}
    floors: list[float] = []
    names = [replica_name(index, _APPS) for index in range(_REPLICAS)]
    with (
        surroundings(Load(_REPLICAS, _APPS, history)) as grpc,
        surroundings(Load(_REPLICAS, _APPS, history, http="full")) as http,
    ):
        programs: dict[str, tuple[Setup, Callable[[Setup], Result]]] = {
            "shipper, gRPC": (grpc, _shipper),
            "shipper, HTTP": (http, _shipper),
            **{f"Collector, {peer.what}": (http, _through(peer, compression)) for peer in PEERS},
        }
        for run in range(runs):
            for name, (whole, program) in programs.items():
                setup = whole.again(f"{len(results)}-{run}-{name.encode().hex()[:24]}")
                result = program(setup)
                results.setdefault(name, []).append(result)
                print(f"{name}: {result}", file=sys.stderr, flush=True)
            took = floor.cpu_s(names, http.server.port, http.directory, http=True)
            floors.append(http.printed / took)
    return results, median(floors)


def _shipper(setup: Setup) -> Result:
    passage = rows.archived(setup)  # raises where anything is missing or doubled
    return Result(passage, 0.0, passage.lines, same=True)


def _through(peer: Peer, compression: str) -> Callable[[Setup], Result]:
    return lambda setup: passed(peer, setup, compression)


def table(results: Runs, least: float) -> Iterator[str]:
    """Medians; the most memory of all runs."""
    yield "| program | lines per CPU-second | of the floor | `curl` included | lines/s | peak memory | arrived |"
    yield "|---|---|---|---|---|---|---|"
    for name, runs in results.items():
        own = median(one.passage.per_cpu_s for one in runs)
        both = median(one.passage.lines / (one.passage.cpu_s + one.feeding_cpu_s) for one in runs)
        pace = median(one.passage.per_s for one in runs)
        memory = max(one.passage.memory_mb for one in runs)
        arrived = "all, each once" if all(one.same for one in runs) else _missing(runs)
        yield f"| {name} | {own:,.0f} | {own / least:.2f} | {both:,.0f} | {pace:,.0f} | {memory:.0f} MB | {arrived} |"


def _missing(runs: list[Result]) -> str:
    counts = [f"{one.arrived:,} of {one.passage.lines:,}" for one in runs if not one.same]
    return "; ".join(counts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--total", type=int, default=1_200_000, help="lines of each run")
    parser.add_argument("--runs", type=int, default=3, help="the median of so many")
    parser.add_argument(
        "--compression", choices=["zstd", "gzip"], default="zstd", help="of the collector's objects"
    )
    parser.add_argument("--write", action="store_true", help="the table into docs/performance.md")
    arguments = parser.parse_args()
    built()
    results, least = measured(arguments.total, arguments.runs, arguments.compression)
    lines = [
        *table(results, least),
        "",
        f"Collector {VERSION}; {arguments.total:,} lines, medians of {arguments.runs} runs; the floor, "
        f"`curl \\| zstd -3` of the NDJSON stream: {least:,.0f} lines per CPU-second.",
    ]
    print("\n".join(lines))
    if arguments.write:
        put("performance.md", "peers", _COMMAND, lines)


if __name__ == "__main__":
    main()
