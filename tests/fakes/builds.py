"""Builds in memory: they print, end and are forgotten when a test says so. Implements `ignite.port.Builds`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from shipper.ignite.port import Build, Draft, Output
from shipper.ignite.status import CallFailed, Code, Status
from shipper.model import App
from tests.fakes.platform import Pipe


@dataclass(eq=False)
class FakeBuild:
    """One output. `chunk` is how many bytes a replay brings at once; `stored` is the log where it is another one."""

    now_ms: Callable[[], int]
    build_id: str
    running: bool = True
    streamed: bool = True
    kept: bool = True
    chunk: int = 7
    stored: bytes | None = None
    pieces: list[tuple[int, bytes]] = field(default_factory=list)
    streams: list[Pipe[Output]] = field(default_factory=list)

    @property
    def log(self) -> bytes:
        return b"".join(data for _, data in self.pieces)

    def write(self, data: bytes | str, at_ms: int | None = None) -> None:
        piece = (self.now_ms() if at_ms is None else at_ms, data.encode() if isinstance(data, str) else data)
        self.pieces.append(piece)
        for pipe in self.streams:
            pipe.feed(Output([piece[0]], [piece[1]]))

    def end(self) -> None:
        self.running = False
        self.end_streams()

    def end_streams(self) -> None:
        """In order, as a gateway ends long streams."""
        for pipe in self.streams:
            pipe.end()
        self.streams.clear()

    def cut(self) -> None:
        for pipe in self.streams:
            pipe.cut()
        self.streams.clear()

    def stall(self) -> None:
        for pipe in self.streams:
            pipe.stall()
        self.streams.clear()

    def open(self) -> Pipe[Output]:
        pipe: Pipe[Output] = Pipe()
        for time_ms, data in self.pieces:
            for at in range(0, len(data), self.chunk):
                pipe.feed(Output([time_ms], [data[at : at + self.chunk]]))
        if self.running:
            self.streams.append(pipe)
        else:
            pipe.end()
        return pipe


@dataclass(eq=False)
class FakeLog:
    """A log that is read in pieces of `chunk` bytes, and may break off after some of them."""

    data: bytes
    found: bool
    chunk: int
    breaks_after: int | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for number, at in enumerate(range(0, len(self.data), self.chunk)):
            if number == self.breaks_after:
                raise CallFailed(Status(Code.UNAVAILABLE, "it broke off"))
            await asyncio.sleep(0.001)
            yield self.data[at : at + self.chunk]


@dataclass(eq=False)
class FakeBuilds:
    """`drafts` by app; `rows` are what ListBuilds shows; `refusals` by method."""

    now_ms: Callable[[], int]
    builds: dict[str, FakeBuild] = field(default_factory=dict)
    drafts: dict[str, Draft] = field(default_factory=dict)
    rows: list[Build] = field(default_factory=list)
    refusals: dict[str, Status] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)  # after how many pieces the next logs break off
    calls: Counter[str] = field(default_factory=Counter)
    slow_s: float = 0.001  # for each call

    def compile(self, app: str, deploy_id: str = "dpl_1", **draft: object) -> FakeBuild:
        """A compile begins, and is the app's draft."""
        self.drafts[app] = Draft(deploy_id, **draft)  # type: ignore[arg-type]
        self.builds[deploy_id] = FakeBuild(self.now_ms, deploy_id)
        return self.builds[deploy_id]

    def build(self, build_id: str, *, running: bool = False) -> FakeBuild:
        """A build that nothing names yet."""
        self.builds[build_id] = FakeBuild(self.now_ms, build_id, running=running)
        return self.builds[build_id]

    def list(self, build_id: str, status: str = "SUCCEEDED", **row: object) -> None:
        """What ListBuilds shows of a build from now on."""
        self.rows = [each for each in self.rows if each.build_id != build_id]
        self.rows.append(Build(build_id, status=status, **row))  # type: ignore[arg-type]

    async def _admit(self, method: str) -> None:
        self.calls[method] += 1
        await asyncio.sleep(self.slow_s)
        if method in self.refusals:
            raise CallFailed(self.refusals[method])

    # ---- the port ----

    async def get_draft(self, app: App) -> Draft:
        await self._admit("GetDraftInfo")
        return self.drafts.get(app.name, Draft())

    async def list_builds(self) -> list[Build]:
        await self._admit("ListBuilds")
        return list(self.rows)

    @asynccontextmanager
    async def get_build_log(self, app: App, build_id: str) -> AsyncIterator[FakeLog]:
        await self._admit("GetBuildLog")
        build = self.builds.get(build_id)
        if build is None or build.running or not build.kept:
            yield FakeLog(b"", False, 1)
            return
        breaks = self.breaks.pop(0) if self.breaks else None
        yield FakeLog(build.log if build.stored is None else build.stored, True, build.chunk, breaks)

    @asynccontextmanager
    async def stream_compile_logs(
        self, deploy_id: str, *, from_start: bool = True
    ) -> AsyncIterator[AsyncIterator[Output]]:
        await self._admit("StreamCompileLogs")
        build = self.builds.get(deploy_id)
        if build is None or not build.streamed:
            raise CallFailed(Status(Code.NOT_FOUND, f"no stream of {deploy_id}"))
        pipe = build.open()
        try:
            yield pipe.read()
        finally:
            if pipe in build.streams:
                build.streams.remove(pipe)

    def stream_build_logs(self, build_id: str, *, from_start: bool = True) -> object:
        raise NotImplementedError
