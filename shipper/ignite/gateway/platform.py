"""Ignite over its HTTP gateway: the `Platform` port in JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from shipper.ignite.auth import TokenSource
from shipper.ignite.gateway import protojson
from shipper.ignite.gateway.answer import Answer
from shipper.ignite.gateway.protojson import LogLines, NotProtoJson
from shipper.ignite.gateway.routes import HEALTH, ROUTES
from shipper.ignite.lanes import Lanes
from shipper.ignite.port import EventPage, LogChunk, LogPage
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import Request, Transport
from shipper.ignite.wire import PATIENCE_S, Wire
from shipper.model import App, Replica

CALL_TIMEOUT_S: Final = 10.0  # as with gRPC
_MOST_PAGES: Final = 1_000
_HEADERS: Final = (("accept", "application/json, application/x-ndjson, text/event-stream"),)


@dataclass(slots=True)
class HttpPlatform:
    """The `Platform` port over HTTP. `connect` makes a transport; `base_url` is `http(s)://host:port`.

    Calls have connections of their own, as with gRPC. Close with `aclose`. All on one event loop.
    """

    base_url: str
    organization: str
    tokens: TokenSource
    connect: Callable[[], Transport]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    call_timeout_s: float = CALL_TIMEOUT_S
    patience_s: float = PATIENCE_S
    lanes: Lanes = field(init=False)
    _calls: Wire[Answer] = field(init=False)
    _streams: Wire[Answer] = field(init=False)

    def __post_init__(self) -> None:
        self.lanes = Lanes(self.connect)
        self._streams = self._wire(self.lanes, self.patience_s)
        self._calls = self._wire(Lanes(self.connect))

    def _wire(self, lanes: Lanes, patience_s: float | None = None) -> Wire[Answer]:
        question = Request("GET", HEALTH, _HEADERS)
        return Wire(self.base_url, self.tokens, lanes, self.headers, Answer.read, question, patience_s)

    async def aclose(self) -> None:
        """Close all connections. Calls and streams that are still open fail or are cut by their callers."""
        await self._streams.lanes.aclose()
        await self._calls.lanes.aclose()
        await self.tokens.aclose()

    async def dialect(self) -> str:
        """How the server is spoken to, for people."""
        return "JSON over HTTP"

    # ---- the port ----

    async def list_apps(self) -> list[str]:
        names: list[str] = []
        cursors = [""]
        while len(cursors) <= _MOST_PAGES:
            page = await self._unary("ListApps", organization_name=self.organization, cursor=cursors[-1])
            with _Understood("ListApps"):
                names.extend(protojson.text(row, "name") for row in protojson.rows(page, "apps"))
                cursors.append(protojson.text(page, "next_cursor"))
            if not cursors[-1]:
                return names
            if cursors[-1] in cursors[:-1]:
                break
        raise CallFailed(Status(Code.INTERNAL, f"ListApps does not end: {len(cursors)} pages were read"))

    async def list_replicas(self, app: App) -> list[Replica]:
        page = await self._unary("ListAppReplicas", app)
        with _Understood("ListAppReplicas"):
            return [protojson.replica(app)(row) for row in protojson.rows(page, "replicas")]

    async def get_logs(self, app: App, replica_id: str, limit: int = 0) -> LogPage:
        page = await self._unary("GetAppLogs", app, replica_id=replica_id, limit=limit)
        with _Understood("GetAppLogs"):
            chunk = LogLines(replica_id).chunk(protojson.rows(page, "lines"))
            return LogPage(chunk, protojson.flag(page, "truncated"))

    async def get_events(self, app: App) -> EventPage:
        page = await self._unary("GetAppEvents", app)
        with _Understood("GetAppEvents"):
            events, bad = protojson.each(protojson.event, protojson.rows(page, "events"))
            return EventPage(tuple(events), protojson.flag(page, "truncated"), bad)

    @asynccontextmanager
    async def stream_logs(self, app: App, replica_id: str) -> AsyncIterator[AsyncIterator[LogChunk]]:
        request = self._request("StreamAppLogs", app, replica_id=replica_id, from_start=True)
        async with await self._streams.stream(request) as answer:
            yield _LogChunks(answer, LogLines(replica_id))

    @asynccontextmanager
    async def stream_events(self, app: App) -> AsyncIterator[AsyncIterator[EventPage]]:
        async with await self._streams.stream(self._request("StreamAppEvents", app)) as answer:
            yield _EventPages(answer)

    # ---- calls ----

    def _request(self, call: str, app: App | None = None, **fields: object) -> Request:
        if app is not None:
            fields |= {"organization_name": app.organization, "app_name": app.name}
        return Request("GET", ROUTES[call].url(fields), _HEADERS)

    async def _unary(self, call: str, app: App | None = None, **fields: object) -> Mapping[str, Any]:
        request = self._request(call, app, **fields)
        async with self._calls.open(request, deadline_s=self.call_timeout_s) as answer:
            return await answer.whole()


class _Understood:
    """Inside, a message that is not what its call answers is a call that failed."""

    def __init__(self, call: str) -> None:
        self.call = call

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NotProtoJson):
            raise CallFailed(
                Status(Code.INTERNAL, f"{self.call} answered a message that cannot be decoded: {error}")
            ) from error


@dataclass(slots=True)
class _LogChunks:
    """The log lines of an answer, read by read."""

    answer: Answer
    lines: LogLines

    def __aiter__(self) -> _LogChunks:
        return self

    async def __anext__(self) -> LogChunk:
        messages = await anext(self.answer)
        return self.lines.chunk(messages.items, messages.bad)


@dataclass(slots=True)
class _EventPages:
    """The events of an answer, read by read."""

    answer: Answer

    def __aiter__(self) -> _EventPages:
        return self

    async def __anext__(self) -> EventPage:
        messages = await anext(self.answer)
        events, bad = protojson.each(protojson.event, messages.items)
        return EventPage(tuple(events), undecodable=messages.bad + bad)
