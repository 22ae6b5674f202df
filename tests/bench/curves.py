"""`python -m tests.bench.curves` measures how cost grows with lines, replicas and the size of lines.

It fits a formula, draws it beside what was measured, and with `--write` puts plot, table, formula and the sizes of
clusters into the documentation.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from shipper.emulator.text import generated_lines
from tests.bench import surroundings
from tests.bench.costs import Costs, Load, Measured
from tests.bench.pages import DOCS, put
from tests.bench.plot import Curve, Panel, svg
from tests.bench.processes import Daemon, wait_until

_REPLICAS: Final = (1, 50, 500, 2_000)
_SIZES: Final = (80, 200, 1_000, 8_000)
_USUAL: Final = 200
_FEW: Final = 50
_LOADS: Final = (
    *(Load(1, lines, _USUAL, 1) for lines in (100, 2_000, 20_000)),
    *(Load(50, lines, _USUAL) for lines in (100, 2_000, 20_000)),
    *(Load(500, lines, _USUAL) for lines in (500, 3_000, 20_000)),
    *(Load(2_000, lines, _USUAL) for lines in (500, 2_000, 10_000)),
    Load(50, 10_000, 80),
    Load(50, 1_000, 1_000),
    Load(50, 10_000, 1_000),
    Load(50, 200, 8_000),
    Load(50, 2_000, 8_000),
)
_COMMAND: Final = "make curves"
_WARM_S: Final = 3.0
_TEXT: Final = 16_000_000  # bytes of different lines; no frame has one twice
_LOGS: Final = 'kind="logs"'
_REMEMBERED: Final = 320  # lines that each replica has printed before: what is kept of them is in memory
_CLUSTERS: Final = (
    ("a sidecar", Load(1, 50, 177, 1)),
    ("small", Load(50, 1_000, 177, 5)),
    ("medium", Load(500, 10_000, 177, 20)),
    ("large", Load(2_000, 50_000, 177, 50)),
)
_OUTAGE_S: Final = 6 * 3600
_MARGIN: Final = 1.5  # in the table of clusters: machines differ
_BATCH_MB: Final = 64  # one of the default size while an archive sink sends it


def measured(load: Load, seconds: float, directory: Path) -> Measured:
    """One daemon with this load for so long; what arrives is counted, since the printing may be slower."""
    texts = directory / f"{load.size}.log"
    if not texts.exists():
        texts.write_text(_text(load.size))
    wanted = surroundings.Load(load.replicas, load.apps, _REMEMBERED, texts=[texts])
    with surroundings.surroundings(wanted, directory) as setup, setup.start(max_age="10s") as daemon:
        setup.server.ask("go")
        setup.wait_for_streams(daemon)
        _wait_for(daemon, setup.printed)
        setup.server.ask(f"print {load.lines_per_s}")
        time.sleep(_WARM_S)
        before = [daemon.metric(f"shipper_{name}_committed_total", _LOGS) for name in ("records", "bytes")]
        cpu_s, began = daemon.cpu_s(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        core = (daemon.cpu_s() - cpu_s) / took
        after = [daemon.metric(f"shipper_{name}_committed_total", _LOGS) for name in ("records", "bytes")]
        lines, size = (new - old for new, old in zip(after, before, strict=True))
        printed = setup.server.ask("print 0")["printed"]
        wait_until(
            lambda: daemon.metric("shipper_records_committed_total", _LOGS) >= printed, "the last line"
        )
        load = Load(load.replicas, lines / took, load.size, load.apps)
        return Measured(load, core, daemon.memory_mb(), size / lines)


def _wait_for(daemon: Daemon, lines: int) -> None:
    wait_until(lambda: daemon.metric("shipper_records_committed_total", _LOGS) >= lines, "the last line")


def _text(size: int) -> str:
    """Lines of this many characters, made of others."""
    source = generated_lines(seed=1)
    lines: list[str] = []
    for _ in range(min(20_000, _TEXT // size)):
        line = source.line("app")
        while len(line) < size:
            line = f"{line} {source.line('app')}"
        lines.append(line[:size].replace("\n", " "))
    return "\n".join(lines)


# ---- what is said of it ----


def plot(results: Sequence[Measured], costs: Costs) -> str:
    """CPU over lines a second: by replicas, and by the size of lines."""
    by_replicas = [
        _curve(f"{replicas:,} replica{'s' * (replicas > 1)}", results, costs, replicas, _USUAL)
        for replicas in _REPLICAS
    ]
    by_size = [_curve(f"{size:,} bytes", results, costs, _FEW, size) for size in _SIZES]
    return svg(
        [
            _panel(f"Lines of {_USUAL} bytes", by_replicas),
            _panel(f"{_FEW} replicas", by_size),
        ]
    )


def _panel(title: str, curves: Sequence[Curve]) -> Panel:
    return Panel(title, "lines a second", "of one core", (2, 5), (-3, 0.5), lambda y: f"{100 * y:g}%", curves)


def _curve(name: str, results: Sequence[Measured], costs: Costs, replicas: int, size: int) -> Curve:
    points = [
        (one.load.lines_per_s, one.core)
        for one in results
        if (one.load.replicas, one.load.size) == (replicas, size)
    ]
    return Curve(name, lambda lines: costs.core(Load(replicas, lines, size)), points)


def table(results: Sequence[Measured], costs: Costs) -> Iterator[str]:
    """Each measurement beside what the formula says."""
    yield "| replicas | lines/s | bytes | of a core | formula | memory | formula | bytes in the buffer | formula |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for one in results:
        load = one.load
        yield (
            f"| {load.replicas:,} | {load.lines_per_s:,.0f} | {load.size:,} "
            f"| {one.core:.1%} | {costs.core(load):.1%} | {one.memory_mb:.0f} MB | {costs.memory_mb(load):.0f} MB "
            f"| {one.stored:.0f} | {costs.stored(load):.0f} |"
        )


def formula(costs: Costs) -> Iterator[str]:
    """The three formulas with their factors."""
    base, replica, read, line, megabyte = costs.core.factors
    fixed, each, flow = costs.memory_mb.factors
    around, ratio, frame = costs.stored.factors
    yield "| | |"
    yield "|---|---|"
    yield (
        f"| cores | `{base:.4f} + {replica * 1e6:.1f}e-6 × replicas + {read * 1e6:.1f}e-6 × reads/s "
        f"+ {line * 1e6:.2f}e-6 × lines/s + {megabyte:.4f} × MB/s` |"
    )
    yield f"| memory | `{fixed:.0f} MB + {each * 1000:.0f} kB × replicas + {flow:.1f} MB × MB/s` |"
    yield (
        f"| bytes of a line in the buffer | `{around:.0f} + {ratio:.2f} × bytes a line "
        f"+ {frame:.0f} ÷ lines in a frame` |"
    )


def clusters(costs: Costs) -> Iterator[str]:
    """The table of sizes, with a margin."""
    yield "| cluster | lines/s | replicas | cores | memory | buffer for 6 h of outage |"
    yield "|---|---|---|---|---|---|"
    for name, load in _CLUSTERS:
        buffer_gb = _MARGIN * costs.buffer_bytes(load, _OUTAGE_S) / 1e9
        memory_mb = _BATCH_MB + _MARGIN * costs.memory_mb(load)
        yield (
            f"| {name} | {load.lines_per_s:,} | {load.replicas:,} | {_MARGIN * costs.core(load):.2f} "
            f"| {memory_mb:.0f} MB | {buffer_gb:.1f} GB |"
        )


def write(results: Sequence[Measured], costs: Costs) -> None:
    """The plot, and what stands between the marks of the pages."""
    (DOCS / "images" / "cost.svg").write_text(plot(results, costs))
    put("performance.md", "curves", _COMMAND, [*table(results, costs), "", *formula(costs)])
    put("operations.md", "clusters", _COMMAND, [*clusters(costs)])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.curves", description=__doc__)
    parser.add_argument("--seconds", type=float, default=12, help="for each of the points")
    parser.add_argument("--write", action="store_true", help="into docs/")
    arguments = parser.parse_args()
    results: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="shipper-curves-") as directory:
        for load in _LOADS:
            results.append(measured(load, arguments.seconds, Path(directory)))
            print(results[-1], file=sys.stderr, flush=True)
    costs = Costs.of(results)
    print("\n".join([*table(results, costs), "", *formula(costs), "", *clusters(costs)]))
    if arguments.write:
        write(results, costs)


if __name__ == "__main__":
    main()
