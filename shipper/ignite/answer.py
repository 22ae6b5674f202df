"""A gRPC answer as it comes in: messages, read by read, and the status at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from shipper.ignite.ending import ended, refusal
from shipper.ignite.failures import status_of
from shipper.ignite.framing import Deframer, Messages
from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import Response, TransportError


@dataclass(slots=True)
class Answer:
    """Iterates over the complete messages of each read. Ends with status OK, or raises CallFailed.

    A plain iterator and no generator, so that one left in the middle needs no closing. `heard` is called with each
    read, `failing` with how the call failed, before the caller learns of it. `admit` is awaited with what was read in
    hand, before anything is made of it: thousands of streams may bring something at once, and as bytes it is least.
    """

    response: Response
    base_url: str
    heard: Callable[[], None]
    failing: Callable[[Status], None]
    admit: Callable[[], Awaitable[None]] | None = None
    _content: AsyncIterator[bytes] = field(init=False)
    _deframer: Deframer = field(default_factory=Deframer)

    def __post_init__(self) -> None:
        self._content = self.response.body()

    @classmethod
    async def read(
        cls,
        response: Response,
        base_url: str,
        heard: Callable[[], None],
        failing: Callable[[Status], None],
        admit: Callable[[], Awaitable[None]] | None = None,
    ) -> Answer:
        """The answer that a response is. Raises CallFailed where it is refused in its headers, or is not gRPC's."""
        answer = cls(response, base_url, heard, failing, admit)
        status = refusal(response)
        if status is not None:
            raise answer._failed(status)
        return answer

    def __aiter__(self) -> Answer:
        return self

    async def __anext__(self) -> Messages:
        deframer = self._deframer
        while not deframer.broken:
            messages = deframer.feed(b"" if deframer.more else await self._read())
            if messages.bodies or messages.bad:
                return messages
        raise self._failed(Status(Code.INTERNAL, f"{self.base_url} sent something that is not gRPC framing"))

    async def _read(self) -> bytes:
        """The next bytes; StopAsyncIteration after the last ones."""
        try:
            data = await self._content.__anext__()
        except StopAsyncIteration:
            self._end()
            raise
        except TransportError as error:
            raise self._failed(status_of(error, self.base_url, known=True)) from error
        self.heard()
        if self.admit is not None:
            await self.admit()
        return data

    def _end(self) -> None:
        status = ended(self.response, self.base_url, incomplete=self._deframer.incomplete)
        if status.code is not Code.OK:
            raise self._failed(status)

    def _failed(self, status: Status) -> CallFailed:
        self.failing(status)
        return CallFailed(status)
