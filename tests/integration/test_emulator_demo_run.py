"""`shipper demo` as a user runs it: the real daemon against the emulator, and the archive read with DuckDB."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
from pathlib import Path

import duckdb


async def demo(output: Path, *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "shipper", "demo", "--plain", "--output", str(output), *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip


def running_commands() -> list[bytes]:
    commands: list[bytes] = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            commands.append(path.read_bytes())
    return commands


async def test_everything_that_the_apps_print_is_in_the_archive_once(tmp_path: Path) -> None:
    process = await demo(tmp_path / "out", "--duration", "6s", "--rate", "400", "--seed", "5")
    said, _ = await asyncio.wait_for(process.communicate(), 120)
    text = said.decode()
    assert process.returncode == 0, text[-6000:]
    assert "printed == archived" in text
    printed = int(re.search(r"printed +([\d,]+) lines", text)[1].replace(",", ""))  # type: ignore[index]
    assert printed > 1000
    assert re.search(r"builds +([1-9][\d,]*) lines, \1 archived", text), text
    query = re.search(r'duckdb -c "(.*)"', text)[1]  # type: ignore[index]
    assert sum(row[2] for row in duckdb.sql(query).fetchall()) == printed


async def test_an_interrupted_demo_leaves_no_daemon_behind(tmp_path: Path) -> None:
    process = await demo(tmp_path / "out", "--duration", "60s", "--rate", "50")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while b"running: printed" not in (line := await process.stdout.readline()):
                assert line, "it ended by itself"
            process.send_signal(signal.SIGINT)
            said = await process.stdout.read()
            assert await process.wait() == 1
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert b"interrupted" in said
    config = str(tmp_path / "out" / "_demo" / "shipper.yaml").encode()
    assert not [command for command in running_commands() if config in command]
