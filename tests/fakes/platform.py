"""A platform in memory: apps, replicas and their streams do what a test says, when it says it.

It promises what `ignite.port.Platform` promises and nothing more: replays begin where the history does, what was
not yielded is replayed, listings and answers may be late, stale, wrong or refused.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from shipper.ignite.port import Event, EventPage, LogChunk, LogPage
from shipper.ignite.status import CallFailed, Code, Status
from shipper.model import App, Replica

T = TypeVar("T")
ORG = "acme-corp"


class Line(NamedTuple):
    """One printed line."""

    app: str
    replica_id: str
    time: int
    stream: str | None
    text: str | bytes


def chunk_of(lines: Iterable[Line], others: Iterable[str] = (), undecodable: int = 0) -> LogChunk:
    """Lines as the port gives them."""
    lines = list(lines)
    return LogChunk(
        [line.time for line in lines],
        [line.stream for line in lines],
        [line.text for line in lines],
        frozenset(others),
        undecodable,
    )


class Pipe(Generic[T]):
    """One open stream. What was fed comes out; then it waits, ends, or fails."""

    def __init__(self) -> None:
        self.items: deque[T] = deque()
        self.status: Status | None = None
        self.stalled = False
        self.closed = False
        self.brought = 0
        self._bell = asyncio.Event()

    def feed(self, item: T) -> None:
        if not self.stalled and self.status is None:
            self.items.append(item)
            self._bell.set()

    def end(self, status: Status | None = None) -> None:
        """End after what was fed; OK unless a status says otherwise."""
        if not self.stalled:
            self.status = self.status or status or Status(Code.OK)
            self._bell.set()

    def cut(self, code: Code = Code.UNAVAILABLE) -> None:
        """Fail now: what was not read yet is gone with the connection."""
        self.items.clear()
        self.status = Status(code, "cut")
        self._bell.set()

    def stall(self) -> None:
        """Half-open: it stays, and nothing comes, not even an end."""
        self.items.clear()
        self.stalled = True

    async def read(self) -> AsyncIterator[T]:
        while True:
            while self.items:
                self.brought += 1
                yield self.items.popleft()
            if self.status is not None:
                if self.status.code is not Code.OK:
                    raise CallFailed(self.status)
                return
            self._bell.clear()
            await self._bell.wait()


class FakeReplica:
    """One pod. `history` is what a replay brings now; `ends` whether streams end with their container."""

    def __init__(self, app: FakeApp, replica_id: str, restart_count: int = 0) -> None:
        self.app = app
        self.replica_id = replica_id
        self.restart_count = restart_count
        self.clock_offset_ms = 0
        self.history: list[Line] = []
        self.streams: list[Pipe[LogChunk]] = []
        self.listed = True
        self.ended = False
        self.ends = True
        self.continues = False  # streams go on over a restart in place
        self.chunk = 5
        self.started_ms = self.now_ms()

    def now_ms(self) -> int:
        return self.app.platform.now_ms() + self.clock_offset_ms

    def describe(self) -> Replica:
        return Replica(
            self.app.app, self.replica_id, "worker-eu-1", "ip-10-0-3-17", "STATUS_RUNNING", True,
            self.restart_count, self.started_ms,
        )  # fmt: skip

    def print(
        self, *texts: str | bytes, at_ms: int | None = None, stream: str | None = "stdout"
    ) -> list[Line]:
        """Print lines now, or with another time than now."""
        lines = [
            Line(self.app.name, self.replica_id, self.now_ms() if at_ms is None else at_ms, stream, text)
            for text in texts
        ]
        self.history.extend(lines)
        self.app.platform.printed.extend(lines)
        for pipe in self.streams:
            pipe.feed(chunk_of(lines))
        return lines

    def rotate(self, keep: int = 0) -> None:
        """A replay begins with the newest `keep` lines."""
        self.history = self.history[len(self.history) - keep :] if keep else []

    def crash(self) -> None:
        """The container ends; its history can be replayed until `restart`."""
        self.ended = True
        if self.ends and not self.continues:
            self._end_streams()

    def restart(self) -> None:
        """Another container in the same pod, with a history of its own."""
        self.ended = False
        self.restart_count += 1
        self.started_ms = self.now_ms()
        self.history = []
        if not self.continues:
            self.streams.clear()

    def gone(self) -> None:
        """The pod goes, and its history with it."""
        self.listed, self.ended = False, True
        self.app.replicas.pop(self.replica_id, None)
        if self.ends:
            self._end_streams()

    def cut(self, code: Code = Code.UNAVAILABLE) -> None:
        for pipe in self.streams:
            pipe.cut(code)
        self.streams.clear()

    def stall(self) -> None:
        for pipe in self.streams:
            pipe.stall()

    def _end_streams(self) -> None:
        for pipe in self.streams:
            pipe.end()
        self.streams.clear()

    def replay(self) -> list[Line]:
        if self.app.platform.sorted_replay:
            return sorted(self.history, key=lambda line: line.time)
        return list(self.history)

    def open(self) -> Pipe[LogChunk]:
        pipe: Pipe[LogChunk] = Pipe()
        lines = self.replay()
        for at in range(0, len(lines), self.chunk):
            pipe.feed(chunk_of(lines[at : at + self.chunk]))
        if self.ended and self.ends:
            pipe.end()
        else:
            self.streams.append(pipe)
        return pipe


class FakeApp:
    """One app. `answers` are given by ListAppReplicas before it says the truth again."""

    def __init__(self, platform: FakePlatform, name: str) -> None:
        self.platform = platform
        self.name = name
        self.app = App(ORG, name)
        self.listed = True
        self.replicas: dict[str, FakeReplica] = {}
        self.answers: deque[list[Replica]] = deque()
        self.shown: dict[str, int] = {}  # the highest restart_count that a listing said
        self.events: list[Event] = []
        self.events_truncated = False
        self.event_streams: list[Pipe[EventPage]] = []

    def start(self, replica_id: str, *, listed: bool = True, restart_count: int = 0) -> FakeReplica:
        replica = FakeReplica(self, replica_id, restart_count)
        replica.listed = listed
        self.replicas[replica_id] = replica
        return replica

    def listing(self) -> list[Replica]:
        return [replica.describe() for replica in self.replicas.values() if replica.listed]

    def stale(self, polls: int) -> None:
        """The next listings show what is true now."""
        self.answers.extend([self.listing()] * polls)

    def event(
        self,
        reason: str,
        replica_id: str = "",
        *,
        count: int = 1,
        at_ms: int | None = None,
        streamed: bool = True,
    ) -> Event:
        """Something happens to a pod. A higher count replaces the event of the same reason and replica."""
        time = self.platform.now_ms() if at_ms is None else at_ms
        event = Event(time, reason.upper(), reason, f"{reason} {replica_id}", replica_id, count, "Normal")
        if count > 1:
            self.events = [old for old in self.events if (old.reason, old.replica_id) != (reason, replica_id)]
        self.events.append(event)
        self.platform.happened.append(event)
        if streamed:
            for pipe in self.event_streams:
                pipe.feed(EventPage((event,)))
        return event


@dataclass
class Refusal:
    """Answers calls with a status, or late, until it is used up."""

    method: str
    app: str | None
    status: Status | None
    left: float
    delay_s: float = 0.0
    at_most: int | None = None

    def lift(self) -> None:
        self.left = 0


@dataclass
class FakePlatform:
    """Implements `Platform`. `now_ms` is its clock."""

    now_ms: Callable[[], int]
    sorted_replay: bool = False
    answers_streams: bool = True  # whether a stream answers before it has something to say
    logs_limit: int = 1000
    logs_refused_above: float = float("inf")
    logs_oldest: bool = False  # a limit cuts the new end
    newest_first: bool = False
    apps: dict[str, FakeApp] = field(default_factory=dict)
    printed: list[Line] = field(default_factory=list)
    happened: list[Event] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    log: list[tuple[float, str, str]] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    open_streams: int = 0

    def app(self, name: str) -> FakeApp:
        if name not in self.apps:
            self.apps[name] = FakeApp(self, name)
        return self.apps[name]

    def refuse(
        self, method: str, code: Code, *, app: str | None = None, times: float = float("inf"),
        retry_after_s: float | None = None, genuine: bool = True,
    ) -> Refusal:  # fmt: skip
        status = Status(code, "refused on request", retry_after_s, genuine)
        refusal = Refusal(method, app, status, times)
        self.refusals.append(refusal)
        return refusal

    def delay(
        self, method: str, seconds: float, *, app: str | None = None, times: float = float("inf")
    ) -> Refusal:
        refusal = Refusal(method, app, None, times, seconds)
        self.refusals.append(refusal)
        return refusal

    async def _admit(self, method: str, app: str, replica_id: str = "") -> None:
        self.calls[method] += 1
        self.log.append((asyncio.get_running_loop().time(), method, replica_id or app))
        await asyncio.sleep(0.001)
        for refusal in self.refusals:
            if refusal.left > 0 and refusal.method == method and refusal.app in (None, app):
                refusal.left -= 1
                await asyncio.sleep(refusal.delay_s)
                if refusal.status is not None:
                    raise CallFailed(refusal.status)

    # ---- the port ----

    async def list_apps(self) -> list[str]:
        await self._admit("ListApps", "")
        return [app.name for app in self.apps.values() if app.listed]

    async def list_replicas(self, app: App) -> list[Replica]:
        await self._admit("ListAppReplicas", app.name)
        found = self._found(app)
        answer = found.answers.popleft() if found.answers else found.listing()
        for replica in answer:
            shown = found.shown.get(replica.replica_id, 0)
            found.shown[replica.replica_id] = max(shown, replica.restart_count)
        return answer

    async def get_logs(self, app: App, replica_id: str, limit: int = 0) -> LogPage:
        await self._admit("GetAppLogs", app.name, replica_id)
        if limit > self.logs_refused_above:
            raise CallFailed(Status(Code.INVALID_ARGUMENT, f"limit {limit} is too high"))
        lines = self._replica(app, replica_id).replay()
        most = min(limit or self.logs_limit, self.logs_limit)
        page = lines[:most] if self.logs_oldest else lines[-most:]
        return LogPage(chunk_of(reversed(page) if self.newest_first else page), len(page) < len(lines))

    async def get_events(self, app: App) -> EventPage:
        await self._admit("GetAppEvents", app.name)
        found = self._found(app)
        return EventPage(tuple(found.events), found.events_truncated)

    @asynccontextmanager
    async def stream_logs(self, app: App, replica_id: str) -> AsyncIterator[AsyncIterator[LogChunk]]:
        await self._admit("StreamAppLogs", app.name, replica_id)
        replica = self._replica(app, replica_id)
        pipe = replica.open()
        if not self.answers_streams:
            while not pipe.items and pipe.status is None:
                await asyncio.sleep(0.01)
        self.open_streams += 1
        try:
            yield pipe.read()
        finally:
            self.open_streams -= 1
            if pipe in replica.streams:
                replica.streams.remove(pipe)

    @asynccontextmanager
    async def stream_events(self, app: App) -> AsyncIterator[AsyncIterator[EventPage]]:
        await self._admit("StreamAppEvents", app.name)
        found = self._found(app)
        pipe: Pipe[EventPage] = Pipe()
        found.event_streams.append(pipe)
        try:
            yield pipe.read()
        finally:
            if pipe in found.event_streams:
                found.event_streams.remove(pipe)

    def _found(self, app: App) -> FakeApp:
        found = self.apps.get(app.name)
        if found is None or app.organization != ORG:
            raise CallFailed(Status(Code.NOT_FOUND, f"app {app} not found"))
        return found

    def _replica(self, app: App, replica_id: str) -> FakeReplica:
        replica = self._found(app).replicas.get(replica_id)
        if replica is None:
            raise CallFailed(Status(Code.NOT_FOUND, f"replica {replica_id} not found"))
        return replica
