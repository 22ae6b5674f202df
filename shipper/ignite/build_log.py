"""A build log read piece by piece while its answer comes in, whatever its size: what both transports have in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from shipper.ignite.ending import ended, refusal
from shipper.ignite.failures import status_of
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import Response, TransportError
from shipper.ignite.wire import Sent

SILENCE_S: Final = (
    60.0  # for which nothing of a log may come; a server may have to fetch it from a store first
)


class Malformed(ValueError):
    """What comes is not the answer that it should be."""


class Parser(Protocol):
    """Finds the log in an answer's body."""

    @property
    def found(self) -> bool:
        """After `finish`: whether the answer says that there is such a log."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces of the log that `data` brings, each made when it is asked for. Raises Malformed."""

    def finish(self) -> Iterator[bytes]:
        """The last pieces; the body has ended. Raises as they are asked for: Malformed, or CallFailed where the answer
        says so.
        """


@dataclass(slots=True)
class RawAnswer:
    """The bytes of an answer, read by read."""

    response: Response
    base_url: str
    heard: Callable[[], None]
    failing: Callable[[Status], None]
    _content: AsyncIterator[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._content = self.response.body()

    @classmethod
    async def of_grpc(
        cls, response: Response, base_url: str, heard: Callable[[], None], failing: Callable[[Status], None]
    ) -> RawAnswer:
        """Raises CallFailed where it is refused in its headers, or is not gRPC's."""
        answer = cls(response, base_url, heard, failing)
        status = refusal(response)
        if status is not None:
            raise answer.failed(status)
        return answer

    async def next(self) -> bytes | None:
        """What came, None at the end. Raises CallFailed."""
        try:
            data = await anext(self._content, None)
        except TransportError as error:
            raise self.failed(status_of(error, self.base_url, known=True)) from error
        if data is not None:
            self.heard()
        return data

    def check_grpc_end(self) -> None:
        """Raise CallFailed where the trailers say so."""
        status = ended(self.response, self.base_url, incomplete=False)
        if status.code is not Code.OK:
            raise self.failed(status)

    def failed(self, status: Status) -> CallFailed:
        """The error to raise for this status."""
        self.failing(status)
        return CallFailed(status)


@dataclass(slots=True)
class StreamedLog:
    """Implements `BuildLog`."""

    answer: RawAnswer
    parser: Parser
    malformed: Code = Code.INTERNAL  # what an answer is that cannot be understood
    silence_s: float = SILENCE_S
    _pieces: Iterator[bytes] = field(default_factory=lambda: iter(()))
    _ended: bool = False

    @property
    def found(self) -> bool:
        return self.parser.found

    def __aiter__(self) -> StreamedLog:
        return self

    async def __anext__(self) -> bytes:
        while True:
            try:
                piece = next((piece for piece in self._pieces if piece), None)
            except Malformed as error:
                message = f"{self.answer.base_url} answered no build log: {error}"
                raise self.answer.failed(Status(self.malformed, message)) from error
            if piece is not None:
                return piece
            if self._ended:
                raise StopAsyncIteration
            data = await self._next()
            self._ended = data is None
            self._pieces = self.parser.finish() if data is None else self.parser.feed(data)

    async def _next(self) -> bytes | None:
        try:
            async with asyncio.timeout(self.silence_s) as scope:
                return await self.answer.next()
        except TimeoutError:
            if not scope.expired():
                raise
            raise CallFailed(_silent(self.answer.base_url, self.silence_s)) from None


@asynccontextmanager
async def answered(
    sent: Sent[RawAnswer], base_url: str, silence_s: float = SILENCE_S
) -> AsyncIterator[RawAnswer]:
    """The answer to a request, whose beginning must come in time; how long the rest takes is the reader's."""
    try:
        async with asyncio.timeout(silence_s) as scope:
            answer = await sent.__aenter__()
    except TimeoutError:
        if not scope.expired():
            raise
        raise CallFailed(_silent(base_url, silence_s)) from None
    try:
        yield answer
    finally:
        await sent.__aexit__()


def _silent(base_url: str, silence_s: float) -> Status:
    return Status(Code.DEADLINE_EXCEEDED, f"{base_url} sent nothing of a build log for {silence_s:g} s")
