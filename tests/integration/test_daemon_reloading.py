"""Reading the configuration again: checked whole, taken over whole or not at all, and said either way."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from shipper.config import apart
from shipper.config.digest import digest
from shipper.config.examined import Examined
from shipper.config.load import examine_as_held, load
from shipper.config.watching import Watch
from shipper.daemon.changes import Changes, Version
from shipper.daemon.reloading import Reloading
from shipper.errors import BufferUnavailable, ConfigError
from tests.fakes.meter import FakeMeter

CONFIG = """\
ignite:
  endpoint: grpcs://rpc.dodil.io
  organization: acme
  auth: {{type: token, token: "${{file:{token}}}"}}
sinks:
  debug: {{type: stdout}}
"""


@dataclass
class Daemon:
    """Takes over what it is given, after `seconds`, or raises the next of `troubles`."""

    folder: Path
    text: str = ""
    troubles: list[Exception] = field(default_factory=list)
    applied: list[Changes] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    meter: FakeMeter = field(default_factory=FakeMeter)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def file(self) -> Path:
        return self.folder / "shipper.yaml"

    @property
    def token(self) -> Path:
        return self.folder / "token"

    def write(self, more: str = "", *, token: str = "hunter22") -> None:
        for path, text in ((self.token, token), (self.file, CONFIG.format(token=self.token) + more)):
            beside = path.with_suffix(".new")
            beside.write_text(text)
            beside.chmod(0o600)
            beside.replace(path)

    async def apply(self, before: Version, after: Version, changes: Changes) -> None:
        self.begun.set()
        if self.hold is not None:
            await self.hold.wait()
        if self.troubles:
            raise self.troubles.pop(0)
        self.applied.append(changes)

    def level(self, series: str, *labels: str) -> float:
        return self.meter.levels[series, *labels]

    async def until_told(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.told) < count:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running(folder: Path, *, watches: bool = False) -> AsyncIterator[tuple[Daemon, Reloading]]:
    daemon = Daemon(folder)
    daemon.write()
    reloading = Reloading(
        daemon.file,
        Version(load(daemon.file, {})),
        daemon.apply,
        daemon.asked,
        daemon.meter,
        lambda _, problem: daemon.told.append(problem),
        watches=watches,
        environ={},
        clock=lambda: 1_790_000_000.0,
        watch=Watch(every_s=0.01),
        examine=examine_as_held,
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(reloading.run(), name="reloading")
        while reloading.in_force.contents == {}:  # it looks once by itself
            await asyncio.sleep(0.005)
        try:
            yield daemon, reloading
        finally:
            task.cancel()


async def test_the_start_counts_as_taken_over(tmp_path: Path) -> None:
    async with running(tmp_path) as (daemon, reloading):
        assert daemon.level("config_last_reload_successful") == 1
        assert daemon.level("config_last_reload_success_timestamp_seconds") == 1_790_000_000
        assert daemon.level("config_info", digest(reloading.in_force.settings)) == 1


async def test_what_is_asked_for_is_read_checked_and_taken_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(tmp_path) as (daemon, reloading):
        first = digest(reloading.in_force.settings)
        daemon.write("log: {level: debug}\n")
        daemon.asked.set()
        await daemon.until_told(1)
        assert daemon.applied == [Changes(log=True)]
        assert reloading.in_force.settings.log.level == "debug"
        assert ("config_info", first) not in daemon.meter.levels
        assert daemon.level("config_info", digest(reloading.in_force.settings)) == 1
    assert "read again: SIGHUP" in caplog.text
    assert "in force: the log" in caplog.text


async def test_a_wrong_configuration_changes_nothing_and_says_all_that_is_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each problem with its place; until the next one is right, the metric says so."""
    async with running(tmp_path) as (daemon, reloading):
        before = reloading.in_force.settings
        daemon.write("log: {level: loud}\ncollekt: {}\n")
        daemon.asked.set()
        await daemon.until_told(1)
        assert reloading.in_force.settings == before
        assert daemon.applied == []
        assert daemon.level("config_last_reload_successful") == 0
        assert daemon.told[0].endswith("(and 1 more)")
        assert f"{daemon.file}:7:14: log.level" in caplog.text
        assert f"{daemon.file}:8:1: collekt" in caplog.text
        daemon.write()
        daemon.asked.set()
        await daemon.until_told(2)
        assert daemon.level("config_last_reload_successful") == 1
        assert daemon.told[1] == ""


@pytest.mark.parametrize(
    "trouble",
    [
        OSError(98, "telemetry.listen: cannot listen"),
        ConfigError(()),
        BufferUnavailable("the disk refuses"),
        ValueError("63 sinks"),
        RuntimeError("a bug"),
    ],
)
async def test_a_part_that_cannot_be_made_leaves_the_configuration_before_in_force(
    tmp_path: Path, trouble: Exception
) -> None:
    """The next attempt finds the same differences."""
    async with running(tmp_path) as (daemon, reloading):
        before = reloading.in_force.settings
        daemon.troubles = [trouble]
        daemon.write("log: {level: debug}\n")
        daemon.asked.set()
        await daemon.until_told(1)
        assert reloading.in_force.settings == before
        assert daemon.told[0] != ""
        assert daemon.level("config_last_reload_successful") == 0
        daemon.asked.set()
        await daemon.until_told(2)
        assert daemon.applied == [Changes(log=True)]


async def test_a_storm_of_signals_during_a_reload_is_one_more_reload(tmp_path: Path) -> None:
    async with running(tmp_path) as (daemon, _):
        daemon.hold = asyncio.Event()
        daemon.write("log: {level: debug}\n")
        daemon.asked.set()
        await daemon.begun.wait()
        for _ in range(1000):
            daemon.asked.set()
            await asyncio.sleep(0)
        daemon.write("log: {level: error}\n")
        daemon.hold.set()
        await daemon.until_told(2)
        await asyncio.sleep(0.05)
        assert len(daemon.told) == 2
        assert daemon.applied == [Changes(log=True)] * 2


async def test_the_same_configuration_is_taken_over_without_a_change(tmp_path: Path) -> None:
    async with running(tmp_path) as (daemon, _):
        daemon.write()
        daemon.asked.set()
        await daemon.until_told(1)
        assert (daemon.applied, daemon.told) == ([], [""])


async def test_what_only_a_start_can_change_is_said_and_not_forgotten(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when the next reload is about something else; taken back, it is not said any more."""
    async with running(tmp_path) as (daemon, _):
        for number, (text, said) in enumerate(
            [
                ("buffer: {path: elsewhere}\n", True),
                ("buffer: {path: elsewhere}\nlog: {level: debug}\n", True),
                ("log: {level: debug}\n", False),
            ],
            1,
        ):
            caplog.clear()
            daemon.write(text)
            daemon.asked.set()
            await daemon.until_told(number)
            await asyncio.sleep(0)
            assert ("at the next start of the daemon: buffer.path" in caplog.text) is said


# ---- files ----


async def test_changed_files_count_as_asking(tmp_path: Path) -> None:
    """The configuration, and a secret that it names; a file that comes and goes with a setting too."""
    async with running(tmp_path, watches=True) as (daemon, reloading):
        await asyncio.sleep(0.1)
        assert daemon.told == []
        daemon.write(token="changed")
        await daemon.until_told(1)
        assert daemon.applied == [Changes(tokens=True)]
        secret = tmp_path / "secret"
        daemon.write(f"telemetry: {{sentry_dsn: '${{file:{secret}}}'}}\n", token="changed")
        await daemon.until_told(2)
        assert "there is no file" in daemon.told[1]
        secret.write_text("https://key@localhost/1")
        secret.chmod(0o600)
        await daemon.until_told(3)
        assert daemon.told[2] == ""
        assert secret in reloading.watch.files
        daemon.write(token="changed")
        await daemon.until_told(4)
        assert secret not in reloading.watch.files
        secret.write_text("nobody looks")
        await asyncio.sleep(0.1)
        assert len(daemon.told) == 4


async def test_a_wrong_file_is_read_once_and_not_again_and_again(tmp_path: Path) -> None:
    async with running(tmp_path, watches=True) as (daemon, _):
        daemon.write("nonsense: 1\n")
        await daemon.until_told(1)
        await asyncio.sleep(0.1)
        assert len(daemon.told) == 1


async def test_a_file_that_changed_while_the_daemon_was_starting_is_taken_over(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write()
    settings = apart.examine(daemon.file, {}).settings
    assert settings is not None
    began = Version(settings)
    daemon.write("log: {level: debug}\n")
    reloading = Reloading(
        daemon.file, began, daemon.apply, daemon.asked, daemon.meter, lambda *_: daemon.told.append("")
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(reloading.run(), name="reloading")
        await daemon.until_told(1)
        task.cancel()
    assert daemon.applied == [Changes(log=True)]


async def test_files_that_hold_what_was_read_are_not_read_again_but_watched(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    daemon.write()
    examined = examine_as_held(daemon.file, {})
    assert examined.settings is not None
    read: list[Path] = []

    def noted(file: Path, environ: Mapping[str, str], also: Iterable[Path]) -> Examined:
        read.append(file)
        return examine_as_held(file, environ, also)

    reloading = Reloading(
        daemon.file,
        Version(examined.settings, examined.contents),
        daemon.apply,
        daemon.asked,
        daemon.meter,
        lambda _, problem: daemon.told.append(problem),
        watch=Watch(every_s=0.01),
        examine=noted,
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(reloading.run(), name="reloading")
        async with asyncio.timeout(30):
            while not reloading.watch.files:
                await asyncio.sleep(0.005)
        assert read == []
        daemon.write("log: {level: debug}\n")
        await daemon.until_told(1)
        task.cancel()
    assert read == [daemon.file]
    assert daemon.applied == [Changes(log=True)]


async def test_a_configuration_that_came_through_a_pipe_cannot_be_read_again(tmp_path: Path) -> None:
    """Opening it would wait for ever for a writer."""
    daemon = Daemon(tmp_path)
    daemon.write()
    began = Version(load(daemon.file, {}))
    daemon.file.unlink()
    os.mkfifo(daemon.file)
    reloading = Reloading(
        daemon.file,
        began,
        daemon.apply,
        daemon.asked,
        daemon.meter,
        lambda _, problem: daemon.told.append(problem),
        watch=Watch(every_s=0.01),
    )
    async with asyncio.TaskGroup() as group:
        task = group.create_task(reloading.run(), name="reloading")
        await asyncio.sleep(0.1)
        assert daemon.told == []
        daemon.asked.set()
        await daemon.until_told(1)
        task.cancel()
    assert "pipe" in daemon.told[0]


async def test_a_configuration_that_is_gone_is_a_problem_and_no_end(tmp_path: Path) -> None:
    async with running(tmp_path, watches=True) as (daemon, _):
        await asyncio.sleep(0.05)
        daemon.file.unlink()
        await daemon.until_told(1)
        assert "cannot be read" in daemon.told[0]
        daemon.write("log: {level: debug}\n")
        await daemon.until_told(2)
        assert daemon.told[1] == ""
