"""The measurements. Each takes its surroundings, gives its figures, and fails where a line was lost or repeated."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.bench.archive import add, frames_of, tally_of
from tests.bench.printed import Tally
from tests.bench.processes import Daemon, wait_until
from tests.bench.surroundings import Setup

_LOGS: Final = 'kind="logs"'
_SETTLE_S: Final = 0.5  # for what a daemon does once after it has opened its streams
_MAX_AGE: Final = "500ms"  # of batches: objects are small, but the wait for the last ones is short
_PERCENTILES: Final = (0.5, 0.99)


class Differs(AssertionError):
    """What arrived is not what was printed."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A history on its way through the daemon: lines, seconds of the wall and of the CPU, peak memory."""

    lines: int
    seconds: float
    cpu_s: float
    memory_mb: float

    @property
    def per_s(self) -> float:
        return self.lines / self.seconds

    @property
    def per_cpu_s(self) -> float:
        return self.lines / self.cpu_s

    def __str__(self) -> str:
        return (
            f"{self.lines:,} lines in {self.seconds:.2f} s and {self.cpu_s:.2f} CPU-seconds: {self.per_s:,.0f} "
            f"lines/s, {self.per_cpu_s:,.0f} per CPU-second, {self.memory_mb:.0f} MB"
        )


@dataclass(frozen=True, slots=True)
class Footprint:
    """A daemon over some time: its memory at the end and at most, and the part of one core that it used."""

    memory_mb: float
    peak_mb: float
    core: float

    def __str__(self) -> str:
        return f"{self.memory_mb:.0f} MB ({self.peak_mb:.0f} at most), {self.core:.2%} of a core"


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds from a line's own time until it was committed."""

    lines: int
    p50_s: float
    p99_s: float

    def __str__(self) -> str:
        return f"{self.lines:,} lines: p50 {self.p50_s * 1000:.0f} ms, p99 {self.p99_s * 1000:.0f} ms"


def archived(setup: Setup) -> Passage:
    """From the streams through the buffer into objects, with an empty buffer.

    The lines are held back until every stream is open. It ends with the last object that the store has taken.
    """
    setup.server.ask("hold")
    with setup.start(max_age=_MAX_AGE) as daemon:
        passage = _let_through(
            setup, daemon, lambda: daemon.metric("shipper_records_delivered_total", _LOGS), from_store=True
        )
        daemon.stop()
    _check(setup, tally_of(setup.store))
    return passage


def skipped(setup: Setup) -> Passage:
    """The same history again to a daemon that has archived it: nothing is new."""
    before = setup.store.ask("status")["bytes"]
    setup.server.ask("hold")
    with setup.start(max_age=_MAX_AGE) as daemon:
        passage = _let_through(
            setup, daemon, lambda: daemon.metric("shipper_duplicates_suppressed_total", _LOGS)
        )
        daemon.stop()
    if setup.store.ask("status")["bytes"] != before:
        raise Differs("lines of a replay were archived again")
    return passage


def _let_through(
    setup: Setup, daemon: Daemon, arrived: Callable[[], float], *, from_store: bool = False
) -> Passage:
    setup.wait_for_streams(daemon)
    time.sleep(_SETTLE_S)
    lines = setup.printed
    cpu_s = daemon.cpu_s()
    began = setup.server.ask("go")["at"]
    wait_until(lambda: setup.server.ask("status")["unsent"] == 0, "sending every line")
    wait_until(lambda: arrived() >= lines, "the last line's arrival")
    ended = setup.store.ask("status")["last_put_at"] if from_store else time.monotonic()
    return Passage(lines, ended - began, daemon.cpu_s() - cpu_s, daemon.memory_mb())


def _check(setup: Setup, arrived: Tally) -> None:
    printed = setup.server.ask("status")["tally"]
    if str(arrived) != printed:
        raise Differs(f"printed {printed}, arrived {arrived} (count and digest)")


def subscribed(setup: Setup, seconds: float) -> Footprint:
    """Every replica's history is read; then each prints a line a second."""
    with setup.start() as daemon:
        setup.server.ask("go")
        setup.wait_for_streams(daemon)
        _wait_for_commits(daemon, setup.printed)
        setup.server.ask(f"print {setup.load.replicas}")
        time.sleep(min(5.0, seconds))
        footprint = _watch(daemon, seconds)
        lines = setup.server.ask("print 0")["printed"]
        _wait_for_commits(daemon, lines)
    return footprint


def idle(setup: Setup, seconds: float) -> Footprint:
    """Nothing is printed."""
    with setup.start() as daemon:
        setup.wait_for_streams(daemon)
        time.sleep(min(5.0, seconds))
        return _watch(daemon, seconds)


def _wait_for_commits(daemon: Daemon, lines: int) -> None:
    wait_until(
        lambda: daemon.metric("shipper_records_committed_total", _LOGS) >= lines, "the last line's commit"
    )


def _watch(daemon: Daemon, seconds: float) -> Footprint:
    cpu_s, began = daemon.cpu_s(), time.monotonic()
    time.sleep(seconds)
    core = (daemon.cpu_s() - cpu_s) / (time.monotonic() - began)
    return Footprint(daemon.memory_mb("VmRSS"), daemon.memory_mb(), core)


def durable(setup: Setup, lines_per_s: int, seconds: float) -> Delay:
    """How long lines that are printed now take into the buffer. The daemon is killed, and its buffer read: a frame's
    time of commit, plus how long commits took on average, against the time of each of its lines.
    """
    with setup.start() as daemon:
        setup.server.ask("go")
        setup.wait_for_streams(daemon)
        time.sleep(_SETTLE_S)
        setup.server.ask(f"print {lines_per_s}")
        time.sleep(seconds)
        lines = setup.server.ask("print 0")["printed"]
        _wait_for_commits(daemon, lines)
        commits = daemon.metric("shipper_commit_seconds_count")
        commit_ms = 1000 * daemon.metric("shipper_commit_seconds_sum") / max(commits, 1)
        daemon.kill()
    tally = Tally()
    delays: list[float] = []
    for committed_ms, records in frames_of(setup.directory / "buffer"):
        add(tally, iter(records))
        delays += [committed_ms + commit_ms - record["timestamp_ms"] for record in records]
    _check(setup, tally)
    delays.sort()
    p50, p99 = (delays[int(len(delays) * part)] / 1000 for part in _PERCENTILES)
    return Delay(len(delays), p50, p99)


def started(setup: Setup) -> float:
    """Seconds from starting the process until its first record is committed."""
    setup.server.ask("go")
    with setup.start() as daemon:
        wait_until(
            lambda: daemon.metric("shipper_records_committed_total", _LOGS) > 0,
            "the first record",
            every_s=0.01,
        )
        return time.monotonic() - daemon.started_at
