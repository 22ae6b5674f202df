"""A gRPC answer as it comes in: messages, read by read, and the status at its end.

Where the parts of an answer are: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md ("Responses").
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from shipper.ignite.failures import status_of
from shipper.ignite.framing import Deframer, Messages
from shipper.ignite.retry_info import retry_after_s
from shipper.ignite.status import CallFailed, Code, Status, code_of, from_http
from shipper.ignite.transport import Response, TransportError, tidy


@dataclass(slots=True)
class Answer:
    """Iterates over the complete messages of each read. Ends with status OK, or raises CallFailed.

    A plain iterator and no generator, so that one left in the middle needs no closing. `heard` is called with each
    read, `failing` with how the call failed, before the caller learns of it.
    """

    response: Response
    base_url: str
    heard: Callable[[], None]
    failing: Callable[[Status], None]
    _content: AsyncIterator[bytes] = field(init=False)
    _deframer: Deframer = field(default_factory=Deframer)

    def __post_init__(self) -> None:
        self._content = self.response.body()

    @classmethod
    async def read(
        cls, response: Response, base_url: str, heard: Callable[[], None], failing: Callable[[Status], None]
    ) -> Answer:
        """The answer that a response is. Raises CallFailed where it is refused in its headers, or is not gRPC's."""
        answer = cls(response, base_url, heard, failing)
        status = _refusal(response)
        if status is not None:
            raise answer._failed(status)
        return answer

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> Messages:
        deframer = self._deframer
        while not deframer.broken:
            try:
                data = await self._content.__anext__()
            except StopAsyncIteration:
                self._end()
                raise
            except TransportError as error:
                raise self._failed(status_of(error, self.base_url, known=True)) from error
            self.heard()
            messages = deframer.feed(data)
            if messages.bodies or messages.bad:
                return messages
        raise self._failed(Status(Code.INTERNAL, f"{self.base_url} sent something that is not gRPC framing"))

    def _end(self) -> None:
        status = grpc_status(self.response.trailers) or grpc_status(self.response.headers)
        if status is None:
            status = Status(Code.UNAVAILABLE, f"{self.base_url} cut the call before its end")
        elif status.code is Code.OK and self._deframer.incomplete:
            status = Status(Code.UNAVAILABLE, f"{self.base_url} ended the call in the middle of a message")
        if status.code is not Code.OK:
            raise self._failed(status)

    def _failed(self, status: Status) -> CallFailed:
        self.failing(status)
        return CallFailed(status)


def grpc_status(headers: Mapping[str, str]) -> Status | None:
    """The status that trailers (or headers that are trailers too) carry, None where there is none."""
    number = headers.get("grpc-status")
    if number is None:
        return None
    message = tidy(unquote(headers.get("grpc-message") or "", errors="replace"))
    return Status(code_of(number), message, retry_after_s(headers.get))


def _refusal(response: Response) -> Status | None:
    """How an answer fails before it begins: refused in the headers, or a page that some proxy made."""
    status = grpc_status(response.headers)
    if status is not None:
        return None if status.code is Code.OK else status
    kind = tidy(response.headers.get("content-type") or "")
    if response.status == 200 and kind.startswith("application/grpc"):
        return None
    return Status(
        Code.UNKNOWN if response.status == 200 else from_http(response.status),
        f"HTTP {response.status} with content-type {kind or 'absent'!r} is no answer of a gRPC server: check "
        "ignite.endpoint and what stands in front of it",
        retry_after_s(response.headers.get),
        genuine=False,
    )
