"""`shipper demo`: the whole thing on one machine, and the proof that everything printed is archived once."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from shipper.emulator import demo_archive
from shipper.emulator.demo_daemon import Daemon, Metrics
from shipper.emulator.demo_view import AppRow, LiveView, PlainView, Pod, Snapshot, View, size
from shipper.emulator.emulator import Emulator
from shipper.emulator.ledger import Comparison, compare
from shipper.emulator.mischief import DEMO_PLAN, SHORT_PLAN, Mischief
from shipper.emulator.scenario import Scenario, Traffic
from shipper.emulator.streams import LOGS
from shipper.emulator.text import LineSource, lines_of_files
from shipper.emulator.world import EmulatedApp, EmulatedReplica

CATCH_UP_S: Final = 90.0  # the stalled stream is noticed within 60 s; the rest is a matter of seconds
_LONG_ENOUGH_S: Final = 10.0  # to stall a stream: shorter runs would mostly wait until that is noticed
_STUCK_S: Final = 20.0
_FRAME_S: Final = 0.25
_WINDOW: Final = 8  # frames over which rates are taken


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `shipper demo`."""
    parser.add_argument(
        "--duration", type=_seconds, default=20.0, help="how long the apps print (default 20s)"
    )
    parser.add_argument("--output", type=Path, default=Path("demo-archive"), metavar="DIR")
    parser.add_argument(
        "--rate", type=_above_zero, default=1000.0, help="lines a second in all (default %(default)g)"
    )
    parser.add_argument(
        "--apps", type=int, choices=range(1, 31), default=4, metavar="N", help="default %(default)s"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--lines", nargs="+", type=Path, metavar="FILE", help="print the lines of these files"
    )
    parser.add_argument("--plain", action="store_true", help="lines in place of the live view")


def main(options: argparse.Namespace) -> int:
    """Run the demo. 0 if printed == archived, 1 if not (or interrupted), 2 for options that make no sense."""
    try:
        lines = lines_of_files(options.lines) if options.lines else None
        archive = workspace(options.output)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"shipper demo: {error}\n")
        return 2
    console = Console()
    view: View = PlainView() if options.plain or not console.is_terminal else LiveView(console)
    try:
        result = asyncio.run(_run(options, lines, archive, view))
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.stderr.write("shipper demo: interrupted; the daemon has been ended\n")
        return 1
    sys.stdout.write(result.text)
    return 0 if result.good else 1


def scenario(options: argparse.Namespace) -> Scenario:
    """The demo's world. Pods that end wait for their reader, within reason: the mischief is denser than life, and what
    goes with a pod while every stream to it is broken could be archived by nobody.
    """
    return Scenario(
        seed=options.seed,
        token="",
        token_endpoint=True,
        traffic=Traffic(
            apps=options.apps,
            rate=options.rate,
            pod_life_s=12.0,
            least_life_s=3.0,
            sleep_every_s=25.0,
            nap_s=4.0,
            leave_s=4.0,
            back_off_s=3.0,
            patience_s=20.0,
            late_share=0.02,
            late_s=1.5,
            builds_every_s=15.0,
        ),
    )


def workspace(output: Path) -> Path:
    """Where this run's archive goes: DIR if it is new or empty, else the first free DIR/run-N."""
    output = output.resolve()
    if not output.exists() or not any(output.iterdir()):
        output.mkdir(parents=True, exist_ok=True)
        return output
    number = 2
    while (output / f"run-{number}").exists():
        number += 1
    fresh = output / f"run-{number}"
    fresh.mkdir()
    return fresh


@dataclass(frozen=True, slots=True)
class Result:
    """The last words of a run."""

    good: bool
    text: str


async def _run(options: argparse.Namespace, lines: LineSource | None, archive: Path, view: View) -> Result:
    """Run the demo; SIGINT or SIGTERM cancel it, and its blocks end the daemon on the way out."""
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    async with (
        Emulator(scenario(options), lines=lines) as ignite,
        Daemon(ignite, archive, archive / "_demo") as daemon,
    ):
        return await Demo(ignite, daemon, archive, options.duration, view).run()


class Demo:
    """One run with an emulator and a daemon that have been started: mischief, view, and the comparison at the end."""

    def __init__(
        self, ignite: Emulator, daemon: Daemon, archive: Path, duration_s: float, view: View
    ) -> None:
        self._ignite = ignite
        self._daemon = daemon
        self._archive = archive
        self._duration_s = duration_s
        self._view = view
        self._phase = "starting"
        self._started = asyncio.get_running_loop().time()
        self._frame = asyncio.Event()
        self._metrics: Metrics | None = None
        self._extent = demo_archive.Extent()
        self._printed: Counter[str] = Counter()
        self._counted = 0
        self._progress = (self._started, -1)
        self._past: deque[tuple[float, Counter[str], int]] = deque(maxlen=_WINDOW)

    async def run(self) -> Result:
        """Everything, in order."""
        with self._view:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(), name="demo-view")
                status = await self._act()
                watching.cancel()
            self._phase = "done" if status == 0 else "failed"
            self._extent = demo_archive.measure(self._archive)
            self._view.show(self._snapshot())
        return await asyncio.to_thread(self._conclude, status)

    async def _act(self) -> int:
        """Let things happen, let the daemon catch up, stop it; its exit status."""
        ignite = self._ignite
        assert ignite.driver is not None
        self._phase = "running"
        async with asyncio.TaskGroup() as tasks:
            plan = SHORT_PLAN if self._duration_s < _LONG_ENOUGH_S else DEMO_PLAN
            mischief = Mischief(ignite).follow(plan, self._duration_s)
            trouble = tasks.create_task(mischief, name="demo-mischief")
            await self._until(lambda: False, self._started + self._duration_s)
            trouble.cancel()
        ignite.driver.quiet = True
        ignite.world.tell("the apps stop printing")
        self._phase = "catching up"
        await self._until(self._caught_up_or_stuck, asyncio.get_running_loop().time() + CATCH_UP_S)
        self._phase = "draining"
        ignite.world.tell("SIGTERM: the daemon drains")
        return await self._daemon.stop()

    async def _until(self, condition: Callable[[], bool], deadline: float) -> None:
        """Wait for the condition, the deadline or the daemon's end, looking at every frame."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while not condition() and self._daemon.exit_status is None:
                    self._frame.clear()
                    await self._frame.wait()

    def _caught_up_or_stuck(self) -> bool:
        """Whether everything is archived, or nothing has moved for long and no stalled stream explains it."""
        now, delivered = asyncio.get_running_loop().time(), self._total("records_delivered_total")
        if delivered != self._progress[1] or any(stream.stalled for stream in self._ignite.calls.open):
            self._progress = (now, delivered)
        ledger = self._ignite.ledger
        built = self._total("records_delivered_total", "builds") >= ledger.built_lines().total()
        return (delivered >= ledger.printed and built) or now - self._progress[0] > _STUCK_S

    def _total(self, series: str, kind: str = "logs") -> int:
        return 0 if self._metrics is None else int(self._metrics.total(series, f'kind="{kind}"'))

    async def _watch(self) -> None:
        while True:
            self._metrics = await self._daemon.metrics() or self._metrics
            self._extent = await asyncio.to_thread(demo_archive.measure, self._archive)
            self._view.show(self._snapshot())
            self._frame.set()
            await asyncio.sleep(_FRAME_S)

    # ---- the picture ----

    def _snapshot(self) -> Snapshot:
        ignite, metrics = self._ignite, self._metrics or Metrics()
        now = asyncio.get_running_loop().time()
        for line in ignite.ledger.lines[self._counted :]:
            self._printed[line.app] += 1
        self._counted = len(ignite.ledger.lines)
        taken = self._total("records_received_total")
        self._past.append((now, self._printed.copy(), taken))
        then, before, taken_before = self._past[0]
        span = max(now - then, _FRAME_S)
        return Snapshot(
            phase=self._phase,
            elapsed_s=now - self._started,
            duration_s=self._duration_s,
            apps=tuple(self._row(app, before, span) for app in ignite.world.apps.values()),
            printed=ignite.ledger.printed,
            printed_rate=(self._printed.total() - before.total()) / span,
            taken=taken,
            taken_rate=(taken - taken_before) / span,
            delivered=self._total("records_delivered_total"),
            backlog=int(metrics.total("sink_backlog_records")),
            buffer_bytes=int(metrics.total("buffer_bytes")),
            objects=self._extent.objects,
            object_bytes=self._extent.size,
            streams=len(ignite.calls.open),
            reconnects=int(metrics.total("reconnects_total")),
            duplicates=int(metrics.total("duplicates_suppressed_total")),
            gaps=int(metrics.total("gaps_total")),
            daemon_up=self._metrics is not None,
            feed=tuple(ignite.world.news),
        )

    def _row(self, app: EmulatedApp, before: Counter[str], span: float) -> AppRow:
        printed = self._printed[app.name]
        pods = tuple(self._pod(replica) for replica in app.replicas.values())
        return AppRow(app.name, pods, printed, (printed - before[app.name]) / span)

    def _pod(self, replica: EmulatedReplica) -> Pod:
        state = "running"
        if any(
            each.stalled for each in self._ignite.calls.matching(method=LOGS, replica_id=replica.replica_id)
        ):
            state = "stalled"
        elif not replica.printing:
            assert self._ignite.driver is not None
            state = "crashed" if self._ignite.driver.will_restart(replica) else "leaving"
        return Pod(replica.replica_id.rpartition("-")[2], state, replica.restart_count)

    # ---- the end ----

    def _conclude(self, status: int) -> Result:
        ledger = self._ignite.ledger
        result = compare(ledger.counter(), demo_archive.printed_lines(self._archive))
        built, kept = ledger.built_lines(), Counter(demo_archive.built_lines(self._archive))
        equal = result.equal and built == kept
        gaps = list(demo_archive.records(self._archive, "gaps"))
        events = sum(1 for _ in demo_archive.records(self._archive, "events"))
        lost = sum(gap.get("lost") or 0 for gap in gaps)
        extent = demo_archive.measure(self._archive)
        pattern = self._archive / "kind=logs" / "**" / "*.ndjson.zst"
        table = f"read_json('{pattern}', hive_partitioning=true)"
        text = (
            f"\nprinted     {result.printed:>10,} lines\n"
            f"archived    {result.archived:>10,} lines in {extent.objects:,} objects, {size(extent.size)}\n"
            f"missing     {result.missing.total():>10,}\n"
            f"duplicates  {result.surplus.total():>10,}\n"
            f"in gaps     {lost:>10,} ({len(gaps)} gap records)\n"
            f"events      {ledger.happened:>10,} happened, {events:,} archived\n"
            f"builds      {built.total():>10,} lines, {kept.total():,} archived\n\n"
            f"printed {'==' if equal else '!='} archived\n\n"
        )
        if not equal or status != 0:
            text += (
                f"{_examples(result)}The daemon's exit status was {status}. The end of {self._daemon.log}:\n"
            )
            text += f"{self._daemon.last_words()}\n\n"
        query = f"select app, stream, count(*) from {table} group by all"  # noqa: S608 - for a person to paste
        text += f'Look for yourself:\n\n  duckdb -c "{query}"\n\n'
        text += (
            f"Archive: {self._archive}\nConfiguration, log and buffer of the run: {self._archive / '_demo'}\n"
        )
        return Result(equal and status == 0, text)


def _examples(result: Comparison) -> str:
    text = ""
    for title, lines in (("missing", result.missing), ("too often", result.surplus)):
        for line, times in list(lines.items())[:5]:
            text += f"{title} ×{times}: {line.replica_id} {line.timestamp_ms} {line.stream} {str(line.line)[:80]!r}\n"
    return text


def _seconds(text: str) -> float:
    """A duration as in a configuration, for example `20s` or `1m`; a bare number is seconds."""
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    for unit in sorted(units, key=len, reverse=True):
        if text.endswith(unit):
            return _above_zero(text.removesuffix(unit)) * units[unit]
    return _above_zero(text)


def _above_zero(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number
