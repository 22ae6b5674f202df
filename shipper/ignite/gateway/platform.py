"""Ignite over its HTTP gateway: the `Platform` port in JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from shipper.ignite.auth import TokenSource
from shipper.ignite.build_log import RawAnswer
from shipper.ignite.gateway import protojson
from shipper.ignite.gateway.answer import Answer, Messages
from shipper.ignite.gateway.builds import HttpBuilds, raw_answer
from shipper.ignite.gateway.protojson import LogLines, NotProtoJson
from shipper.ignite.gateway.routes import HEALTH, ROUTES
from shipper.ignite.gateway.served import Served
from shipper.ignite.gateway.stream import Stream
from shipper.ignite.lanes import Lanes
from shipper.ignite.paging import all_pages
from shipper.ignite.port import EventPage, LogChunk, LogPage
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import Request, Response, Transport
from shipper.ignite.wire import PATIENCE_S, Read, Sent, Wire
from shipper.model import App, Replica

A = TypeVar("A")
T = TypeVar("T")

CALL_TIMEOUT_S: Final = 10.0  # as with gRPC
HEADERS: Final = (
    ("accept", "application/json, application/x-ndjson, text/event-stream"),
    ("accept-encoding", "identity"),  # a compressor in between would hold lines back until it has enough
)


@dataclass(slots=True)
class HttpPlatform:
    """The `Platform` port over HTTP. `connect` makes a transport; `base_url` is `http(s)://host:port`.

    Calls have connections of their own, and `admit` holds streams back, as with gRPC. Close with `aclose`. All on one
    event loop.
    """

    base_url: str
    organization: str
    tokens: TokenSource
    connect: Callable[[], Transport]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    call_timeout_s: float = CALL_TIMEOUT_S
    patience_s: float = PATIENCE_S
    admit: Callable[[], Awaitable[None]] | None = None
    lanes: Lanes = field(init=False)
    served: Served = field(default_factory=Served)
    builds: HttpBuilds = field(init=False)
    _calls: Wire[Answer] = field(init=False)
    _streams: Wire[Answer] = field(init=False)
    _raw: Wire[RawAnswer] = field(init=False)

    def __post_init__(self) -> None:
        self.lanes = Lanes(self.connect)
        self._streams = self._wire(self._admitted, self.lanes, self.patience_s)
        self._raw = self._wire(raw_answer, self.lanes, self.patience_s)
        self._calls = self._wire(Answer.read, Lanes(self.connect))
        self.builds = HttpBuilds(self)

    async def _admitted(
        self,
        response: Response,
        base_url: str,
        heard: Callable[[], None],
        failing: Callable[[Status], None],
    ) -> Answer:
        return await Answer.read(response, base_url, heard, failing, self.admit)

    def _wire(self, read: Read[A], lanes: Lanes, patience_s: float | None = None) -> Wire[A]:
        question = Request("GET", HEALTH, HEADERS)
        return Wire(self.base_url, self.tokens, lanes, self.headers, read, question, patience_s)

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
        async def page(cursor: str) -> tuple[list[str], str]:
            answer = await self.unary("ListApps", organization_name=self.organization, cursor=cursor)
            with understood("ListApps"):
                names = [protojson.text(row, "name") for row in protojson.rows(answer, "apps")]
                return names, protojson.text(answer, "next_cursor")

        return await all_pages("ListApps", page)

    async def list_replicas(self, app: App) -> list[Replica]:
        page = await self.unary("ListAppReplicas", app)
        with understood("ListAppReplicas"):
            return [protojson.replica(app)(row) for row in protojson.rows(page, "replicas")]

    async def get_logs(self, app: App, replica_id: str, limit: int = 0) -> LogPage:
        page = await self.unary("GetAppLogs", app, replica_id=replica_id, limit=limit)
        with understood("GetAppLogs"):
            chunk = LogLines(replica_id).chunk(protojson.rows(page, "lines"))
            return LogPage(chunk, protojson.flag(page, "truncated"))

    async def get_events(self, app: App) -> EventPage:
        page = await self.unary("GetAppEvents", app)
        with understood("GetAppEvents"):
            events, bad = protojson.each(protojson.event, protojson.rows(page, "events"))
            return EventPage(tuple(events), protojson.flag(page, "truncated"), bad)

    def stream_logs(
        self, app: App, replica_id: str, *, from_start: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[LogChunk]]:
        lines = LogLines(replica_id)
        return self.stream(
            "StreamAppLogs",
            lambda messages: lines.chunk(messages.items, messages.bad),
            app,
            replica_id=replica_id,
            from_start=from_start,
        )

    def stream_events(self, app: App) -> AbstractAsyncContextManager[AsyncIterator[EventPage]]:
        return self.stream("StreamAppEvents", _event_page, app)

    # ---- calls ----

    def request(self, call: str, app: App | None = None, **fields: object) -> Request:
        """The request of a call."""
        if app is not None:
            fields |= {"organization_name": app.organization, "app_name": app.name}
        return Request("GET", ROUTES[call].url(fields), HEADERS)

    async def unary(self, call: str, app: App | None = None, **fields: object) -> Mapping[str, Any]:
        """The one message that a call answers."""
        request = self.request(call, app, **fields)
        try:
            async with self._calls.open(request, deadline_s=self.call_timeout_s) as answer:
                message = await answer.whole()
        except CallFailed as failure:
            raise self.served.explain(call, failure) from failure
        self.served.note(call)
        return message

    def stream(
        self, call: str, decode: Callable[[Messages], T], app: App | None = None, **fields: object
    ) -> Stream[T]:
        """A stream that is opened when it is entered."""
        request = self.request(call, app, **fields)
        return Stream(call, request, self.send, decode, self.served)

    async def send(self, request: Request) -> Sent[Answer]:
        """A stream that is not opened yet."""
        return await self._streams.stream(request)

    async def send_for_raw(self, request: Request) -> Sent[RawAnswer]:
        """A call, not yet made, whose answer may be of any size, and may be read slowly."""
        return await self._raw.stream(request)


@contextmanager
def understood(call: str) -> Iterator[None]:
    """Inside, a message that is not what its call answers is a call that failed."""
    try:
        yield
    except NotProtoJson as error:
        message = f"{call} answered a message that cannot be decoded: {error}"
        raise CallFailed(Status(Code.INTERNAL, message)) from error


def _event_page(messages: Messages) -> EventPage:
    events, bad = protojson.each(protojson.event, messages.items)
    return EventPage(tuple(events), undecodable=messages.bad + bad)
