"""SIGKILL at one system call of a step of the buffer or of the archive, and while the configuration is read again."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from tests.chaos.configuration import configuration
from tests.chaos.faulty_disk import KILLS, Call, FaultyDisk, Step

if TYPE_CHECKING:
    from tests.chaos.site import Site

    Act = Callable[[Site, random.Random], Awaitable[None]]

WITHOUT: Final = "there is no compiler; no system call failed"
_WAIT_S: Final = 8.0
_CALLS: Final = {Step.COMMIT: 9, Step.SEAL: 6, Step.ACKNOWLEDGE: 7, Step.CHECKPOINT: 8, Step.UPLOAD: 10}


def in_step(step: Step) -> Act:
    """A fault: twice, at a call that is drawn from those that one such step may have; before, within or after it."""

    async def act(site: Site, rng: random.Random) -> None:
        disk = site.disk
        if disk is None:
            site.note(WITHOUT)
            return
        for _ in range(2):
            await _kill_at(site, disk, rng, step, rng.randrange(_CALLS[step]))
            await asyncio.sleep(rng.uniform(0.5, 1.5))

    return act


async def _kill_at(site: Site, disk: FaultyDisk, rng: random.Random, step: Step, before: int) -> None:
    """A step that never comes to that call within some seconds is told in the notes."""
    acted = disk.acted
    site.daemon.expecting += 1
    disk.arm(rng.choice(KILLS), calls=Call.ALL, steps=step, before=before)
    try:
        async with asyncio.timeout(_WAIT_S):
            while disk.acted == acted:
                await asyncio.sleep(0.01)
    except TimeoutError:
        disk.disarm()
    if disk.acted == acted:
        site.note(f"no call came in {step.name.lower()}")
    else:
        await site.daemon.kill(down_s=rng.choice([0.0, 0.3]))
    site.daemon.expecting -= 1


async def kill_reload(site: Site, rng: random.Random) -> None:
    """Another sink comes, goes and is drained or discarded; at a moment of each reload the daemon is killed, or at one
    call with which it writes down which sinks there are.
    """
    for extra in ("drain", "discard", ""):
        if extra == "discard" and rng.random() < 0.5:
            continue
        _configure(site, extra)
        disk = site.disk
        site.daemon.expecting += 1
        if disk is not None and rng.random() < 0.4:
            disk.arm(rng.choice(KILLS), steps=Step.SINKS, before=rng.randrange(4))
        process = site.daemon.process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGHUP)
        await asyncio.sleep(rng.uniform(0.0, 0.3))
        await site.daemon.kill()
        site.daemon.expecting -= 1
        if disk is not None:
            disk.disarm()
        await asyncio.sleep(rng.uniform(0.0, 1.5))


def _configure(site: Site, extra: str) -> None:
    fresh = site.folder / "fresh.yaml"
    fresh.write_text(configuration(site, site.buffer_mib, extra=extra))
    fresh.chmod(0o600)
    fresh.replace(site.folder / "shipper.yaml")
