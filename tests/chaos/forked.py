"""A daemon that is forked by a nursery: started in a tenth of the time, and otherwise the same."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class Nursery:
    """The process that forks, and the one daemon that it has at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self._pid = 0
        self._ended: asyncio.Task[int] | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.nursery",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=self._environment,
        )  # fmt: skip
        if await self._said() != "ready":
            raise RuntimeError("the nursery did not start")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running:
            await self.end(signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def start(self, configuration: Path, log: Path) -> None:
        """A daemon. The one before has ended."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{configuration} {log}\n".encode())
        self._pid = int((await self._said()).removeprefix("pid "))
        self._ended = asyncio.create_task(self._status(), name="how it ends")

    @property
    def running(self) -> bool:
        """Whether there is a daemon."""
        return self._ended is not None and not self._ended.done()

    def send(self, number: signal.Signals) -> None:
        """A signal, if it still runs. The nursery has not heard of an end that is not told: the number is still its."""
        if self.running:
            with suppress(ProcessLookupError):
                os.kill(self._pid, number)

    async def end(self, number: signal.Signals) -> int:
        """A signal, and how it ended."""
        self.send(number)
        return await self.status()

    async def status(self) -> int:
        """How it ended, when it has."""
        assert self._ended is not None
        return await self._ended

    async def _status(self) -> int:
        return int((await self._said()).removeprefix("ended "))

    async def _said(self) -> str:
        assert self._process.stdout is not None
        return (await self._process.stdout.readline()).decode().strip()
