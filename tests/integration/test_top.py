"""`shipper top` as a process: in a terminal until it is enough, into a pipe once."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from shipper.control.top import Asked, Unreachable
from shipper.telemetry.facts import Facts, Query
from shipper.telemetry.health import Liveness, Readiness
from shipper.telemetry.prometheus import PrometheusMeter
from shipper.telemetry.web import TelemetryServer
from tests.fakes.facts import collect, facts, replica


@asynccontextmanager
async def served(look: Callable[[Query], Facts] | None) -> AsyncIterator[str]:
    meter = PrometheusMeter()
    server = TelemetryServer("127.0.0.1", 0, meter=meter, liveness=Liveness(meter), readiness=Readiness({}))
    async with server:
        if look is not None:
            server.show(look)
        yield f"http://127.0.0.1:{server.port}"


def crowd(query: Query) -> Facts:
    return facts(query=query, collect=collect([replica(n) for n in range(100)], query))


@dataclass
class Terminal:
    """A process in a terminal of its own."""

    process: subprocess.Popen[bytes]
    master: int
    seen: str = ""

    async def until(self, text: str, within_s: float = 15.0) -> None:
        async with asyncio.timeout(within_s):
            while text not in self.seen:
                self.seen += await asyncio.to_thread(self._read)

    def _read(self) -> str:
        if not select.select([self.master], [], [], 0.05)[0]:
            return ""
        return os.read(self.master, 65536).decode("utf-8", "replace")

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@asynccontextmanager
async def top(*words: str) -> AsyncIterator[Terminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(slave)
    environ = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "shipper", "top", *words], stdin=slave, stdout=slave, stderr=slave, env=environ
    )
    terminal = Terminal(process, master)
    try:
        yield terminal
        async with asyncio.timeout(10):
            while process.poll() is None:
                terminal.seen += await asyncio.to_thread(terminal._read)
        assert termios.tcgetattr(slave) == before, "the terminal is as it was"
    finally:
        process.kill()
        process.wait()
        os.close(slave)
        os.close(master)


@pytest.mark.parametrize("end", ["q", "Ctrl-C"])
async def test_it_follows_keys_and_sizes_until_it_is_enough_and_leaves_the_terminal_as_it_was(
    end: str,
) -> None:
    async with served(crowd) as url, top("--url", url, "--interval", "0.2") as terminal:
        await terminal.until("of 100 replicas")
        terminal.press("\x1b[B\x1b[B")
        await terminal.until("3 to ")
        terminal.seen = ""
        terminal.size(40, 150)
        await terminal.until("RECONNECTS")
        if end == "q":
            terminal.press("q")
        else:
            terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.returncode == 0
    assert "\x1b[?1049l" in terminal.seen, "what was there before is there again"


async def test_into_a_pipe_it_prints_once() -> None:
    async with served(crowd) as url:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "shipper",
            "top",
            "--url",
            url,
            "--app",
            "checkout",
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
    text = out.decode()
    assert process.returncode == 0
    assert "Nothing is being lost." in text
    assert "\x1b" not in text
    assert "checkout-7c9d8f6b5-00099" in text


async def test_what_does_not_answer_as_a_daemon_does_is_told() -> None:
    async with served(None) as url:
        with pytest.raises(Unreachable, match="answers 503: shipper is starting"):
            await asyncio.to_thread(Asked(url).fetch, 0, 10)
        with pytest.raises(Unreachable, match="answers 404"):
            await asyncio.to_thread(Asked(f"{url}/nothing").fetch, 0, 10)
    async with served(crowd) as url:
        status = await asyncio.to_thread(Asked(url, app="check*").fetch, 90, 10)
        assert len(status["replicas"]["items"]) == 10
        with pytest.raises(Unreachable, match="answers 400: app is longer"):
            await asyncio.to_thread(Asked(url, app="x" * 300).fetch, 0, 10)
