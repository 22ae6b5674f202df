"""An answer of the HTTP gateway as it comes in: messages, read by read, and how it failed if it did."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shipper.ignite.ending import grpc_status
from shipper.ignite.failures import status_of
from shipper.ignite.gateway.envelope import unwrap, unwrap_all
from shipper.ignite.gateway.parsing import parsed
from shipper.ignite.gateway.refusal import readable, refusal
from shipper.ignite.gateway.scanner import MAX_VALUE
from shipper.ignite.gateway.values import ValueReader, Values
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import Response, TransportError, tidy

_NO_CONTENT: Final = 204
_REFUSAL: Final = 64 * 1024  # bytes of a refusal that are read
_REFUSAL_S: Final = 5.0  # and for how long


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages of one read, in order. `bad` counts what was left out."""

    items: Sequence[Mapping[str, Any]]
    bad: int = 0


@dataclass(slots=True)
class Answer:
    """Iterates over the messages of each read. Ends where the server ends it, or raises CallFailed.

    A plain iterator and no generator, so that one left in the middle needs no closing. `heard` is called with each
    read, `failing` with how the call failed, before the caller learns of it. `admit` is awaited with what was read in
    hand, before anything is made of it.
    """

    response: Response
    base_url: str
    heard: Callable[[], None]
    failing: Callable[[Status], None]
    admit: Callable[[], Awaitable[None]] | None = None
    _content: AsyncIterator[bytes] = field(init=False)
    _reader: ValueReader = field(init=False)
    _failure: Status | None = None
    _ended: bool = False

    def __post_init__(self) -> None:
        self._content = self.response.body()
        self._reader = ValueReader(self._header("content-type"))

    @classmethod
    async def read(
        cls,
        response: Response,
        base_url: str,
        heard: Callable[[], None],
        failing: Callable[[Status], None],
        admit: Callable[[], Awaitable[None]] | None = None,
    ) -> Answer:
        """The answer that a response is. Raises CallFailed where it is a refusal, whose body is read for the reason, or
        no JSON.
        """
        answer = cls(response, base_url, heard, failing, admit)
        if response.status not in (200, _NO_CONTENT):
            raise answer._failed(refusal(response.status, response.headers, await answer._text()))
        strange = await answer._strange()
        if strange:
            raise answer._failed(Status(Code.UNKNOWN, f"{base_url} {strange}", genuine=False))
        return answer

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> Messages:
        while self._failure is None and not self._ended:
            data = await self._next()
            if data is not None and self.admit is not None:
                await self.admit()
            values = self._finish() if data is None else self._fed(data)
            unwrapped = unwrap_all(values.items)
            self._failure = unwrapped.failure or self._failure
            if self._reader.broken and self._failure is None:
                self._failure = Status(Code.UNKNOWN, f"{self.base_url}: {self._reader.broken}", genuine=False)
            if unwrapped.messages or values.bad:
                return Messages(unwrapped.messages, values.bad)
        if self._failure is not None:
            raise self._failed(self._failure)
        raise StopAsyncIteration

    async def whole(self, limit: int = MAX_VALUE) -> Mapping[str, Any]:
        """The one message that a unary call answers. Raises CallFailed."""
        body = bytearray()
        while (data := await self._next()) is not None:
            body += data
            if len(body) > limit:
                raise self._failed(Status(Code.INTERNAL, f"{self.base_url} answered more than {limit} bytes"))
        if self.response.status == _NO_CONTENT and not body:
            return {}
        value = _object(bytes(body))
        if value is None:
            shown = readable(bytes(body[:_REFUSAL]), self._header("content-type"))
            raise self._failed(
                Status(
                    Code.UNKNOWN,
                    f"{self.base_url} answered no JSON object: {shown or 'nothing'}",
                    genuine=False,
                )
            )
        message = unwrap(value)
        if isinstance(message, Status):
            raise self._failed(message)
        return {"data": message} if isinstance(message, list) else message or {}

    def _fed(self, data: bytes) -> Values:
        self.heard()
        return self._reader.feed(data)

    def _finish(self) -> Values:
        """The body has ended: what that completes, and whether it ended where it may."""
        self._ended = True
        values = self._reader.end()
        said = grpc_status(self.response.trailers)
        if said is not None and said.code is not Code.OK:
            self._failure = said
        elif self._reader.incomplete:
            message = f"{self.base_url} ended the answer in the middle of a message"
            self._failure = Status(Code.UNAVAILABLE, message)
        return values

    async def _next(self) -> bytes | None:
        try:
            return await anext(self._content, None)
        except TransportError as error:
            raise self._failed(status_of(error, self.base_url, known=True)) from error

    async def _strange(self) -> str:
        """What is wrong with an answer that is well by its status, so that it cannot be read."""
        kind, coding = self._header("content-type"), self._header("content-encoding")
        if kind.startswith("application/grpc"):
            return "is a gRPC server: write grpcs:// (or grpc://) in ignite.endpoint"
        if coding not in ("", "identity"):
            return f"answers in content-encoding {tidy(coding)!r}, which was not asked for"
        if "html" in kind:
            page = readable(await self._text(), kind)
            return (
                f"answered a page ({page}) where JSON belongs: check ignite.endpoint and what "
                "stands in front of it"
            )
        return ""

    async def _text(self) -> bytes:
        """The beginning of a body that is no message; one that breaks off, or does not end, is as long as it came."""
        body = bytearray()
        try:
            async with asyncio.timeout(_REFUSAL_S) as scope:
                while len(body) < _REFUSAL and (data := await anext(self._content, None)) is not None:
                    body += data
        except TransportError:
            pass
        except TimeoutError:
            if not scope.expired():
                raise
        return bytes(body[:_REFUSAL])

    def _header(self, name: str) -> str:
        return self.response.headers.get(name) or ""

    def _failed(self, status: Status) -> CallFailed:
        self.failing(status)
        return CallFailed(status)


def _object(body: bytes) -> dict[str, Any] | None:
    """The object that a body is; a bare list of objects is taken for an envelope's."""
    value = parsed(body)
    if isinstance(value, list) and all(isinstance(each, dict) for each in value):
        return {"data": value}
    return value if isinstance(value, dict) else None
