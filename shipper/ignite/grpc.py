"""Ignite over gRPC: unary calls and streams as HTTP/2 bodies, decoded in bulk.

Why not grpc.aio: its cost is per message, and replay is the only way the platform offers to resume
(docs/performance.md). One client for calls and streams also means one place for TLS, tokens, deadlines and
statuses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from shipper.ignite import decode, plausible, wanted
from shipper.ignite.agreement import Agreement
from shipper.ignite.answer import Answer
from shipper.ignite.auth import TokenSource
from shipper.ignite.contract import Call, Contract, Twin
from shipper.ignite.decode import EventDecoder, LogDecoder, log_names
from shipper.ignite.framing import Messages, frame
from shipper.ignite.lanes import Lanes
from shipper.ignite.names import EnumNames
from shipper.ignite.port import EventPage, LogChunk, LogPage
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import Request, Transport
from shipper.ignite.wire import PATIENCE_S, Sent, Wire
from shipper.model import App, Replica

T = TypeVar("T")

CALL_TIMEOUT_S: Final = (
    10.0  # unary calls answer in milliseconds; a dead connection must be found in a minute
)
_HEADERS: Final = (
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("grpc-accept-encoding", "identity,gzip"),
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
    _calls: Wire[Answer] = field(init=False)
    _streams: Wire[Answer] = field(init=False)
    agreement: Agreement = field(init=False)
    _log_names: tuple[Twin, EnumNames] | None = None

    def __post_init__(self) -> None:
        self.lanes = Lanes(self.connect)
        self._streams = self._wire(self.lanes, self.patience_s)
        self._calls = self._wire(Lanes(self.connect))
        self.agreement = Agreement(self.base_url, self._first_message)

    def _wire(self, lanes: Lanes, patience_s: float | None = None) -> Wire[Answer]:
        question = _request("/grpc.health.v1.Health/Check", b"")  # answered, if only with UNIMPLEMENTED
        return Wire(self.base_url, self.tokens, lanes, self.headers, Answer.read, question, patience_s)

    async def aclose(self) -> None:
        """Close all connections. Calls and streams that are still open fail or are cut by their callers."""
        await self._streams.lanes.aclose()
        await self._calls.lanes.aclose()
        await self.tokens.aclose()

    async def contract(self) -> Contract:
        """The server's contract, asked for once; a failure to ask is CallFailed, and is tried again by the next
        caller.
        """
        return await self.agreement.contract()

    async def dialect(self) -> str:
        """How the server is spoken to, for people. Raises as `contract` does."""
        return f"gRPC, field numbers from {(await self.contract()).source.value}"

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
                if self.agreement.guessing:
                    plausible.check_apps(names)
                return names
            if cursors[-1] in cursors[:-1]:
                break
        raise CallFailed(Status(Code.INTERNAL, f"ListApps does not end: {len(cursors)} pages were read"))

    async def list_replicas(self, app: App) -> list[Replica]:
        call, request = await self._request("ListAppReplicas", app)
        page = await self._unary(call, request)
        replicas = decode.replicas(call.response, app, page.replicas)
        if self.agreement.guessing:
            plausible.check_replicas(replicas)
        return replicas

    async def get_logs(self, app: App, replica_id: str, limit: int = 0) -> LogPage:
        call, request = await self._request("GetAppLogs", app, replica_id=replica_id, limit=limit)
        page = await self._unary(call, request)
        chunk = self.log_decoder(call, replica_id).rows(page.lines)
        if self.agreement.guessing and page.lines:
            plausible.check_lines(replica_id, chunk)
        return LogPage(chunk, page.truncated)

    async def get_events(self, app: App) -> EventPage:
        call, request = await self._request("GetAppEvents", app)
        page = await self._unary(call, request)
        events = EventDecoder(call.response).rows(page.events)
        if self.agreement.guessing:
            plausible.check_events(events)
        return EventPage(events, page.truncated)

    def stream_logs(self, app: App, replica_id: str) -> AbstractAsyncContextManager[AsyncIterator[LogChunk]]:
        return _LogStream(self, app, replica_id)

    def stream_events(self, app: App) -> AbstractAsyncContextManager[AsyncIterator[EventPage]]:
        return _EventStream(self, app)

    async def stream(self, method: str, app: App, **fields: object) -> tuple[Call, Sent[Answer]]:
        """A stream of an app that is not opened yet."""
        call, request = await self._request(method, app, **fields)
        return call, await self._streams.stream(_request(call.path, request))

    def log_decoder(self, call: Call, replica_id: str) -> LogDecoder:
        """For one replica. All of them share the names of streams."""
        if self._log_names is None or self._log_names[0] is not call.response:
            self._log_names = (call.response, log_names(call.response))
        return LogDecoder(call.response, replica_id, self.agreement.guessing, self._log_names[1])

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
        try:
            async with self._calls.open(
                _request(call.path, request), deadline_s=self.call_timeout_s
            ) as answer:
                async for messages in answer:
                    bodies += messages.bodies
                    bad += messages.bad
                    if len(bodies) + bad > 1:
                        break
        except CallFailed as failure:
            raise CallFailed(self.agreement.failed(failure.status)) from failure
        if len(bodies) != 1 or bad:
            what = "a message that is too large or damaged" if bad else f"{len(bodies)} messages"
            raise CallFailed(Status(Code.INTERNAL, f"{call.name} answered {what} where one belongs"))
        message = decode.message(call.response, bodies[0])
        if message is None:
            raise CallFailed(Status(Code.INTERNAL, f"{call.name} answered a message that cannot be decoded"))
        self.agreement.succeeded()
        return message

    async def _first_message(self, path: str, request: bytes) -> bytes:
        async with self._calls.open(_request(path, request), deadline_s=self.call_timeout_s) as answer:
            async for messages in answer:
                if messages.bodies:
                    return messages.bodies[0]
        raise CallFailed(Status(Code.INTERNAL, f"{path} answered no message that can be read"))


class _Stream(Generic[T]):
    """An answer as the port hands it out: the context and the iterator in one, since thousands are open."""

    __slots__ = ("_answer", "_app", "_opened", "_platform", "_unchecked")

    def __init__(self, platform: GrpcPlatform, app: App) -> None:
        self._platform, self._app = platform, app
        self._unchecked = False

    async def open(self) -> Sent[Answer]:
        """What is sent; with it is known how to decode what comes."""
        raise NotImplementedError

    def decode(self, messages: Messages) -> T:
        """What came in one read."""
        raise NotImplementedError

    async def __aenter__(self) -> AsyncIterator[T]:
        self._opened = await self.open()
        self._unchecked = self._platform.agreement.guessing
        try:
            self._answer = await self._opened.__aenter__()
        except CallFailed as failure:
            raise self._failed(failure) from failure
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._opened.__aexit__(*error)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        try:
            messages = await self._answer.__anext__()
        except CallFailed as failure:
            raise self._failed(failure) from failure
        return self.decode(messages)

    def _failed(self, failure: CallFailed) -> CallFailed:
        return CallFailed(self._platform.agreement.failed(failure.status))


class _LogStream(_Stream[LogChunk]):
    """The log lines of a replica, read by read."""

    __slots__ = ("_decoder", "_replica_id")

    def __init__(self, platform: GrpcPlatform, app: App, replica_id: str) -> None:
        super().__init__(platform, app)
        self._replica_id = replica_id

    async def open(self) -> Sent[Answer]:
        call, sent = await self._platform.stream(
            "StreamAppLogs", self._app, replica_id=self._replica_id, from_start=True
        )
        self._decoder = self._platform.log_decoder(call, self._replica_id)
        return sent

    def decode(self, messages: Messages) -> LogChunk:
        chunk = self._decoder.decode(messages)
        if self._unchecked:
            plausible.check_lines(self._replica_id, chunk)
            self._unchecked = False
        return chunk


class _EventStream(_Stream[EventPage]):
    """The events of an app, read by read."""

    __slots__ = ("_decoder",)

    async def open(self) -> Sent[Answer]:
        call, sent = await self._platform.stream("StreamAppEvents", self._app)
        self._decoder = EventDecoder(call.response)
        return sent

    def decode(self, messages: Messages) -> EventPage:
        page = self._decoder.decode(messages)
        if self._unchecked:
            plausible.check_events(page.events)
            self._unchecked = False
        return page


def _request(path: str, message: bytes) -> Request:
    """A gRPC request with one message."""
    return Request("POST", path, _HEADERS, frame(message))
