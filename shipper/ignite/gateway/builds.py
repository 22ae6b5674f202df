"""Drafts and builds over the HTTP gateway: the `Builds` port in JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from shipper.ignite.build_log import Malformed, RawAnswer, StreamedLog, answered
from shipper.ignite.gateway import protojson
from shipper.ignite.gateway.answer import Answer, Messages
from shipper.ignite.gateway.envelope import unwrap
from shipper.ignite.gateway.long_string import Base64, LongString
from shipper.ignite.gateway.parsing import parsed
from shipper.ignite.gateway.protojson import NotProtoJson
from shipper.ignite.gateway.refusal import readable
from shipper.ignite.gateway.served import Served
from shipper.ignite.gateway.stream import Stream
from shipper.ignite.paging import all_pages
from shipper.ignite.port import Build, BuildLog, Draft, Output
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import Request, Response
from shipper.ignite.wire import Sent
from shipper.model import App

T = TypeVar("T")

_STATUSES: Final = protojson.enum_names("BuildStatus", "BUILD_STATUS_")


class Calls(Protocol):
    """What this half needs of the other half of the client."""

    base_url: str
    served: Served

    def request(self, call: str, app: App | None = None, **fields: object) -> Request:
        """The request of a call."""

    async def unary(self, call: str, app: App | None = None, **fields: object) -> Mapping[str, Any]:
        """The one message that a call answers. Raises CallFailed."""

    def stream(
        self, call: str, decode: Callable[[Messages], T], app: App | None = None, **fields: object
    ) -> Stream[T]:
        """A stream that is opened when it is entered."""

    async def send_for_raw(self, request: Request) -> Sent[RawAnswer]:
        """A call, not yet made, whose answer may be of any size, and may be read slowly."""


@dataclass(slots=True)
class HttpBuilds:
    """The port over the connections of `calls`."""

    calls: Calls

    async def get_draft(self, app: App) -> Draft:
        try:
            answer = await self.calls.unary("GetDraftInfo", app)
        except CallFailed as failure:
            if failure.status.code is Code.NOT_FOUND:  # of the draft, or of the app
                return Draft()
            raise
        inner = answer.get("draft")
        draft = inner if isinstance(inner, dict) else answer  # where that is a list or a text, there is none
        with _understood("GetDraftInfo"):
            return Draft(
                protojson.text(draft, "deploy_id"),
                protojson.text(draft, "image_ref"),
                protojson.integer(draft, "created_at_ms"),
            )

    async def list_builds(self) -> list[Build]:
        async def page(cursor: str) -> tuple[list[Build], str]:
            answer = await self.calls.unary("ListBuilds", cursor=cursor)
            with _understood("ListBuilds"):
                rows = protojson.rows(answer, "builds")
                return [_build(row) for row in rows], protojson.text(answer, "next_cursor")

        return await all_pages("ListBuilds", page)

    @asynccontextmanager
    async def get_build_log(self, app: App, build_id: str) -> AsyncIterator[BuildLog]:
        calls = self.calls
        sent = await calls.send_for_raw(calls.request("GetBuildLog", app, build_id=build_id))
        try:
            async with answered(sent, calls.base_url) as answer:
                calls.served.note("GetBuildLog")
                yield StreamedLog(answer, LogInJson(answer))
        except CallFailed as failure:
            raise calls.served.explain("GetBuildLog", failure) from failure

    def stream_compile_logs(
        self, deploy_id: str, *, from_start: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[Output]]:
        return self.calls.stream("StreamCompileLogs", _output, deploy_id=deploy_id, from_start=from_start)

    def stream_build_logs(
        self, build_id: str, *, from_start: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[Output]]:
        return self.calls.stream("StreamBuildLogs", _output, build_id=build_id, from_start=from_start)


async def raw_answer(
    response: Response, base_url: str, heard: Callable[[], None], failing: Callable[[Status], None]
) -> RawAnswer:
    """The bytes of an answer. Raises CallFailed where it is a refusal."""
    if response.status != 200:
        await Answer.read(response, base_url, heard, failing)
    return RawAnswer(response, base_url, heard, failing)


@dataclass(slots=True)
class LogInJson:
    """The log in the answer of GetBuildLog, whatever its size; a `Parser`."""

    answer: RawAnswer
    found: bool = False
    _string: LongString = field(default_factory=lambda: LongString(b"log"))
    _base64: Base64 = field(default_factory=Base64)
    _any: bool = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        for text in self._string.feed(data):
            self._any = self._any or bool(text)
            yield self._base64.feed(text)

    def finish(self) -> Iterator[bytes]:
        beside = bytes(self._string.beside)
        value = parsed(beside)
        if not isinstance(value, dict):
            if self._any:
                message = f"{self.answer.base_url} ended the answer in the middle of a build log"
                raise self.answer.failed(Status(Code.UNAVAILABLE, message))
            kind = self.answer.response.headers.get("content-type") or ""
            raise Malformed(f"no JSON object: {readable(beside, kind)}")
        inner = unwrap(value)
        if isinstance(inner, Status):
            raise self.answer.failed(inner)
        try:
            said = isinstance(inner, dict) and protojson.flag(inner, "found")
        except NotProtoJson as error:
            raise Malformed(str(error)) from error
        yield self._base64.finish()
        self.found = said or self._any


def _output(messages: Messages) -> Output:
    pieces, bad = protojson.each(_piece, messages.items)
    return Output([time for time, _ in pieces], [data for _, data in pieces], messages.bad + bad)


def _piece(message: Mapping[str, Any]) -> tuple[int, bytes]:
    return protojson.integer(message, "timestamp_ms"), protojson.data(message, "data")


def _build(row: Mapping[str, Any]) -> Build:
    """`id` in place of `build_id`, as apps have it, costs nothing to read."""
    return Build(
        build_id=protojson.text(row, "build_id") or protojson.text(row, "id"),
        name=protojson.text(row, "name"),
        app_name=protojson.text(row, "app_name"),
        status=protojson.enum(row, "status", _STATUSES),
        created_ms=protojson.integer(row, "created_at_ms"),
    )


@contextmanager
def _understood(call: str) -> Iterator[None]:
    """Inside, a message that is not what its call answers is a call that failed."""
    try:
        yield
    except NotProtoJson as error:
        message = f"{call} answered a message that cannot be decoded: {error}"
        raise CallFailed(Status(Code.INTERNAL, message)) from error
