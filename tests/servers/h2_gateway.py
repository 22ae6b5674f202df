"""The emulator's HTTP gateway over HTTP/2, by another's implementation of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from shipper.emulator.gateway import Gateway
from tests.servers.h2_server import Exchange

INTERNAL_ERROR = 2


class _Answer:
    """The gateway's `Exchange`."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._broken: asyncio.Task[None] | None = None

    async def begin(self, status: int, headers: Mapping[str, str]) -> None:
        await self._exchange.open(*headers.items(), status=status)

    async def send(self, data: bytes) -> None:
        await self._exchange.send(data)

    async def end(self) -> None:
        await self._exchange.send(b"", end=True)

    def cut(self) -> None:
        self._broken = asyncio.create_task(self._exchange.rst(INTERNAL_ERROR), name="reset")


class OverHttp2:
    """A script for `H2Server` that answers as the gateway does; a request that is reset ends its handler."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def __call__(self, exchange: Exchange) -> None:
        headers = {name: value for name, value in exchange.headers.items() if name[:1] != ":"}
        serving = asyncio.create_task(
            self._gateway.serve(_Answer(exchange), exchange.headers[":method"], exchange.path, headers),
            name=f"serve {exchange.path}",
        )
        given_up = asyncio.create_task(exchange.reset.wait(), name="reset by the client")
        try:
            await asyncio.wait({serving, given_up}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (serving, given_up):
                task.cancel()
            await asyncio.wait({serving, given_up})
        if not serving.cancelled():
            serving.result()
