"""Faults of the machine: kills, stops, full disks, clocks and memory."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.chaos.mounts import remount

if TYPE_CHECKING:
    from tests.chaos.site import Site

BALLAST: Final = "ballast"
REACHED_WITHIN_S: Final = 8.0
SECOND_ENDS_WITHIN_S: Final = 45.0


async def kill_random(site: Site, rng: random.Random) -> None:
    """Whatever it is doing, also while it starts."""
    for _ in range(3):
        await site.daemon.kill(down_s=rng.choice([0.0, 0.0, 0.5]))
        await asyncio.sleep(rng.uniform(0.1, 2.5))


async def kill_upload(site: Site, rng: random.Random) -> None:
    """The object is not there, its batch is sealed."""
    await _kill_at(site, "on_read")


async def kill_stored(site: Site, rng: random.Random) -> None:
    """The object is there, and nobody was told."""
    await _kill_at(site, "on_stored")


async def kill_answered(site: Site, rng: random.Random) -> None:
    """The daemon was told, and is about to write that down."""
    await _kill_at(site, "on_answered")


async def _kill_at(site: Site, step: str) -> None:
    """Twice. An upload that never gets there within some seconds is told in the notes."""
    assert site.proxy is not None
    for _ in range(2):
        reached = asyncio.Event()

        async def there(reached: asyncio.Event = reached) -> None:
            process = site.daemon.process
            if process is not None and process.returncode is None:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGKILL)
            reached.set()

        setattr(site.proxy, step, there)
        site.daemon.expecting += 1
        try:
            await asyncio.wait_for(reached.wait(), REACHED_WITHIN_S)
        except TimeoutError:
            setattr(site.proxy, step, None)
            site.note(f"no upload came to {step}")
        else:
            await site.daemon.kill()
        finally:
            site.daemon.expecting -= 1


async def sigterm(site: Site, rng: random.Random) -> None:
    """Once or twice."""
    for _ in range(rng.randint(1, 2)):
        await site.daemon.restart(down_s=rng.choice([0.0, 0.5]))
        await asyncio.sleep(rng.uniform(0.2, 1.5))


async def sigstop(site: Site, rng: random.Random) -> None:
    """It comes back to streams that are full or gone."""
    if rng.random() < 0.5:
        await site.daemon.stop_for(rng.uniform(2.0, 4.0))
    else:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(site.daemon.stop_for(rng.uniform(2.0, 4.0)), name="stopped")
            await asyncio.sleep(0.5)
            site.wire.reset()


async def sigstop_minute(site: Site, rng: random.Random) -> None:
    """Longer than every timeout of a platform, of a store and of ours."""
    await site.daemon.stop_for(60.0)


async def second_daemon(site: Site, rng: random.Random) -> None:
    """It must refuse, and not disturb the first."""
    with (site.folder / "second.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "shipper", "run", "--config", str(site.folder / "shipper.yaml"),
            stdout=log, stderr=log, env={**os.environ, **site.daemon.environment},
        )  # fmt: skip
    try:
        status = await asyncio.wait_for(process.wait(), SECOND_ENDS_WITHIN_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        status = -signal.SIGKILL
    if status != 1:
        site.note(f"VIOLATION: a second daemon on the buffer ended with {status}")


async def disk_full_buffer(site: Site, rng: random.Random) -> None:
    """Not a byte is left, then there is room again."""
    await _fill(site, site.buffer, rng)


async def disk_full_archive(site: Site, rng: random.Random) -> None:
    """The same where the directory sink writes."""
    await _fill(site, site.archive, rng)


async def _fill(site: Site, folder: Path, rng: random.Random) -> None:
    if not folder.is_mount():
        site.note(f"{folder.name}: no tmpfs could be mounted; its disk was not filled")
        return
    ballast = folder / BALLAST
    try:
        with ballast.open("wb", buffering=0) as file:
            with suppress(OSError):
                while True:
                    file.write(b"\0" * 65536)
            with suppress(OSError):
                while True:
                    file.write(b"\0" * 512)
        await asyncio.sleep(rng.uniform(1.0, 3.0))
    finally:
        ballast.unlink(missing_ok=True)


async def archive_read_only(site: Site, rng: random.Random) -> None:
    """As somebody does who mounts it so; or as one that met an error, which is mended while the daemon is down."""
    folder, disk = site.archive, site.archive_disk
    if disk is None:
        site.note("archive: no file system could be mounted; it was not made read-only")
    elif rng.random() < 0.5 and not site.plan.has("second_daemon"):
        await site.abort(disk, rng.uniform(0.5, 2.5))
    else:
        await _remounted(site, folder, rng.uniform(0.5, 2.5))


async def _remounted(site: Site, folder: Path, for_s: float) -> None:
    """The kernel refuses while a file is open for writing: tried until it does not."""
    for _ in range(200):
        if remount(folder, "ro"):
            break
        await asyncio.sleep(0.005)
    else:
        site.note("archive: it was always busy; it was not made read-only")
    try:
        await asyncio.sleep(for_s)
    finally:
        remount(folder, "rw")


async def clock_step(site: Site, rng: random.Random) -> None:
    """Forwards and backwards, by seconds to hours, and back to what is right, or nearly."""
    if "LD_PRELOAD" not in site.daemon.environment:
        site.note("libfaketime is not installed; the clock did not step")
        return
    for _ in range(rng.randint(1, 3)):
        step = rng.choice([-7200, -90, -5, 5, 90, 7200])
        _set_clock(site.clock, step)
        await asyncio.sleep(rng.uniform(0.3, 0.8))
        if rng.random() < 0.5:
            site.wire.reset()
    _set_clock(
        site.clock, rng.choice([0, -90, 90])
    )  # an S3 server takes nothing from a clock that is hours off


def _set_clock(path: Path, step_s: int) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(f"{step_s:+d}\n")
    fresh.rename(path)


async def memory_limit(site: Site, rng: random.Random) -> None:
    """The limit is there from the start; now much is printed, and everything is replayed."""
    if site.daemon.cgroup is None:
        site.note("no cgroup could be made; memory was not limited")
    burst, padding = site.printer.burst, site.printer.padding
    site.printer.burst, site.printer.padding = 4 * burst, 900
    await asyncio.sleep(1.0)
    site.wire.reset()
    await asyncio.sleep(1.0)
    site.printer.burst, site.printer.padding = burst, padding
