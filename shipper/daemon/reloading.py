"""Reading the configuration again, when asked to or when a file has changed, and what came of it."""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shipper.config import apart
from shipper.config.contents import files_of
from shipper.config.digest import digest
from shipper.config.examined import Examined
from shipper.config.watching import Watch
from shipper.daemon.changes import Changes, Version, at_next_start, changes
from shipper.errors import Problem, Severity, ShipperError
from shipper.meter import Meter

if TYPE_CHECKING:
    from shipper.config.settings import Settings

log = logging.getLogger("shipper.daemon")

Apply = Callable[[Version, Version, Changes], Awaitable[None]]
"""Puts a version in force in place of another. Raises ShipperError, OSError or ValueError; then nothing has changed."""
Examine = Callable[[Path, Mapping[str, str], Iterable[Path]], Examined]
"""Reads a configuration and says what the files held before: as `apart.examine`. Called in a thread, for it waits."""
Told = Callable[[float, str], None]
"""Is told when a reload was attempted (Unix seconds), and why it was refused; "" where it was not."""


@dataclass(slots=True)
class Reloading:
    """The configuration in force and whatever takes its place. `run` is one task.

    A configuration with an error, or of which a part cannot be made, changes nothing. `asked` is set from outside; what
    is asked while a reload is under way is done once, after it. `watches`: a change of a file counts as asking.
    """

    file: Path
    in_force: Version
    apply: Apply
    asked: asyncio.Event
    meter: Meter
    told: Told
    watches: bool = True
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Callable[[], float] = time.time
    watch: Watch = field(default_factory=Watch)
    examine: Examine = apart.examine
    _began: Settings = field(init=False)
    _shown: str = ""

    def __post_init__(self) -> None:
        self._began = self.in_force.settings
        self._succeeded()

    async def run(self) -> None:
        """Until cancelled."""
        if self._can_be_read_again():
            await self._begin()
        while True:
            why = await self._until_wanted()
            self.asked.clear()
            log.info("the configuration is read again: %s", why, extra={"config": str(self.file)})
            await self._reload()

    async def _begin(self) -> None:
        """See what the configuration in force was made of. It may have changed since it was read."""
        contents = self.in_force.contents
        if contents and contents == await self.watch.look(contents):
            return
        examined, version = await self._read()
        if version is not None and not changes(
            self.in_force, Version(version.settings, self.in_force.contents)
        ):
            self.in_force = version
        else:
            await self._take(examined, version)

    async def _until_wanted(self) -> str:
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(self.asked.wait(), name="reload: asked")
            wanted: set[asyncio.Task[object]] = {asked}
            if self.watches and self._can_be_read_again():
                wanted.add(group.create_task(self.watch.changed(), name="reload: files"))
            await asyncio.wait(wanted, return_when=asyncio.FIRST_COMPLETED)
            for task in wanted:
                task.cancel()
        return "SIGHUP" if self.asked.is_set() else "it, or a file that it names, has changed"

    def _can_be_read_again(self) -> bool:
        """Not so a pipe: whoever wrote to it is gone."""
        try:
            return not stat.S_ISFIFO(self.file.stat().st_mode)
        except OSError:
            return True  # reading it says what is wrong

    # ---- reading ----

    async def _reload(self) -> None:
        if not self._can_be_read_again():
            self._refused("the configuration came through a pipe, which cannot be read again")
            return
        await self._take(*await self._read())

    async def _read(self) -> tuple[Examined, Version | None]:
        """What the file says, and what the files that it names held before they were read."""
        files = {self.file} | files_of(self.in_force.settings)
        examined = await asyncio.to_thread(self.examine, self.file, self.environ, self.watch.files | files)
        named = files | examined.files | files_of(examined.settings)
        self.watch.known = {file: content for file, content in examined.contents.items() if file in named}
        settings = examined.settings
        return examined, None if settings is None else Version(settings, examined.contents)

    # ---- taking over ----

    async def _take(self, examined: Examined, version: Version | None) -> None:
        for problem in examined.problems:
            log.log(_LEVELS[problem.severity], "%s", problem)
        if version is None:
            self._refused(_summary(examined.problems))
            return
        found = changes(self.in_force, version)
        try:
            if found:
                await self.apply(self.in_force, version, found)
        except (ShipperError, OSError, ValueError) as error:
            self._refused(str(error) or type(error).__name__)
            return
        except Exception as error:
            log.exception("putting another configuration in force failed, which is a fault in shipper")
            self._refused(f"a fault in shipper: {type(error).__name__}")
            return
        self.in_force = version
        self._succeeded()
        self.told(self.clock(), "")
        log.info("the configuration is in force: %s", found.said() if found else "it says the same as before")
        if waiting := at_next_start(self._began, version.settings):
            log.warning("takes effect at the next start of the daemon: %s", ", ".join(waiting))

    def _succeeded(self) -> None:
        self.meter.level("config_last_reload_successful", 1)
        self.meter.level("config_last_reload_success_timestamp_seconds", self.clock())
        shown = digest(self.in_force.settings)
        if shown != self._shown:
            if self._shown:
                self.meter.forget("config_info", self._shown)
            self.meter.level("config_info", 1, shown)
            self._shown = shown

    def _refused(self, why: str) -> None:
        self.meter.level("config_last_reload_successful", 0)
        self.told(self.clock(), why)
        log.error("the configuration is not taken over, the one before stays in force: %s", why)


_LEVELS: Final = {Severity.ERROR: logging.ERROR, Severity.WARNING: logging.WARNING}


def _summary(problems: Sequence[Problem]) -> str:
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{errors[0]}{more}" if errors else "it cannot be used"
