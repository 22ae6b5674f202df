"""Drafts and builds over gRPC: the `Builds` port.

The contract of BuildService is asked for when it is first needed: a server may not have that service, and nothing else
is to depend on it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from google.protobuf.message import DecodeError

from shipper.ignite import decode
from shipper.ignite.agreement import Agreement
from shipper.ignite.answer import Answer
from shipper.ignite.build_log import Malformed, RawAnswer, StreamedLog, answered
from shipper.ignite.contract import Call, Contract, ContractMismatch, Source, bundled, offered
from shipper.ignite.framing import Messages
from shipper.ignite.grpc_stream import Stream
from shipper.ignite.long_field import LongField, LongMessage
from shipper.ignite.names import EnumNames
from shipper.ignite.paging import all_pages
from shipper.ignite.port import Build, BuildLog, Draft, Output
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.wanted import BUILD_SERVICE
from shipper.ignite.wire import Sent
from shipper.model import App


class Calls(Protocol):
    """What this half needs of the other half of the client; `agreement` is ComputeService's."""

    base_url: str
    agreement: Agreement

    async def contract(self) -> Contract:
        """ComputeService's. Raises CallFailed."""

    async def first_message(self, path: str, request: bytes) -> bytes:
        """The first message of an answer, whatever else it has. Raises CallFailed."""

    async def prepare(self, method: str, app: App | None = None, **fields: object) -> tuple[Call, bytes]:
        """A call of ComputeService and its request message. Raises CallFailed."""

    async def unary(self, call: Call, request: bytes, agreement: Agreement | None = None) -> Any:
        """The one message that a call answers; `agreement` is the one that it is of. Raises CallFailed."""

    async def send(self, call: Call, request: bytes) -> Sent[Answer]:
        """A stream that is not opened yet."""

    async def send_for_raw(self, call: Call, request: bytes) -> Sent[RawAnswer]:
        """A call, not yet made, whose answer may be of any size, and may be read slowly."""


@dataclass(slots=True)
class GrpcBuilds:
    """The port over the connections of `calls`."""

    calls: Calls
    agreement: Agreement = field(init=False)

    def __post_init__(self) -> None:
        calls = self.calls
        self.agreement = Agreement(calls.base_url, calls.first_message, BUILD_SERVICE, guesses=False)

    async def get_draft(self, app: App) -> Draft:
        call, request = await self.calls.prepare("GetDraftInfo", app)
        try:
            draft = (await self.calls.unary(call, request)).draft
        except CallFailed as failure:
            if failure.status.code is Code.NOT_FOUND:  # of the draft, or of the app
                return Draft()
            raise
        return Draft(decode.text(draft.deploy_id), decode.text(draft.image_ref), draft.created_at_ms)

    async def list_builds(self) -> list[Build]:
        contract = await self._build_contract()
        call = offered(contract, "ListBuilds")
        names = EnumNames(call.response.enums.get("status", {}), "BUILD_STATUS_")

        async def page(cursor: str) -> tuple[list[Build], str]:
            answer = await self.calls.unary(call, contract.encode(call.name, cursor=cursor), self.agreement)
            builds = [_build(row, names) for row in answer.builds]
            if contract.source is Source.BUNDLED and not all(_is_plausible(build) for build in builds):
                raise CallFailed(_misread(call.name))
            return builds, decode.text(answer.next_cursor)

        return await all_pages(call.name, page)

    @asynccontextmanager
    async def get_build_log(self, app: App, build_id: str) -> AsyncIterator[BuildLog]:
        calls = self.calls
        call, request = await calls.prepare("GetBuildLog", app, build_id=build_id)
        sent = await calls.send_for_raw(call, request)
        malformed = Code.UNIMPLEMENTED if calls.agreement.guessing else Code.INTERNAL
        try:
            async with answered(sent, calls.base_url) as answer:
                yield StreamedLog(answer, LogInMessage(answer, call), malformed)
        except CallFailed as failure:
            raise CallFailed(calls.agreement.failed(failure.status)) from failure

    def stream_compile_logs(
        self, deploy_id: str, *, from_start: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[Output]]:
        fields = {"deploy_id": deploy_id, "from_start": from_start}
        return _OutputStream(self, self.calls.agreement, "StreamCompileLogs", fields)

    def stream_build_logs(
        self, build_id: str, *, from_start: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[Output]]:
        fields = {"build_id": build_id, "from_start": from_start}
        return _OutputStream(self, self.agreement, "StreamBuildLogs", fields)

    async def open(
        self, agreement: Agreement, method: str, fields: dict[str, Any]
    ) -> tuple[Call, Sent[Answer]]:
        """A stream of the service of `agreement` that is not opened yet."""
        compute = agreement is self.calls.agreement
        contract = await (self.calls.contract() if compute else self._build_contract())
        call = offered(contract, method)
        return call, await self.calls.send(call, contract.encode(method, **fields))

    async def _build_contract(self) -> Contract:
        """Raises CallFailed: UNIMPLEMENTED where the server describes itself and has no such service."""
        if (await self.calls.contract()).source is Source.BUNDLED:
            return bundled(BUILD_SERVICE)
        try:
            return await self.agreement.contract()
        except ContractMismatch as mismatch:
            raise CallFailed(Status(Code.UNIMPLEMENTED, str(mismatch))) from mismatch


@dataclass(slots=True)
class LogInMessage:
    """The log in the answer of GetBuildLog, whatever its size; a `Parser`."""

    answer: RawAnswer
    call: Call
    found: bool = False
    _message: LongMessage = field(default_factory=LongMessage)
    _field: LongField = field(init=False)
    _any: bool = False

    def __post_init__(self) -> None:
        self._field = LongField(self._number("log"))

    def feed(self, data: bytes) -> Iterator[bytes]:
        for content in self._message.feed(data):
            for piece in self._field.feed(content):
                self._any = self._any or bool(piece)
                yield piece

    def finish(self) -> Iterator[bytes]:
        self.answer.check_grpc_end()
        if not self._message.begun:
            raise Malformed("0 messages")
        if not (self._message.complete and self._field.complete):
            message = f"{self.answer.base_url} ended the call in the middle of a build log"
            raise self.answer.failed(Status(Code.UNAVAILABLE, message))
        self.found = self._any or bool(self._field.numbers.get(self._number("found")))
        yield from ()  # all of it came before

    def _number(self, name: str) -> int:
        number: int = self.call.response.raw.DESCRIPTOR.fields_by_name[name].number
        return number


class _OutputStream(Stream[Output]):
    """What a build prints, read by read."""

    __slots__ = ("_builds", "_call", "_fields", "_method")

    def __init__(self, builds: GrpcBuilds, agreement: Agreement, method: str, fields: dict[str, Any]) -> None:
        super().__init__(agreement)
        self._builds, self._method, self._fields = builds, method, fields

    async def open(self) -> Sent[Answer]:
        self._call, sent = await self._builds.open(self._agreement, self._method, self._fields)
        return sent

    def decode(self, messages: Messages) -> Output:
        times: list[int] = []
        pieces: list[bytes] = []
        bad = messages.bad
        for body in messages.bodies:
            try:
                chunk = self._call.response.raw.FromString(body)
            except DecodeError:
                bad += 1
            else:
                times.append(chunk.timestamp_ms)
                pieces.append(chunk.data)
        return Output(times, pieces, bad)


def _build(row: Any, names: EnumNames) -> Build:
    return Build(
        build_id=decode.text(row.build_id),
        name=decode.text(row.name),
        app_name=decode.text(row.app_name),
        status=names[row.status],
        created_ms=row.created_at_ms,
    )


def _is_plausible(build: Build) -> bool:
    return bool(build.build_id) and build.build_id.isprintable() and build.name.isprintable()


def _misread(method: str) -> Status:
    return Status(
        Code.UNIMPLEMENTED,
        f"{method} answers what cannot be: the server offers no reflection, and the guessed field numbers do not fit",
    )
