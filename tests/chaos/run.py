"""One run of a plan: set up, print, do harm, let it recover, drain, judge."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from shipper.emulator import Emulator, Scenario
from tests.chaos import mounts
from tests.chaos.catalogue import FAULTS
from tests.chaos.configuration import configuration
from tests.chaos.daemon import Daemon
from tests.chaos.harvest import Harvest
from tests.chaos.life import life
from tests.chaos.oracle import Verdict
from tests.chaos.outcome import Outcome, SinkOutcome
from tests.chaos.plan import PRINT_S, Plan
from tests.chaos.printing import Printer
from tests.chaos.site import Site
from tests.chaos.stores import SteppedProxy, store
from tests.chaos.wire import Wire
from tests.servers.datadog_intake import DatadogIntake
from tests.servers.sentry_stub import sentry_stub

RECOVER_WITHIN_S: Final = 45.0
SLOWLY_WITHIN_S: Final = 80.0
SLOW: Final = frozenset({"half_open_stream", "half_open_connection", "archive_read_only"})
"""A half-open stream is noticed within a minute; a sink that somebody must mend is tried again once a minute."""

LOOK_EVERY_S: Final = 0.4
BUFFER_MIB: Final = 24
SMALL_BUFFER_MIB: Final = 16
MOST_MEMORY: Final = 400 * 1024 * 1024
MEMORY_LIMIT: Final = 160 * 1024 * 1024
_FAKETIME: Final = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
_CGROUPS: Final = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))
_LIVES: Final = 5


async def run(plan: Plan, folder: Path) -> Outcome:
    """Everything, in order. Files stay in the folder for whoever wants to look."""
    async with _site(plan, folder) as site:
        harvest = Harvest(site)
        await site.daemon.start()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(site.daemon.watch(), name="watch the daemon")
            printing = tasks.create_task(site.printer.run(), name="apps print")
            await _until_followed(site, harvest)
            await _harm(site)
            printing.cancel()
            calm = time.monotonic()
            verdicts = await _recover(site, harvest)
            recovery = time.monotonic() - calm
            status = await site.daemon.drain()
            watching.cancel()
        drained = time.monotonic() - calm - recovery
        await asyncio.to_thread(harvest.look)
        verdicts = harvest.verdicts()
        faults = _violations(site, harvest, verdicts, status)
        wrong = {line for verdict in verdicts for line in (verdict.lost | verdict.doubled | verdict.needless)}
        lives = [
            life(site, harvest, line) for line in sorted(wrong, key=lambda line: line.timestamp_ms)[:_LIVES]
        ]
        return Outcome(
            seed=plan.seed,
            faults=plan.faults,
            printed=site.ignite.ledger.printed,
            sinks=tuple(map(SinkOutcome.of, verdicts)),
            recovery_s=round(recovery, 2),
            drain_s=round(drained, 2),
            peak_memory=site.daemon.peak_memory,
            peak_disk=site.daemon.peak_disk,
            starts=site.daemon.starts,
            violations=tuple(faults),
            notes=tuple(dict.fromkeys(site.notes)),
            lives=tuple(lives),
        )


async def _until_followed(site: Site, harvest: Harvest) -> None:
    """What was gone before a daemon with an empty buffer first looked is nobody's loss: harm begins when every replica
    has a line in an archive.
    """
    wanted = {replica.replica_id for replica in site.printer.replicas}
    async with asyncio.timeout(30.0):
        while not wanted <= {
            line.replica_id for shelf in harvest.shelves.values() for line in shelf.counter()
        }:
            await asyncio.sleep(LOOK_EVERY_S / 2)
            await asyncio.to_thread(harvest.look)


async def _harm(site: Site) -> None:
    """Every injection at its moment; returns when all are over and the apps have printed long enough."""
    async with asyncio.TaskGroup() as tasks:
        for injection in site.plan.injections:
            tasks.create_task(
                _inject(site, injection.fault, injection.at_s, injection.seed), name=injection.fault
            )
        await asyncio.sleep(PRINT_S)


async def _inject(site: Site, fault: str, at_s: float, seed: int) -> None:
    await asyncio.sleep(at_s)
    await FAULTS[fault].act(site, random.Random(seed))


async def _recover(site: Site, harvest: Harvest) -> list[Verdict]:
    """Until every sink has everything that can be had, or it takes too long."""
    slow = not SLOW.isdisjoint(site.plan.faults)
    verdicts: list[Verdict] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(SLOWLY_WITHIN_S if slow else RECOVER_WITHIN_S):
            while True:
                await asyncio.to_thread(harvest.look)
                verdicts = harvest.verdicts()
                if (
                    not any(verdict.lost or verdict.needless for verdict in verdicts)
                    and not harvest.event_faults()
                ):
                    return verdicts
                await asyncio.sleep(LOOK_EVERY_S)
    site.note("VIOLATION: not every sink had everything in time")
    return verdicts


def _violations(site: Site, harvest: Harvest, verdicts: list[Verdict], status: int) -> list[str]:
    """Every promise that was not kept, in words."""
    found = [note.removeprefix("VIOLATION: ") for note in site.notes if note.startswith("VIOLATION: ")]
    for verdict in verdicts:
        found += [
            f"{verdict.sink}: {lines.total()} lines {what}"
            for lines, what in (
                (verdict.lost, "are missing and in no gap"),
                (verdict.doubled, "are there more often than they were printed"),
                (verdict.needless, "are in a gap though they can still be had"),
            )
            if lines
        ]
    found += [
        f"{verdict.sink}: {verdict.in_gaps} lines were dropped and gaps say {verdict.declared}"
        for verdict in verdicts
        if verdict.sink in harvest.shelves and verdict.miscounted
    ]
    found += harvest.event_faults()[:5]
    found += [f"the daemon ended by itself with {death}" for death in site.daemon.deaths]
    if status != 0:
        found.append(f"the drained daemon ended with {status}")
    limit = (SMALL_BUFFER_MIB if _small(site.plan) else BUFFER_MIB) * 1024 * 1024
    if site.daemon.peak_disk > limit:
        found.append(f"the buffer took {site.daemon.peak_disk} bytes of {limit}")
    if site.daemon.peak_memory > MOST_MEMORY:
        found.append(f"the daemon took {site.daemon.peak_memory} bytes of memory")
    if "Traceback (most recent call last)" in site.daemon.said():
        found.append("a traceback is in the daemon's log")
    return found


# ---- setting up ----


@asynccontextmanager
async def _site(plan: Plan, folder: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        scenario = Scenario(
            seed=plan.seed,
            token="",
            token_endpoint=True,
            renumber=plan.renumber,
            replay_order=plan.replay_order,
            max_concurrent_streams=plan.stream_cap,
        )
        ignite = await stack.enter_async_context(Emulator(scenario))
        wire = await stack.enter_async_context(Wire(ignite.address))
        printer = Printer(ignite, plan.seed, apps=plan.apps, replicas=plan.replicas, rate=plan.rate)
        daemon = Daemon(folder, "", folder / "buffer", _environment(plan, folder), _cgroup(plan, stack))
        stack.push_async_callback(daemon.make_sure_it_is_gone)
        site = Site(plan, folder, ignite, wire, printer, daemon)
        if "s3" in plan.sinks:
            site.store = stack.enter_context(store(plan.store, folder))
            site.proxy = await stack.enter_async_context(SteppedProxy(site.store.endpoint_url))
        if "datadog" in plan.sinks:
            site.datadog = await stack.enter_async_context(DatadogIntake())
        if "sentry" in plan.sinks:
            site.sentry = await stack.enter_async_context(sentry_stub())
        _mount(plan, folder, stack)
        size = SMALL_BUFFER_MIB if _small(plan) else BUFFER_MIB
        daemon.configuration = configuration(site, size)
        yield site


def _small(plan: Plan) -> bool:
    return any(fault.startswith("buffer_full") for fault in plan.faults)


def _mount(plan: Plan, folder: Path, stack: AsyncExitStack) -> None:
    """Small file systems where a fault wants to fill them."""
    wanted = {"buffer": "disk_full_buffer", "archive": "disk_full_archive archive_read_only"}
    for name, faults in wanted.items():
        path = folder / name
        path.mkdir()
        size = BUFFER_MIB + 8 if name == "buffer" else 32
        if any(plan.has(fault) for fault in faults.split()) and mounts.mount(path, f"size={size}m,mode=700"):
            stack.callback(mounts.unmount, path)


def _environment(plan: Plan, folder: Path) -> dict[str, str]:
    """With libfaketime, where the clock is to step: the wall clock alone."""
    if not plan.has("clock_step") or not _FAKETIME.exists():
        return {}
    (folder / "clock").write_text("+0\n")
    return {
        "LD_PRELOAD": str(_FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(folder / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def _cgroup(plan: Plan, stack: AsyncExitStack) -> Path | None:
    """A cgroup of either version with a limit of memory, where one can be made."""
    if not plan.has("memory_limit"):
        return None
    for root, limit in zip(_CGROUPS, ("memory.limit_in_bytes", "memory.max"), strict=True):
        path = root / f"chaos-{os.getpid()}"
        with suppress(OSError):
            path.mkdir()
            stack.callback(_remove, path)
            (path / limit).write_text(str(MEMORY_LIMIT))
            return path
    return None


def _remove(path: Path) -> None:
    for _ in range(50):
        with suppress(OSError):
            path.rmdir()
            return
        time.sleep(0.1)
