"""The real daemon as a process: killed, stopped, started again, and watched for what it takes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SAMPLE_S: Final = 0.2
DRAIN_WITHIN_S: Final = 45.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Daemon:
    """One configuration and the process that runs with it. An end that nobody asked for is kept in `deaths`."""

    folder: Path
    configuration: str
    buffer: Path
    environment: Mapping[str, str]
    cgroup: Path | None = None
    process: asyncio.subprocess.Process | None = None
    deaths: list[int] = field(default_factory=list)
    starts: int = 0
    peak_memory: int = 0
    peak_disk: int = 0
    ended_ms: list[int] = field(default_factory=list)  # when each life ended, by the wall clock
    expecting: int = 0  # how many faults may end it just now
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def log(self) -> Path:
        """What it said, over all its lives."""
        return self.folder / "shipper.log"

    async def start(self) -> None:
        """Start it. It is up some time later."""
        path = self.folder / "shipper.yaml"
        if not path.exists():
            path.write_text(self.configuration)
            path.chmod(0o600)
        command = [sys.executable, "-m", "shipper", "run", "--config", str(path)]
        if self.cgroup is not None:
            command = ["/bin/sh", "-c", f'echo $$ > {self.cgroup}/cgroup.procs; exec "$@"', "sh", *command]
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, stdout=log, stderr=log, env={**os.environ, **self.environment}
            )
        self.starts += 1

    async def kill(self, down_s: float = 0.0) -> None:
        """SIGKILL, and a new start after a while."""
        await self._end_and_start(signal.SIGKILL, down_s)

    async def restart(self, down_s: float = 0.0) -> None:
        """SIGTERM, and a new start after a while."""
        await self._end_and_start(signal.SIGTERM, down_s)

    async def _end_and_start(self, number: signal.Signals, down_s: float) -> None:
        async with self._lock:
            self.expecting += 1
            try:
                await self._end(number)
                await asyncio.sleep(down_s)
                await self.start()
            finally:
                self.expecting -= 1

    async def _end(self, number: signal.Signals) -> int:
        process = self.process
        assert process is not None
        if process.returncode is None:
            process.send_signal(number)
            process.send_signal(signal.SIGCONT)
        try:
            return await asyncio.wait_for(process.wait(), DRAIN_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            self.deaths.append(99)  # it did not end
            return 99
        finally:
            self.ended_ms.append(time.time_ns() // 1_000_000)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Killed, and started again when the block ends."""
        async with self._lock:
            self.expecting += 1
            try:
                await self._end(signal.SIGKILL)
                yield
                await self.start()
            finally:
                self.expecting -= 1

    async def drain(self) -> int:
        """SIGTERM at the end of the run; the exit status."""
        async with self._lock:
            self.expecting += 1
            return await self._end(signal.SIGTERM)

    async def stop_for(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after a while."""
        async with self._lock:
            process = self.process
            assert process is not None
            if process.returncode is None:
                process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(seconds)
                process.send_signal(signal.SIGCONT)

    async def watch(self) -> None:
        """Sample memory and disk, and start it again where it ended by itself. Until cancelled."""
        while True:
            self._sample()
            process = self.process
            if process is not None and process.returncode is not None and not self.expecting:
                self.deaths.append(process.returncode)
                async with self._lock:
                    await self.start()
            await asyncio.sleep(SAMPLE_S)

    def _sample(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.peak_memory = max(self.peak_memory, _resident(self.process.pid))
        self.peak_disk = max(self.peak_disk, _size(self.buffer))

    def said(self) -> str:
        """Its log."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    async def make_sure_it_is_gone(self) -> None:
        """Whatever happened."""
        self.expecting += 1
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _size(folder: Path) -> int:
    total = 0
    try:
        for path in folder.iterdir():
            if path.name.startswith("buffer."):
                total += path.stat().st_size
    except OSError:
        pass
    return total
