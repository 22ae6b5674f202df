"""Ignite over gRPC: unary calls and streams as HTTP/2 bodies, decoded in bulk.

Why not grpc.aio: its cost is per message, and replay is the only way the platform offers to resume
(docs/performance.md). One client for calls and streams also means one place for TLS, tokens, deadlines and
statuses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from shipper.ignite import decode, plausible, wanted
from shipper.ignite.agreement import Agreement
from shipper.ignite.answer import Answer
from shipper.ignite.auth import TokenSource
from shipper.ignite.contract import Call, Contract
from shipper.ignite.decode import EventDecoder, LogDecoder
from shipper.ignite.lanes import Lanes
from shipper.ignite.port import EventPage, LogChunk, LogPage
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import Transport
from shipper.ignite.wire import PATIENCE_S, Wire
from shipper.model import App, Replica

CALL_TIMEOUT_S: Final = (
    10.0  # unary calls answer in milliseconds; a dead connection must be found in a minute
)
_MOST_PAGES: Final = 1_000  # a server whose cursor never ends must not keep us asking


@dataclass(slots=True)
class GrpcPlatform:
    """The `Platform` port over gRPC. `connect` makes a transport; `base_url` is `http(s)://host:port`.

    Calls have connections of their own: streams that are not read (the buffer is full) use up the flow-control
    window of theirs. Close with `aclose`. All on one event loop.
    """

    base_url: str
    organization: str
    tokens: TokenSource
    connect: Callable[[], Transport]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    call_timeout_s: float = CALL_TIMEOUT_S
    patience_s: float = PATIENCE_S
    lanes: Lanes = field(init=False)
    _calls: Wire = field(init=False)
    _streams: Wire = field(init=False)
    _agreement: Agreement = field(init=False)

    def __post_init__(self) -> None:
        self.lanes = Lanes(self.connect)
        self._streams = Wire(self.base_url, self.tokens, self.lanes, self.headers, self.patience_s)
        self._calls = Wire(self.base_url, self.tokens, Lanes(self.connect), self.headers)
        self._agreement = Agreement(self.base_url, self._first_message)

    async def aclose(self) -> None:
        """Close all connections. Calls and streams that are still open fail or are cut by their callers."""
        await self._streams.lanes.aclose()
        await self._calls.lanes.aclose()
        await self.tokens.aclose()

    async def contract(self) -> Contract:
        """The server's contract, asked for once; a failure to ask is CallFailed, and is tried again by the next
        caller.
        """
        return await self._agreement.contract()

    # ---- the port ----

    async def list_apps(self) -> list[str]:
        names: list[str] = []
        cursors = [""]
        while len(cursors) <= _MOST_PAGES:
            call, request = await self._request("ListApps", cursor=cursors[-1])
            page = await self._unary(call, request)
            names.extend(decode.text(row.name) for row in page.apps)
            cursors.append(decode.text(page.next_cursor))
            if not cursors[-1]:
                if self._agreement.guessing:
                    plausible.check_apps(names)
                return names
            if cursors[-1] in cursors[:-1]:
                break
        raise CallFailed(Status(Code.INTERNAL, f"ListApps does not end: {len(cursors)} pages were read"))

    async def list_replicas(self, app: App) -> list[Replica]:
        call, request = await self._request("ListAppReplicas", app)
        page = await self._unary(call, request)
        replicas = decode.replicas(call.response, app, page.replicas)
        if self._agreement.guessing:
            plausible.check_replicas(replicas)
        return replicas

    async def get_logs(self, app: App, replica_id: str, limit: int = 0) -> LogPage:
        call, request = await self._request("GetAppLogs", app, replica_id=replica_id, limit=limit)
        page = await self._unary(call, request)
        chunk = LogDecoder(call.response, replica_id, strict=self._agreement.guessing).rows(page.lines)
        if self._agreement.guessing and page.lines:
            plausible.check_lines(replica_id, chunk)
        return LogPage(chunk, page.truncated)

    async def get_events(self, app: App) -> EventPage:
        call, request = await self._request("GetAppEvents", app)
        page = await self._unary(call, request)
        events = EventDecoder(call.response).rows(page.events)
        if self._agreement.guessing:
            plausible.check_events(events)
        return EventPage(events, page.truncated)

    @asynccontextmanager
    async def stream_logs(self, app: App, replica_id: str) -> AsyncIterator[AsyncIterator[LogChunk]]:
        call, request = await self._request("StreamAppLogs", app, replica_id=replica_id, from_start=True)
        guessing = self._agreement.guessing
        decoder = LogDecoder(call.response, replica_id, strict=guessing)
        async with self._open(self._streams, call, request) as answer:
            yield _LogChunks(answer, decoder, guessing)

    @asynccontextmanager
    async def stream_events(self, app: App) -> AsyncIterator[AsyncIterator[EventPage]]:
        call, request = await self._request("StreamAppEvents", app)
        async with self._open(self._streams, call, request) as answer:
            yield _EventPages(answer, EventDecoder(call.response), self._agreement.guessing)

    # ---- calls ----

    async def _request(self, method: str, app: App | None = None, **fields: object) -> tuple[Call, bytes]:
        contract = await self.contract()
        call = contract.calls.get(method)
        if call is None:
            raise CallFailed(
                Status(Code.UNIMPLEMENTED, f"the server has no method {wanted.SERVICE}/{method}")
            )
        fields["organization_name"] = self.organization if app is None else app.organization
        if app is not None:
            fields["app_name"] = app.name
        return call, contract.encode(method, **fields)

    async def _unary(self, call: Call, request: bytes) -> Any:
        bodies: list[bytes] = []
        bad = 0
        async with self._open(self._calls, call, request, self.call_timeout_s) as answer:
            async for messages in answer:
                bodies += messages.bodies
                bad += messages.bad
                if len(bodies) + bad > 1:
                    break
        if len(bodies) != 1 or bad:
            what = "a message that is too large or damaged" if bad else f"{len(bodies)} messages"
            raise CallFailed(Status(Code.INTERNAL, f"{call.name} answered {what} where one belongs"))
        message = decode.message(call.response, bodies[0])
        if message is None:
            raise CallFailed(Status(Code.INTERNAL, f"{call.name} answered a message that cannot be decoded"))
        self._agreement.succeeded()
        return message

    @asynccontextmanager
    async def _open(
        self, wire: Wire, call: Call, request: bytes, deadline_s: float | None = None
    ) -> AsyncIterator[Answer]:
        try:
            async with wire.open(call.path, request, deadline_s=deadline_s) as answer:
                yield answer
        except CallFailed as failure:
            raise CallFailed(self._agreement.failed(failure.status)) from failure

    async def _first_message(self, path: str, request: bytes) -> bytes:
        async with self._calls.open(path, request, deadline_s=self.call_timeout_s) as answer:
            async for messages in answer:
                if messages.bodies:
                    return messages.bodies[0]
        raise CallFailed(Status(Code.INTERNAL, f"{path} answered no message that can be read"))


@dataclass(slots=True)
class _LogChunks:
    """The log lines of an answer, read by read."""

    answer: Answer
    decoder: LogDecoder
    unchecked: bool

    def __aiter__(self) -> _LogChunks:
        return self

    async def __anext__(self) -> LogChunk:
        chunk = self.decoder.decode(await anext(self.answer))
        if self.unchecked:
            plausible.check_lines(self.decoder.replica_id, chunk)
            self.unchecked = False
        return chunk


@dataclass(slots=True)
class _EventPages:
    """The events of an answer, read by read."""

    answer: Answer
    decoder: EventDecoder
    unchecked: bool

    def __aiter__(self) -> _EventPages:
        return self

    async def __anext__(self) -> EventPage:
        page = self.decoder.decode(await anext(self.answer))
        if self.unchecked:
            plausible.check_events(page.events)
            self.unchecked = False
        return page
