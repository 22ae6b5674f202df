"""A gRPC stream as the port hands it out: the context and the iterator in one, since thousands are open."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from shipper.ignite.agreement import Agreement
from shipper.ignite.answer import Answer
from shipper.ignite.framing import Messages
from shipper.ignite.status import CallFailed
from shipper.ignite.wire import Sent

T = TypeVar("T")


class Stream(Generic[T]):
    """What comes of a stream, read by read. `unchecked` says that field numbers are guessed, and nothing showed yet
    that the guess is right.
    """

    __slots__ = ("_agreement", "_answer", "_opened", "unchecked")

    def __init__(self, agreement: Agreement) -> None:
        self._agreement = agreement
        self.unchecked = False

    async def open(self) -> Sent[Answer]:
        """What is sent; with it is known how to decode what comes."""
        raise NotImplementedError

    def decode(self, messages: Messages) -> T:
        """What came in one read."""
        raise NotImplementedError

    async def __aenter__(self) -> AsyncIterator[T]:
        self._opened = await self.open()
        self.unchecked = self._agreement.guessing
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
        return CallFailed(self._agreement.failed(failure.status))
