"""An answer of the HTTP gateway as it comes in: messages, read by read, and how it failed if it did."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from html import unescape
from typing import Any, Final

import orjson

from shipper.ignite.failures import status_of
from shipper.ignite.gateway.envelope import failure_in, unwrap, unwrap_all
from shipper.ignite.gateway.scanner import MAX_VALUE
from shipper.ignite.gateway.values import ValueReader
from shipper.ignite.retry_info import retry_after_s
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import Response, TransportError, tidy

# What google.api.http's mapping says, read backwards
# (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto). An answer that names a gRPC code itself
# is believed more: a 404 may be an app that is not there, or a route that is not served.
_CODES: Final[Mapping[int, Code]] = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    405: Code.UNIMPLEMENTED,
    408: Code.DEADLINE_EXCEEDED,
    409: Code.ABORTED,
    412: Code.FAILED_PRECONDITION,
    429: Code.RESOURCE_EXHAUSTED,
    499: Code.CANCELLED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}
_ERROR_BODY: Final = 64 * 1024  # bytes of a refusal that are read
_SHOWN: Final = 200
_TITLE: Final = re.compile(r"<title[^>]*>(.*?)</title>|<h1[^>]*>(.*?)</h1>", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<[^>]*>")


@dataclass(frozen=True, slots=True)
class Messages:
    """The messages of one read, in order. `bad` counts what was left out."""

    items: Sequence[Mapping[str, Any]]
    bad: int = 0


@dataclass(slots=True)
class Answer:
    """Iterates over the messages of each read. Ends where the server ends it, or raises CallFailed."""

    response: Response
    base_url: str
    heard: Callable[[], None]
    failing: Callable[[Status], None]
    _content: AsyncIterator[bytes] = field(init=False)
    _reader: ValueReader = field(init=False)
    _failure: Status | None = None

    def __post_init__(self) -> None:
        self._content = self.response.body()
        self._reader = ValueReader(self.response.headers.get("content-type") or "")

    @classmethod
    async def read(
        cls, response: Response, base_url: str, heard: Callable[[], None], failing: Callable[[Status], None]
    ) -> Answer:
        """The answer that a response is. Raises CallFailed where it is a refusal, whose body is read for the reason."""
        answer = cls(response, base_url, heard, failing)
        if response.status != 200:
            raise answer._failed(refusal(response.status, response.headers, await answer._text()))
        return answer

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> Messages:
        while self._failure is None and not self._reader.broken:
            data = await self._next()
            if data is None:
                if self._reader.incomplete:
                    self._failure = Status(
                        Code.UNAVAILABLE, f"{self.base_url} ended the answer in the middle of a message"
                    )
                    break
                raise StopAsyncIteration
            self.heard()
            values = self._reader.feed(data)
            unwrapped = unwrap_all(values.items)
            self._failure = unwrapped.failure
            if unwrapped.messages or values.bad:
                return Messages(unwrapped.messages, values.bad)
        raise self._failed(
            self._failure
            or Status(Code.UNKNOWN, f"{self.base_url}: {tidy(self._reader.broken)}", genuine=False)
        )

    async def whole(self, limit: int = MAX_VALUE) -> Mapping[str, Any]:
        """The one message that a unary call answers. Raises CallFailed."""
        body = bytearray()
        while (data := await self._next()) is not None:
            body += data
            if len(body) > limit:
                raise self._failed(Status(Code.INTERNAL, f"{self.base_url} answered more than {limit} bytes"))
        try:
            value = orjson.loads(bytes(body))
        except orjson.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            shown = readable(bytes(body), self.response.headers.get("content-type") or "")
            raise self._failed(
                Status(Code.UNKNOWN, f"{self.base_url} answered no JSON object: {shown}", genuine=False)
            )
        message = unwrap(value)
        if isinstance(message, Status):
            raise self._failed(message)
        return message

    async def _next(self) -> bytes | None:
        try:
            return await anext(self._content, None)
        except TransportError as error:
            raise self._failed(status_of(error, self.base_url, known=True)) from error

    async def _text(self) -> bytes:
        """The beginning of a refusal's body; a body that breaks off is as long as it came."""
        body = bytearray()
        try:
            while len(body) < _ERROR_BODY and (data := await anext(self._content, None)) is not None:
                body += data
        except TransportError:
            pass
        return bytes(body[:_ERROR_BODY])

    def _failed(self, status: Status) -> CallFailed:
        self.failing(status)
        return CallFailed(status)


def refusal(http: int, headers: Mapping[str, str], body: bytes) -> Status:
    """The status that an HTTP answer other than 200 amounts to."""
    wish = retry_after_s(headers.get)
    said: Status | None = None
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        said = failure_in(value)
    usual = _CODES.get(http, Code.UNKNOWN if http < 500 else Code.UNAVAILABLE)
    if said is None:
        shown = readable(body, headers.get("content-type") or "")
        return Status(usual, f"HTTP {http}{shown and f': {shown}'}", wish, genuine=False)
    code = usual if said.code is Code.UNKNOWN else said.code
    return replace(
        said, code=code, message=f"HTTP {http}: {said.message}", retry_after_s=said.retry_after_s or wish
    )


def readable(body: bytes, content_type: str) -> str:
    """What a body that is no message says, as one line for a person: an HTML page is its title."""
    text = body.decode("utf-8", "replace")
    if "html" in content_type or text.lstrip()[:1] == "<":
        title = _TITLE.search(text)
        text = unescape(_TAG.sub(" ", title[1] or title[2] or "" if title else text))
    return tidy(text)[:_SHOWN]
