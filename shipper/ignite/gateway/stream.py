"""A stream as the port hands it out: the context and the iterator in one, since thousands are open."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

from shipper.ignite.gateway.answer import Answer, Messages
from shipper.ignite.gateway.served import Served
from shipper.ignite.status import CallFailed
from shipper.ignite.transport import Request
from shipper.ignite.wire import Sent

T_co = TypeVar("T_co", covariant=True)


class Stream(Generic[T_co]):
    """One call. `send` makes of its request what is entered; `decode` makes of each read what the caller gets."""

    __slots__ = ("_answer", "_call", "_decode", "_opened", "_request", "_send", "_served")

    def __init__(
        self,
        call: str,
        request: Request,
        send: Callable[[Request], Awaitable[Sent[Answer]]],
        decode: Callable[[Messages], T_co],
        served: Served,
    ) -> None:
        self._call, self._request, self._send = call, request, send
        self._decode, self._served = decode, served

    async def __aenter__(self) -> AsyncIterator[T_co]:
        self._opened = await self._send(self._request)
        try:
            self._answer = await self._opened.__aenter__()
        except CallFailed as failure:
            raise self._served.explain(self._call, failure) from failure
        self._served.note(self._call)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._opened.__aexit__(*error)

    def __aiter__(self) -> AsyncIterator[T_co]:
        return self

    async def __anext__(self) -> T_co:
        return self._decode(await self._answer.__anext__())
