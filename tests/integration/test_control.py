"""The control socket and `shipper deadletter`, with a real buffer: through a daemon, and without one."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from shipper import cli
from shipper.buffer import Buffer, LetterFilter, WhenFull
from shipper.control.client import CommandFailed, ask, reach
from shipper.control.letters import letter_calls
from shipper.control.place import LONGEST_ADDRESS, NAME
from shipper.control.server import CONNECTIONS, ControlServer
from shipper.control.wire import Answer, Request
from shipper.meter import Unmetered
from shipper.model import Codec, DeadLetter, Kind, Partition

NOW_MS = 1_790_000_000_000
CONFIG = """\
ignite:
  endpoint: grpcs://localhost:1
  organization: acme
  auth: {{type: none}}
buffer: {{path: {path}, max_size: 64MiB}}
sinks:
  archive: {{type: directory, path: out}}
  errors: {{type: directory, path: out2}}
"""


def letter(number: int, sink: str = "errors", reason: str = "400 Bad Request", line: str = "") -> DeadLetter:
    record = json.dumps({"timestamp_ms": NOW_MS, "line": line or f"line {number}"}).encode() + b"\n"
    partition = Partition(Kind.LOGS, "acme", "checkout", 497_222)
    return DeadLetter(sink, partition, NOW_MS + number * 60_000, NOW_MS, reason, record)


async def opened(path: Path) -> Buffer:
    return await Buffer.open(
        path,
        max_size=64 * 1024 * 1024,
        when_full=WhenFull.BLOCK,
        sinks=("archive", "errors"),
        meter=Unmetered(),
        codec=Codec.ZSTD,
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "shipper.yaml"
    file.write_text(CONFIG.format(path=tmp_path / "buffer"))
    return file


@asynccontextmanager
async def daemon(path: Path, letters: list[DeadLetter], *, patience_s: float = 5.0) -> AsyncIterator[Buffer]:
    """What of the daemon matters here: the buffer and the socket."""
    buffer = await opened(path)
    await buffer.bury(letters)
    server = ControlServer(path, letter_calls(buffer.letters), patience_s=patience_s)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.run(), name="control")
        async with asyncio.timeout(5):
            while (connection := reach(path)) is None:
                await asyncio.sleep(0.001)
            connection.close()
        yield buffer
        running.cancel()
    await buffer.close()


async def command(*words: str | Path) -> int:
    """A command, as another process would give it."""
    return await asyncio.to_thread(cli.main, [str(word) for word in words])


Said = Callable[[], list[str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return lambda: capsys.readouterr().out.splitlines()


@pytest.fixture(params=["running", "stopped"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[list[DeadLetter]], Any]:
    """The same buffer with a daemon on it, and without."""

    @asynccontextmanager
    async def stopped(path: Path, letters: list[DeadLetter]) -> AsyncIterator[None]:
        buffer = await opened(path)
        await buffer.bury(letters)
        await buffer.close()
        yield

    manager = daemon if request.param == "running" else stopped
    return lambda letters: manager(tmp_path / "buffer", letters)


House = Callable[[list[DeadLetter]], Any]


async def kept(path: Path) -> list[int]:
    answers = await asyncio.to_thread(_listed, path)
    return [answer["letter"]["id"] for answer in answers if "letter" in answer]


def _listed(path: Path) -> list[Answer]:
    connection = reach(path)
    assert connection is not None
    return list(ask(connection, {"call": "deadletter.list"}))


async def test_letters_are_listed_the_newest_first(house: House, config: Path, said: Said) -> None:
    async with house([letter(n) for n in range(25)]):
        assert await command("deadletter", "list", "-c", config) == 0
        lines = said()
        assert len(lines) == 21
        assert lines[0].split("  ") == [
            "25",
            "2026-09-21T14:37:20Z",
            "errors",
            "acme/checkout",
            "400 Bad Request",
            '{"timestamp_ms": 1790000000000, "line": "line 24"}',
        ]
        assert lines[20] == "20 of 25 dead letters; --limit 25 shows all"
        assert await command("deadletter", "list", "-c", config, "--limit", "3") == 0
        assert [line.split()[0] for line in said()] == ["25", "24", "23", "3"]


async def test_letters_are_chosen_by_sink_time_reason_and_id(house: House, config: Path, said: Said) -> None:
    async with house([letter(0), letter(1, sink="archive"), letter(2, reason="413 Too Large"), letter(3)]):
        for chosen, expected in [
            (["--sink", "archive"], [2]),
            (["--reason", "413"], [3]),
            (["--since", "2026-09-21T14:15:20Z"], [4, 3]),
            (["--until", "2026-09-21T16:14:20+02:00"], [1]),
            (["--since", "2026-09-21", "--until", "2026-09-22"], [4, 3, 2, 1]),
            (["--id", "4", "--id", "2"], [4, 2]),
            (["--sink", "nobody"], []),
        ]:
            assert await command("deadletter", "list", "-c", config, "--output", "json", *chosen) == 0
            assert [json.loads(line)["id"] for line in said()] == expected, chosen
        assert await command("deadletter", "list", "-c", config, "--sink", "nobody") == 0
        assert said() == ["no dead letters"]


async def test_a_letter_is_shown_whole(house: House, config: Path, said: Said) -> None:
    async with house([letter(0), letter(1, line="x" * 5000)]):
        assert await command("deadletter", "show", "-c", config, "--id", "2") == 0
        lines = said()
        assert lines[:-1] == [
            "letter    2",
            "sink      errors",
            "app       acme/checkout",
            "kind      logs",
            "record of 2026-09-21T14:13:20Z",
            "refused   2026-09-21T14:14:20Z",
            "answer    400 Bad Request",
        ]
        assert "x" * 5000 in lines[-1]
        assert await command("deadletter", "show", "-c", config, "--id", "2", "--output", "json") == 0
        assert json.loads(said()[0])["record"] == {"timestamp_ms": NOW_MS, "line": "x" * 5000}


async def test_a_letter_that_is_not_there_is_an_error(
    house: House, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with house([letter(0)]):
        assert await command("deadletter", "show", "-c", config, "--id", "1", "--id", "7") == 1
        assert "there is no letter 7" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["drop", "replay"])
async def test_dry_run_only_says_how_many(house: House, config: Path, said: Said, verb: str) -> None:
    async with house([letter(n) for n in range(5)]):
        assert await command("deadletter", verb, "-c", config, "--dry-run", "--sink", "errors") == 0
        assert said() == [f"would {verb} 5 dead letters"]
        assert (
            await command("deadletter", verb, "-c", config, "--dry-run", "--limit", "2", "--output", "json")
            == 0
        )
        assert json.loads(said()[0]) == {verb: 0, "meant": 2, "dry_run": True}
        assert await command("deadletter", "list", "-c", config) == 0
        assert said()[-1] == "5 dead letters"


async def test_letters_are_dropped(house: House, config: Path, said: Said) -> None:
    async with house([letter(n) for n in range(5)]):
        assert await command("deadletter", "drop", "-c", config, "--limit", "1") == 0
        assert await command("deadletter", "drop", "-c", config, "--id", "3", "--output", "json") == 0
        assert said() == ["dropped 1 dead letter", '{"drop": 1, "meant": 1, "dry_run": false}']
        assert await command("deadletter", "list", "-c", config, "--output", "json") == 0
        assert [json.loads(line)["id"] for line in said()] == [5, 4, 2]
        assert await command("deadletter", "drop", "-c", config, "--all") == 0
        assert said() == ["dropped 3 dead letters"]


async def test_letters_are_replayed_for_their_own_sink(tmp_path: Path, config: Path, said: Said) -> None:
    async with daemon(tmp_path / "buffer", [letter(n) for n in range(3)]) as buffer:
        assert await command("deadletter", "replay", "-c", config, "--id", "1", "--id", "3") == 0
        assert said() == ["replayed 2 dead letters"]
        assert buffer.stats().backlog_records == {"archive": 0, "errors": 2}
        assert [one.letter_id for one in await buffer.letters.page(LetterFilter())] == [2]


async def test_what_cannot_be_replayed_stays_and_is_told(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = await Buffer.open(
        tmp_path / "buffer",
        max_size=64 * 1024 * 1024,
        when_full=WhenFull.BLOCK,
        sinks=("archive", "gone"),
        meter=Unmetered(),
        codec=Codec.ZSTD,
    )
    await buffer.bury([letter(0, sink="gone"), letter(1, sink="archive")])
    await buffer.close()
    assert await command("deadletter", "replay", "-c", config, "--all") == 1
    out, err = capsys.readouterr()
    assert out == "replayed 1 dead letter\n"
    assert "1 stay" in err


@pytest.mark.parametrize(
    "words",
    [
        ["drop"],
        ["replay"],
        ["drop", "--all", "--sink", "errors"],
        ["show"],
        ["list", "--id", "0"],
        ["list", "--id", "x"],
        ["list", "--limit", "-1"],
        ["list", "--since", "yesterday"],
        ["list", "--output", "yaml"],
        ["bury"],
        [],
    ],
)
async def test_misuse_is_told_and_is_status_2(config: Path, words: list[str]) -> None:
    chosen = [*words, "-c", str(config)] if words else []
    assert await command("deadletter", *chosen) == 2


async def test_without_a_buffer_nothing_is_made(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command("deadletter", "list", "-c", config) == 1
    assert "there is no buffer in" in capsys.readouterr().err
    assert not (tmp_path / "buffer").exists()


async def test_a_buffer_whose_holder_does_not_answer_is_left_alone(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = await opened(tmp_path / "buffer")
    assert await command("deadletter", "list", "-c", config) == 1
    assert "is in use by process" in capsys.readouterr().err
    await buffer.close()


async def test_what_apps_print_does_nothing_to_a_terminal(config: Path, tmp_path: Path, said: Said) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\r\x00\x9b31m \u202egnp.exe \ud83d\ude80\u2028"
    async with daemon(tmp_path / "buffer", [letter(0, line=hostile, reason=f"400 {hostile}")]):
        for words in (["list"], ["show", "--id", "1"], ["list", "--output", "json"]):
            assert await command("deadletter", *words, "-c", config) == 0
        assert all(line.isprintable() for line in said())


# ---- the socket ----


async def test_the_socket_is_for_its_owner_alone_and_goes_with_the_daemon(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with daemon(tmp_path, []):
            assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    finally:
        os.umask(before)
    assert not (tmp_path / NAME).exists()
    assert reach(tmp_path) is None


async def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / NAME))
    left.close()
    assert reach(tmp_path) is None
    async with daemon(tmp_path, [letter(0)]):
        assert await kept(tmp_path) == [1]


async def test_a_folder_with_a_path_too_long_for_a_socket_is_reached_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    assert len(str(deep / NAME)) > LONGEST_ADDRESS
    async with daemon(deep, [letter(0)]):
        assert await kept(deep) == [1]
    assert not (deep / NAME).exists()


async def test_a_folder_in_which_no_socket_can_be_made_costs_the_socket_and_not_the_daemon(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await ControlServer(tmp_path / "nowhere", {}).run()
    assert "no control socket" in caplog.text


async def test_a_request_that_is_not_understood_gets_an_answer(tmp_path: Path) -> None:
    async with daemon(tmp_path, [letter(0)]):
        for request in (
            {"call": "deadletter.burn"},
            {},
            {"call": "deadletter.list", "filter": {"sinks": "x"}},
            {"call": "deadletter.list", "filter": {"ids": "x"}},
            {"call": "deadletter.list", "filter": {"since_ms": "x"}},
            {"call": "deadletter.list", "filter": {"since_ms": True}},
            {"call": "deadletter.drop", "filter": []},
            {"call": "deadletter.drop", "limit": 10**9},
        ):
            with pytest.raises(CommandFailed):
                await asyncio.to_thread(_all, tmp_path, request)
        assert await kept(tmp_path) == [1]


def _all(path: Path, request: Request) -> list[Answer]:
    connection = reach(path)
    assert connection is not None
    return list(ask(connection, request))


@pytest.mark.parametrize(
    "raw", [b"garbage\n", b"[]\n", b"\n", b"\xff\xfe\n", b'{"call":', b"x" * 200_000, b""]
)
async def test_garbage_ends_its_own_connection_alone(tmp_path: Path, raw: bytes) -> None:
    async with daemon(tmp_path, [letter(0)], patience_s=0.2):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / NAME))
        with suppress(ConnectionError):
            writer.write(raw)
            await writer.drain()
            await reader.read()
        writer.close()
        assert await kept(tmp_path) == [1]


async def test_silent_clients_hold_the_few_places_for_a_bounded_time(tmp_path: Path) -> None:
    async with daemon(tmp_path, [letter(0)], patience_s=0.3):
        silent = [await asyncio.open_unix_connection(str(tmp_path / NAME)) for _ in range(CONNECTIONS + 5)]
        async with asyncio.timeout(10):
            for reader, writer in silent:
                with suppress(ConnectionError):
                    await reader.read()
                writer.close()
        assert await kept(tmp_path) == [1]


async def test_a_client_that_leaves_in_the_middle_disturbs_nobody(tmp_path: Path) -> None:
    letters = [letter(n, line="x" * 50_000) for n in range(40)]
    async with daemon(tmp_path, letters, patience_s=1.0):
        connection = reach(tmp_path)
        assert connection is not None
        answers = ask(connection, {"call": "deadletter.list"})
        await asyncio.to_thread(next, answers)
        _close(answers)
        assert len(await kept(tmp_path)) == 40


def _close(answers: Iterator[Answer]) -> None:
    answers.close()  # type: ignore[attr-defined]


async def test_a_failure_in_a_command_is_logged_and_the_daemon_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(_: Request) -> AsyncIterator[Answer]:
        yield {"letter": {}}
        raise KeyError("a bug")

    server = ControlServer(tmp_path, {"breaks": breaks})
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.run(), name="control")
        await asyncio.sleep(0.05)
        with pytest.raises(CommandFailed, match="log says why"):
            await asyncio.to_thread(_all, tmp_path, {"call": "breaks"})
        assert not running.done()
        running.cancel()
    assert "a bug" in caplog.text


async def test_a_daemon_that_ends_in_the_middle_of_an_answer_is_told(tmp_path: Path) -> None:
    reached = asyncio.Event()

    async def waits(_: Request) -> AsyncIterator[Answer]:
        yield {"letter": {}}
        reached.set()
        await asyncio.sleep(60)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(ControlServer(tmp_path, {"waits": waits}).run(), name="control")
        await asyncio.sleep(0.05)
        asking = group.create_task(asyncio.to_thread(_failing, tmp_path, {"call": "waits"}), name="ask")
        await reached.wait()
        running.cancel()
        assert "in the middle" in await asking


def _failing(path: Path, request: Request) -> str:
    try:
        _all(path, request)
    except CommandFailed as error:
        return str(error)
    return ""


def test_the_socket_works_on_uvloop_as_well(tmp_path: Path) -> None:
    async def body() -> None:
        async with daemon(tmp_path, [letter(0)]):
            assert await kept(tmp_path) == [1]
        assert not (tmp_path / NAME).exists()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(body())
