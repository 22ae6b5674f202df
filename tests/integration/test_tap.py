"""`shipper tap` through the control socket, beside an intake that commits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shipper import cli
from shipper.archive.codec import BuildIdentity, LogIdentity, encode_event
from shipper.collect.cursor import Cursor
from shipper.collect.intake import Intake
from shipper.control.client import CommandFailed, ask, reach
from shipper.control.server import ControlServer
from shipper.control.tapping import tap_calls
from shipper.control.taps import MOST_TAPS, Show, Taps
from shipper.control.wire import Answer
from shipper.model import App, Codec, GapReason
from tests.fakes.durable import FakeDurable
from tests.fakes.meter import FakeMeter

NOW_MS = 1_790_000_000_000
CONFIG = """\
ignite:
  endpoint: grpcs://localhost:1
  organization: acme
  auth: {{type: none}}
buffer: {{path: {path}, max_size: 64MiB}}
sinks:
  archive: {{type: directory, path: out}}
"""


@dataclass
class Daemon:
    """What of the daemon matters here: an intake, and the socket beside its buffer."""

    path: Path
    intake: Intake
    taps: Taps
    cursor: Cursor = field(default_factory=lambda: Cursor('["logs","acme","checkout","c-1"]'))

    def prints(self, *lines: str, app: str = "checkout", replica: str = "c-1") -> None:
        identity = LogIdentity("acme", app, replica)
        times = [NOW_MS + number for number in range(len(lines))]
        self.intake.take_logs(identity, times, ["stdout"] * len(lines), lines, self.cursor)

    async def tapped(self, count: int = 1) -> None:
        async with asyncio.timeout(5):
            while len(self.taps) != count:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def daemon(path: Path, *, idle_s: float = 5.0, patience_s: float = 5.0) -> AsyncIterator[Daemon]:
    intake = Intake(FakeDurable(lambda: NOW_MS), Codec.NONE, FakeMeter())

    def tapped(show: Show | None) -> None:
        intake.tap = show

    taps = Taps(tapped)
    server = ControlServer(path, tap_calls(taps, idle_s=idle_s), patience_s=patience_s)
    path.mkdir(exist_ok=True)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(server.run(), name="control")
        committing = group.create_task(intake.run(), name="intake")
        async with asyncio.timeout(5):
            while (connection := reach(path)) is None:
                await asyncio.sleep(0.001)
            connection.close()
        yield Daemon(path, intake, taps)
        serving.cancel()
        committing.cancel()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "shipper.yaml"
    file.write_text(CONFIG.format(path=tmp_path / "buffer"))
    return file


async def tap(config: Path, *words: str) -> int:
    return await asyncio.to_thread(cli.main, ["tap", "--config", str(config), *words])


async def test_records_are_shown_as_they_pass_until_the_limit(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with daemon(tmp_path / "buffer", idle_s=0.05) as it:
        tapping = asyncio.create_task(tap(config, "--limit", "3"))
        await it.tapped()
        it.prints("one", "two", "three", "four")
        assert await tapping == 0
        await it.tapped(0)
        assert it.intake.tap is None, "nobody taps: a commit pays for one look at an attribute"
    assert capsys.readouterr().out.splitlines() == [
        "14:13:20.000 checkout/c-1 out  one",
        "14:13:20.001 checkout/c-1 out  two",
        "14:13:20.002 checkout/c-1 out  three",
    ]


async def test_what_is_meant_is_chosen_in_the_daemon(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with daemon(tmp_path / "buffer") as it:
        tapping = asyncio.create_task(
            tap(config, "--app", "mail*", "--replica", "m-2", "--match", "^time ?out", "--limit", "1")
        )
        await it.tapped()
        it.prints("timeout of another app")
        it.prints("timeout of another replica", app="mailer", replica="m-1")
        it.prints("no time out here", "timeout 1", app="mailer", replica="m-2")
        assert await tapping == 0
    assert capsys.readouterr().out == "14:13:20.001 mailer/m-2 out  timeout 1\n"


async def test_every_kind_is_shown_in_words_and_as_json(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    app = App("acme", "checkout")

    def happen(it: Daemon) -> None:
        event = encode_event(
            app, timestamp_ms=NOW_MS, replica_id="c-1", kind="OOM_KILLED", reason="OOMKilling",
            message="out of memory", count=None, severity="Warning",
        )  # fmt: skip
        it.intake.take_event(app, NOW_MS, event, it.cursor)
        it.intake.gap(app, GapReason.ROTATED, NOW_MS, NOW_MS, replica_id="c-1", detail="too late")
        identity = BuildIdentity("acme", "checkout", build_id="b-1", source="build")
        it.intake.take_build(identity, [NOW_MS], [b"Step 1/7"], it.cursor)

    async with daemon(tmp_path / "buffer") as it:
        tapping = asyncio.create_task(
            tap(config, "--kind", "events", "--kind", "gaps", "--kind", "builds", "--limit", "3")
        )
        await it.tapped()
        it.prints("a line is not asked for")
        happen(it)
        assert await tapping == 0
        out = capsys.readouterr().out.splitlines()
        assert "checkout/c-1 event  OOM_KILLED OOMKilling: out of memory" in out[0]
        assert "checkout/c-1 gap  rotated: an unknown number of logs, too late" in out[1]
        assert "checkout/b-1 build  Step 1/7" in out[2]
        tapping = asyncio.create_task(tap(config, "--kind", "gaps", "--output", "json", "--limit", "1"))
        await it.tapped()
        happen(it)
        assert await tapping == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["kind"], answer["record"]["reason"]) == ("gaps", "rotated")


@pytest.mark.parametrize("output", ["text", "json"])
async def test_what_apps_print_does_nothing_to_a_terminal(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\r\x00\x9b31m \u202egnp.exe \u2028 \ud83d\ude80"
    async with daemon(tmp_path / "buffer") as it:
        tapping = asyncio.create_task(tap(config, "--output", output, "--limit", "1"))
        await it.tapped()
        it.prints(hostile, replica="\x1b[31mc")
        assert await tapping == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.isprintable()


async def test_a_reader_that_is_too_slow_is_told_how_much_it_missed_and_holds_nobody(tmp_path: Path) -> None:
    async with daemon(tmp_path / "buffer", idle_s=0.05, patience_s=20) as it:
        connection = reach(it.path)
        assert connection is not None
        seen: list[Answer] = []
        answers = ask(connection, {"call": "tap"})
        assert await asyncio.to_thread(next, answers) == {"tapping": True}
        line = "x" * 10_000
        total = 0
        for _ in range(5):  # 15 MB, while nobody reads
            it.prints(*[line] * 300)
            total += 300
            async with asyncio.timeout(2):
                await it.intake.settled()
        while sum(len(one.get("records", ())) + one.get("left_out", 0) for one in seen) < total:
            seen.append(await asyncio.to_thread(next, answers))
        await asyncio.to_thread(_close, answers)
        missed = sum(one.get("left_out", 0) for one in seen)
        assert 0 < missed < total
        await it.tapped(0)


async def test_a_reader_that_leaves_is_noticed_even_if_nothing_passes(tmp_path: Path) -> None:
    async with daemon(tmp_path / "buffer", idle_s=0.05) as it:
        connection = reach(it.path)
        assert connection is not None
        answers = ask(connection, {"call": "tap", "app": "nothing"})
        await asyncio.to_thread(next, answers)
        await it.tapped(1)
        await asyncio.to_thread(_close, answers)
        await it.tapped(0)


async def test_there_are_few_taps_at_a_time_so_that_other_commands_find_a_place(tmp_path: Path) -> None:
    async with daemon(tmp_path / "buffer", idle_s=0.05) as it:
        with _Open(it.path, MOST_TAPS):
            await it.tapped(MOST_TAPS)
            with pytest.raises(CommandFailed, match="taps are open already"):
                await asyncio.to_thread(_first, it.path, {"call": "tap"})
        await it.tapped(0)


@pytest.mark.parametrize(
    "request_",
    [
        {"call": "tap", "kinds": ["lines"]},
        {"call": "tap", "kinds": "logs"},
        {"call": "tap", "match": "("},
        {"call": "tap", "match": "(?=x)"},
        {"call": "tap", "app": 7},
        {"call": "tap", "apps": "x"},
    ],
)
async def test_a_request_that_is_not_understood_is_refused(tmp_path: Path, request_: dict[str, Any]) -> None:
    async with daemon(tmp_path / "buffer") as it:
        with pytest.raises(CommandFailed):
            await asyncio.to_thread(_first, it.path, request_)
        assert len(it.taps) == 0


async def test_without_a_daemon_there_is_nothing_to_tap(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await tap(config) == 1
    assert "no daemon runs on the buffer in" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--kind", "lines"], ["--limit", "0"], ["--output", "yaml"], ["--limit", "x"]]
)
async def test_misuse_is_status_2(config: Path, words: list[str]) -> None:
    assert await tap(config, *words) == 2


def _first(path: Path, request: dict[str, Any]) -> Answer:
    connection = reach(path)
    assert connection is not None
    with closing(connection):
        return next(ask(connection, request))


def _close(answers: Any) -> None:
    answers.close()


class _Open:
    """So many taps at once."""

    def __init__(self, path: Path, count: int) -> None:
        self.connections = [reach(path) for _ in range(count)]

    def __enter__(self) -> None:
        for connection in self.connections:
            assert connection is not None
            connection.sendall(b'{"call": "tap"}\n')

    def __exit__(self, *_: object) -> None:
        for connection in self.connections:
            with suppress(OSError):
                assert connection is not None
                connection.close()
