"""A stream that is held back keeps what it brought as it came: decoded, it would be several times as much."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from shipper.ignite.answer import Answer as GrpcAnswer
from shipper.ignite.framing import frame
from shipper.ignite.gateway.answer import Answer as HttpAnswer
from tests.virtual_time import settle


@dataclass
class Arrived:
    """A response whose body is there."""

    piece: bytes
    kind: str
    status: int = 200
    trailers: Mapping[str, str] = field(default_factory=lambda: {"grpc-status": "0"})

    @property
    def headers(self) -> Mapping[str, str]:
        return {"content-type": self.kind}

    async def begun(self) -> None:
        """It is."""

    async def _pieces(self) -> AsyncIterator[bytes]:
        yield self.piece

    def body(self) -> AsyncIterator[bytes]:
        return self._pieces()

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    ("made", "response"),
    [
        (GrpcAnswer, Arrived(frame(b"a line"), "application/grpc")),
        (HttpAnswer, Arrived(b'{"line":"a line"}\n', "application/x-ndjson")),
    ],
)
async def test_what_came_is_not_decoded_before_it_is_admitted(made: Any, response: Arrived) -> None:
    room, heard = asyncio.Event(), asyncio.Event()

    async def admit() -> None:
        await room.wait()

    answer = await made.read(response, "http://there", heard.set, lambda status: None, admit)
    reading = asyncio.create_task(anext(answer))
    await settle()
    assert not reading.done()
    room.set()
    messages = await reading
    assert len(messages.bodies if made is GrpcAnswer else messages.items) == 1
    assert heard.is_set()
    with pytest.raises(StopAsyncIteration):
        await anext(answer)
