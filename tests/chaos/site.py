"""Everything of one run that faults act on: the platform, the way to it, the sinks, the daemon, and the folders."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from shipper.emulator import Emulator
from tests.chaos.daemon import Daemon
from tests.chaos.faulty_disk import FaultyDisk
from tests.chaos.mounts import LoopDisk
from tests.chaos.plan import Plan
from tests.chaos.printing import Printer
from tests.chaos.stores import SteppedProxy
from tests.chaos.wire import Wire
from tests.servers.datadog_intake import DatadogIntake
from tests.servers.s3 import Store
from tests.servers.sentry_stub import SentryStub


@dataclass
class Site:
    """What is there depends on the plan: `store` and `proxy` with a sink of type s3, and so on."""

    plan: Plan
    folder: Path
    ignite: Emulator
    wire: Wire
    printer: Printer
    daemon: Daemon
    store: Store | None = None
    proxy: SteppedProxy | None = None
    datadog: DatadogIntake | None = None
    sentry: SentryStub | None = None
    disk: FaultyDisk | None = None
    buffer_disk: LoopDisk | None = None
    archive_disk: LoopDisk | None = None
    buffer_mib: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def buffer(self) -> Path:
        """The folder of the buffer."""
        return self.folder / "buffer"

    @property
    def archive(self) -> Path:
        """The folder of the directory sink."""
        return self.folder / "archive"

    @property
    def extra(self) -> Path:
        """The folder of a sink that reloads add and remove."""
        return self.folder / "extra"

    @property
    def clock(self) -> Path:
        """The file that libfaketime reads."""
        return self.folder / "clock"

    async def abort(self, disk: LoopDisk, for_s: float) -> None:
        """Nothing can be written to it any more; after a while the daemon is killed, the file system mounted anew, and
        the daemon started.
        """
        if not disk.abort():
            self.note("a file system could not be aborted")
            return
        await asyncio.sleep(for_s)
        async with self.daemon.held():
            if not await asyncio.to_thread(disk.mend):
                self.note("VIOLATION: a file system could not be mounted again")

    def note(self, text: str) -> None:
        """For whoever reads the run: what could not be done here, and what a fault met."""
        self.notes.append(text)
