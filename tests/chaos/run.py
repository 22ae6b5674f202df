"""One run of a plan: set up, print, do harm, let it recover, drain, judge."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.chaos.catalogue import FAULTS
from tests.chaos.harvest import Harvest
from tests.chaos.life import life
from tests.chaos.making import made
from tests.chaos.oracle import Verdict
from tests.chaos.outcome import Outcome, SinkOutcome
from tests.chaos.plan import PRINT_S, Plan
from tests.chaos.site import Site

RECOVER_WITHIN_S: Final = 45.0
SLOWLY_WITHIN_S: Final = 80.0
SLOW: Final = frozenset(name for name, kind in FAULTS.items() if kind.slow)
"""A half-open stream is noticed within a minute; a sink that somebody must mend is tried again once a minute."""

FOLLOWED_WITHIN_S: Final = 60.0
USUAL_START_S: Final = 4.0
"""On two quiet cores. Where it takes longer, everything may."""

LOOK_EVERY_S: Final = 0.4
MOST_MEMORY: Final = 400 * 1024 * 1024
_LIVES: Final = 5


async def run(plan: Plan, folder: Path) -> Outcome:
    """Everything, in order. Files stay in the folder for whoever wants to look."""
    async with made(plan, folder) as site:
        harvest = Harvest(site)
        began = time.monotonic()
        await site.daemon.start()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(site.daemon.watch(), name="watch the daemon")
            printing = tasks.create_task(site.printer.run(), name="apps print")
            await _until_followed(site, harvest)
            slowness = max(1.0, (time.monotonic() - began) / USUAL_START_S)
            await _harm(site)
            printing.cancel()
            calm = time.monotonic()
            verdicts = await _recover(site, harvest, slowness)
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
    async with asyncio.timeout(FOLLOWED_WITHIN_S):
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


async def _recover(site: Site, harvest: Harvest, slowness: float) -> list[Verdict]:
    """Until every sink has everything that can be had, or it takes too long."""
    slow = not SLOW.isdisjoint(site.plan.faults)
    verdicts: list[Verdict] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(slowness * (SLOWLY_WITHIN_S if slow else RECOVER_WITHIN_S)):
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
    found += harvest.extra_faults()
    found += [f"the daemon ended by itself with {death}" for death in site.daemon.deaths]
    if status != 0:
        found.append(f"the drained daemon ended with {status}")
    limit = site.buffer_mib * 1024 * 1024
    if site.daemon.peak_disk > limit:
        found.append(f"the buffer took {site.daemon.peak_disk} bytes of {limit}")
    if site.daemon.peak_memory > MOST_MEMORY:
        found.append(f"the daemon took {site.daemon.peak_memory} bytes of memory")
    if "Traceback (most recent call last)" in site.daemon.said():
        found.append("a traceback is in the daemon's log")
    return found
