"""Sets up the site of a run: the platform, the way to it, the sinks, the disks, and a daemon that is not started."""

from __future__ import annotations

import os
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
from tests.chaos.faulty_disk import FaultyDisk, build
from tests.chaos.plan import Plan
from tests.chaos.printing import Printer
from tests.chaos.site import Site
from tests.chaos.stores import SteppedProxy, store
from tests.chaos.wire import Wire
from tests.servers.datadog_intake import DatadogIntake
from tests.servers.sentry_stub import sentry_stub

BUFFER_MIB: Final = 24
SMALL_BUFFER_MIB: Final = 16
ARCHIVE_MIB: Final = 64
MEMORY_LIMIT: Final = 160 * 1024 * 1024
_FAKETIME: Final = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
_CGROUPS: Final = (Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup"))


@asynccontextmanager
async def made(plan: Plan, folder: Path) -> AsyncIterator[Site]:
    """Everything of it goes when the block ends; files stay in the folder."""
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
        daemon = Daemon(folder, "", folder / "buffer", {}, _cgroup(plan, stack))
        site = Site(plan, folder, ignite, wire, printer, daemon)
        if "s3" in plan.sinks:
            site.store = stack.enter_context(store(plan.store, folder))
            site.proxy = await stack.enter_async_context(SteppedProxy(site.store.endpoint_url))
        if "datadog" in plan.sinks:
            site.datadog = await stack.enter_async_context(DatadogIntake())
        if "sentry" in plan.sinks:
            site.sentry = await stack.enter_async_context(sentry_stub())
        _mount(site, stack)
        stack.push_async_callback(daemon.make_sure_it_is_gone)  # before what it has open is unmounted
        site.disk = _faulty_disk(site)
        daemon.environment = _environment(site)
        site.buffer_mib = SMALL_BUFFER_MIB if _small(plan) else BUFFER_MIB
        daemon.configuration = configuration(site, site.buffer_mib)
        yield site


def _small(plan: Plan) -> bool:
    return any(fault.startswith("buffer_full") for fault in plan.faults)


def _mount(site: Site, stack: AsyncExitStack) -> None:
    """Small file systems where a fault wants to fill them or to make them read-only."""
    plan, folder = site.plan, site.folder
    for name, fault in (("buffer", "disk_full_buffer"), ("archive", "disk_full_archive")):
        path = folder / name
        path.mkdir()
        size = BUFFER_MIB + 8 if name == "buffer" else 32
        if plan.has(fault) and mounts.mount(path, f"size={size}m,mode=700"):
            stack.callback(mounts.unmount, path)
    if plan.has("buffer_read_only"):
        site.buffer_disk = mounts.LoopDisk.make(folder / "buffer.ext4", site.buffer, BUFFER_MIB + 24)
        stack.callback(mounts.unmount, site.buffer)
    if plan.has("archive_read_only"):
        site.archive_disk = mounts.LoopDisk.make(folder / "archive.ext4", site.archive, ARCHIVE_MIB)
        stack.callback(mounts.unmount, site.archive)


def _faulty_disk(site: Site) -> FaultyDisk | None:
    """Where a fault of the plan needs it, and there is a compiler."""
    if not any(FAULTS[name].disk for name in site.plan.faults):
        return None
    library = build(site.folder)
    if library is None:
        return None
    return FaultyDisk(library, site.folder, buffer=site.buffer, archive=site.archive)


def _environment(site: Site) -> dict[str, str]:
    """What is preloaded: the disk that fails, and libfaketime where the clock is to step, the wall clock alone."""
    environment = {} if site.disk is None else dict(site.disk.environment)
    if site.plan.has("clock_step") and _FAKETIME.exists():
        site.clock.write_text("+0\n")
        environment |= {
            "LD_PRELOAD": " ".join(filter(None, (environment.get("LD_PRELOAD", ""), str(_FAKETIME)))),
            "FAKETIME_TIMESTAMP_FILE": str(site.clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
    return environment


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
