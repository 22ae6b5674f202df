"""Ignite over gRPC: unary calls and streams as HTTP/2 bodies, decoded in bulk.

Why not grpc.aio: its cost is per message, and replay is the only way the platform offers to resume
(docs/performance.md). One client for calls and streams also means one place for TLS, tokens, deadlines and
statuses.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from shipper.ignite import decode, plausible
from shipper.ignite.agreement import Agreement
from shipper.ignite.answer import Answer
from shipper.ignite.auth import TokenSource
from shipper.ignite.build_log import RawAnswer
from shipper.ignite.contract import Call, Contract, Twin, offered
from shipper.ignite.decode import EventDecoder, LogDecoder, log_names
from shipper.ignite.framing import Messages, frame
from shipper.ignite.grpc_builds import GrpcBuilds
from shipper.ignite.grpc_stream import Stream
from shipper.ignite.lanes import Lanes
from shipper.ignite.names import EnumNames
from shipper.ignite.paging import all_pages
from shipper.ignite.port import EventPage, LogChunk, LogPage
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import Request, Response, Transport
from shipper.ignite.wire import PATIENCE_S, Read, Sent, Wire
from shipper.model import App, Replica

A = TypeVar("A")

CALL_TIMEOUT_S: Final = (
    10.0  # unary calls answer in milliseconds; a dead connection must be found in a minute
)
_HEADERS: Final = (
    ("content-type", "application/grpc"),
    ("te", "trailers"),
    ("grpc-accept-encoding", "identity,gzip"),
)


@dataclass(slots=True)
class GrpcPlatform:
    """The `Platform` port over gRPC. `connect` makes a transport; `base_url` is `http(s)://host:port`.

    Calls have connections of their own: streams that are not read (the buffer is full) use up the flow-control
    window of theirs. `admit` holds streams back with what they brought not yet decoded. Close with `aclose`. All on
    one event loop.
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
    _calls: Wire[Answer] = field(init=False)
    _streams: Wire[Answer] = field(init=False)
    _raw: Wire[RawAnswer] = field(init=False)
    builds: GrpcBuilds = field(init=False)
    agreement: Agreement = field(init=False)
    _log_names: tuple[Twin, EnumNames] | None = None

    def __post_init__(self) -> None:
        self.lanes = Lanes(self.connect)
        self._streams = self._wire(self._admitted, self.lanes, self.patience_s)
        self._raw = self._wire(RawAnswer.of_grpc, self.lanes, self.patience_s)
        self._calls = self._wire(Answer.read, Lanes(self.connect))
        self.agreement = Agreement(self.base_url, self.first_message)
        self.builds = GrpcBuilds(self)

    async def _admitted(
        self,
        response: Response,
        base_url: str,
        heard: Callable[[], None],
        failing: Callable[[Status], None],
    ) -> Answer:
        return await Answer.read(response, base_url, heard, failing, self.admit)

    def _wire(self, read: Read[A], lanes: Lanes, patience_s: float | None = None) -> Wire[A]:
        question = grpc_request("/grpc.health.v1.Health/Check", b"")  # answered, if only with UNIMPLEMENTED
        return Wire(self.base_url, self.tokens, lanes, self.headers, read, question, patience_s)

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
        async def page(cursor: str) -> tuple[list[str], str]:
            call, request = await self.prepare("ListApps", cursor=cursor)
            answer = await self.unary(call, request)
            return [decode.text(row.name) for row in answer.apps], decode.text(answer.next_cursor)

        names = await all_pages("ListApps", page)
        if self.agreement.guessing:
            plausible.check_apps(names)
        return names

    async def list_replicas(self, app: App) -> list[Replica]:
        call, request = await self.prepare("ListAppReplicas", app)
        page = await self.unary(call, request)
        replicas = decode.replicas(call.response, app, page.replicas)
        if self.agreement.guessing:
            plausible.check_replicas(replicas)
        return replicas

    async def get_logs(self, app: App, replica_id: str, limit: int = 0) -> LogPage:
        call, request = await self.prepare("GetAppLogs", app, replica_id=replica_id, limit=limit)
        page = await self.unary(call, request)
        chunk = self.log_decoder(call, replica_id).rows(page.lines)
        if self.agreement.guessing and page.lines:
            plausible.check_lines(replica_id, chunk)
        return LogPage(chunk, page.truncated)

    async def get_events(self, app: App) -> EventPage:
        call, request = await self.prepare("GetAppEvents", app)
        page = await self.unary(call, request)
        events = EventDecoder(call.response).rows(page.events)
        if self.agreement.guessing:
            plausible.check_events(events)
        return EventPage(events, page.truncated)

    def stream_logs(
        self, app: App, replica_id: str, *, from_start: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[LogChunk]]:
        return _LogStream(self, app, replica_id, from_start)

    def stream_events(self, app: App) -> AbstractAsyncContextManager[AsyncIterator[EventPage]]:
        return _EventStream(self, app)

    async def stream(self, method: str, app: App, **fields: object) -> tuple[Call, Sent[Answer]]:
        """A stream of an app that is not opened yet."""
        call, request = await self.prepare(method, app, **fields)
        return call, await self.send(call, request)

    async def send(self, call: Call, request: bytes) -> Sent[Answer]:
        """A stream that is not opened yet."""
        return await self._streams.stream(grpc_request(call.path, request))

    async def send_for_raw(self, call: Call, request: bytes) -> Sent[RawAnswer]:
        """A call, not yet made, whose answer may be of any size, and may be read slowly."""
        return await self._raw.stream(grpc_request(call.path, request))

    def log_decoder(self, call: Call, replica_id: str) -> LogDecoder:
        """For one replica. All of them share the names of streams."""
        if self._log_names is None or self._log_names[0] is not call.response:
            self._log_names = (call.response, log_names(call.response))
        return LogDecoder(call.response, replica_id, self.agreement.guessing, self._log_names[1])

    # ---- calls ----

    async def prepare(self, method: str, app: App | None = None, **fields: object) -> tuple[Call, bytes]:
        """A call and its request message. Raises CallFailed where the server has no such method."""
        contract = await self.contract()
        call = offered(contract, method)
        fields["organization_name"] = self.organization if app is None else app.organization
        if app is not None:
            fields["app_name"] = app.name
        return call, contract.encode(method, **fields)

    async def unary(self, call: Call, request: bytes, agreement: Agreement | None = None) -> Any:
        """The one message that a call answers. `agreement` is the one that the call is of, if not ComputeService's."""
        agreement = agreement or self.agreement
        bodies: list[bytes] = []
        bad = 0
        try:
            async with self._calls.open(
                grpc_request(call.path, request), deadline_s=self.call_timeout_s
            ) as answer:
                async for messages in answer:
                    bodies += messages.bodies
                    bad += messages.bad
                    if len(bodies) + bad > 1:
                        break
        except CallFailed as failure:
            raise CallFailed(agreement.failed(failure.status)) from failure
        if len(bodies) != 1 or bad:
            what = "a message that is too large or damaged" if bad else f"{len(bodies)} messages"
            raise CallFailed(Status(Code.INTERNAL, f"{call.name} answered {what} where one belongs"))
        message = decode.message(call.response, bodies[0])
        if message is None:
            raise CallFailed(Status(Code.INTERNAL, f"{call.name} answered a message that cannot be decoded"))
        agreement.succeeded()
        return message

    async def first_message(self, path: str, request: bytes) -> bytes:
        """The first message of an answer, whatever else it has."""
        async with self._calls.open(grpc_request(path, request), deadline_s=self.call_timeout_s) as answer:
            async for messages in answer:
                if messages.bodies:
                    return messages.bodies[0]
        raise CallFailed(Status(Code.INTERNAL, f"{path} answered no message that can be read"))


class _LogStream(Stream[LogChunk]):
    """The log lines of a replica, read by read."""

    __slots__ = ("_app", "_decoder", "_from_start", "_platform", "_replica_id")

    def __init__(self, platform: GrpcPlatform, app: App, replica_id: str, from_start: bool) -> None:
        super().__init__(platform.agreement)
        self._platform, self._app, self._replica_id = platform, app, replica_id
        self._from_start = from_start

    async def open(self) -> Sent[Answer]:
        call, sent = await self._platform.stream(
            "StreamAppLogs", self._app, replica_id=self._replica_id, from_start=self._from_start
        )
        self._decoder = self._platform.log_decoder(call, self._replica_id)
        return sent

    def decode(self, messages: Messages) -> LogChunk:
        chunk = self._decoder.decode(messages)
        if self.unchecked:
            plausible.check_lines(self._replica_id, chunk)
            self.unchecked = False
        return chunk


class _EventStream(Stream[EventPage]):
    """The events of an app, read by read."""

    __slots__ = ("_app", "_decoder", "_platform")

    def __init__(self, platform: GrpcPlatform, app: App) -> None:
        super().__init__(platform.agreement)
        self._platform, self._app = platform, app

    async def open(self) -> Sent[Answer]:
        call, sent = await self._platform.stream("StreamAppEvents", self._app)
        self._decoder = EventDecoder(call.response)
        return sent

    def decode(self, messages: Messages) -> EventPage:
        page = self._decoder.decode(messages)
        if self.unchecked:
            plausible.check_events(page.events)
            self.unchecked = False
        return page


def grpc_request(path: str, message: bytes) -> Request:
    """A gRPC request with one message."""
    return Request("POST", path, _HEADERS, frame(message))
