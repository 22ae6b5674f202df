"""`shipper ignite` as a program: its exit status, its streams, and how it is ended."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from shipper.emulator import Emulator, HttpStyle, Scenario


def configuration(folder: Path, endpoint: str) -> Path:
    path = folder / "shipper.yaml"
    path.write_text(
        f"ignite: {{endpoint: '{endpoint}', organization: acme-corp, auth: {{type: token, token: emulator-token}}}}\n"
        f"buffer: {{path: {folder}/buffer}}\n"
        "sinks: {debug: {type: stdout}}\n"
    )
    path.chmod(0o600)
    return path


async def start(config: Path, *words: str, then: str = "") -> asyncio.subprocess.Process:
    command = f'exec "$0" -m shipper ignite "$@" {then}'
    return await asyncio.create_subprocess_exec(
        "sh", "-c", command, sys.executable, *words, "--config", str(config),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def ended(process: asyncio.subprocess.Process) -> tuple[int, str, str]:
    async with asyncio.timeout(20):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("transport", ["grpc", "http"])
async def test_records_go_to_stdout_notices_to_stderr_and_the_status_says_how_it_went(
    tmp_path: Path, transport: str
) -> None:
    async with Emulator(Scenario(http=HttpStyle())) as ignite:
        config = configuration(tmp_path, ignite.http_endpoint if transport == "http" else ignite.endpoint)
        pod = ignite.app("checkout").start_replica()
        pod.print("größe")
        status, out, err = await ended(await start(config, "logs", "checkout", "--output", "json"))
        assert (status, err) == (0, "")
        assert json.loads(out)["line"] == "größe"
        status, out, err = await ended(await start(config, "logs", "chekout"))
        assert (status, out) == (1, "")
        assert err.rstrip().endswith("app chekout not found; did you mean checkout?")
        status, out, err = await ended(await start(config, "logs", "checkout", "--limit", "no"))
        assert (status, out) == (2, "")
        assert "is no number above 0" in err


async def test_following_ends_well_when_it_is_interrupted(tmp_path: Path) -> None:
    async with Emulator() as ignite:
        pod = ignite.app("checkout").start_replica()
        pod.print("one")
        process = await start(
            configuration(tmp_path, ignite.endpoint), "logs", "checkout", "-f", "--from-start"
        )
        assert process.stdout is not None
        async with asyncio.timeout(20):
            assert (await process.stdout.readline()).endswith(b"one\n")  # at once, though it goes on
        process.send_signal(signal.SIGINT)
        assert await ended(process) == (0, "", "")


async def test_a_reader_that_leaves_ends_it_quietly(tmp_path: Path) -> None:
    async with Emulator() as ignite:
        pod = ignite.app("checkout").start_replica()
        pod.print_all(f"line {number}" for number in range(5000))
        words = ("logs", "checkout", "--from-start")
        process = await start(configuration(tmp_path, ignite.endpoint), *words, then="| head -n 1")
        status, out, err = await ended(process)
        assert (status, err) == (0, "")
        assert out.endswith("line 0\n")


async def test_a_reader_that_leaves_ends_following_with_the_next_line(tmp_path: Path) -> None:
    async with Emulator() as ignite:
        pod = ignite.app("checkout").start_replica()
        config = configuration(tmp_path, ignite.endpoint)
        process = await start(config, "logs", "checkout", "--follow", then="| head -n 1")
        await ignite.calls.until_open(replica_id=pod.replica_id)
        ending = asyncio.create_task(ended(process))
        while not ending.done():
            pod.print("again")
            await asyncio.sleep(0.05)
        status, out, err = ending.result()
        assert (status, err) == (0, "")
        assert out.count("\n") == 1
