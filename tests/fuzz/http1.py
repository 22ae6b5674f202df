"""Fuzz target: a hostile HTTP/1.1 server, through aiohttp's parser and the transport around it."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from shipper.ignite.gateway.answer import Answer
from shipper.ignite.http11 import Http11Transport
from shipper.ignite.status import CallFailed
from shipper.ignite.transport import Request, TransportError
from tests.fuzz.target import Knobs, Target, in_pieces

_TURNS_S: Final = 5.0  # for what needs some turns of the loop and no time


class _Wire(asyncio.Transport):
    """A connection whose other side says its piece as soon as it is asked, and leaves."""

    def __init__(self, protocol: ResponseHandler, pieces: list[bytes]) -> None:
        super().__init__()
        self._protocol = protocol
        self._pieces = pieces
        self._closing = self._said = False

    def write(self, data: Any) -> None:
        if not self._said:
            self._said = True
            asyncio.get_running_loop().call_soon(self._say)

    def _say(self) -> None:
        for piece in self._pieces:
            if not self._closing:
                self._protocol.data_received(piece)
        if not self._closing and self._protocol.transport is not None:
            self._closing = True
            self._protocol.connection_lost(None)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def pause_reading(self) -> None:
        """It has said everything already."""

    def resume_reading(self) -> None:
        """It has said everything already."""


class _Connector(aiohttp.BaseConnector):
    """Connects to what is to be said."""

    def __init__(self) -> None:
        super().__init__(force_close=True)
        self.pieces: list[bytes] = []

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:
        protocol = ResponseHandler(asyncio.get_running_loop())
        protocol.connection_made(_Wire(protocol, self.pieces))
        return protocol


async def answers(data: bytes) -> str:
    """A response to its end, or TransportError; read as the gateway's answer, CallFailed."""
    knobs = Knobs(data)
    whole = knobs.below(2)
    connector = _Connector()
    connector.pieces = list(in_pieces(knobs))
    transport = Http11Transport("http://gateway:80", "gateway")
    transport._session = aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=32 * 1024,
        max_line_size=64 * 1024,
        max_field_size=64 * 1024,
        auto_decompress=False,
    )
    try:
        async with asyncio.timeout(_TURNS_S):
            return await (_as_answer if whole else _as_bytes)(transport)
    except TransportError as error:
        return type(error).__name__
    except CallFailed as failed:
        assert failed.status.message.isprintable()
        return failed.status.code.name
    finally:
        await transport.aclose()


async def _as_bytes(transport: Http11Transport) -> str:
    response = await transport.send(Request("GET", "/", ()))
    try:
        await response.begun()
        size = 0
        async for piece in response.body():
            size += len(piece)
        return f"{response.status // 100} {min(size, 1)}"
    finally:
        response.close()


async def _as_answer(transport: Http11Transport) -> str:
    response = await transport.send(Request("GET", "/", ()))
    try:
        await response.begun()
        answer = await Answer.read(response, "http://gateway", lambda: None, lambda _: None)
        async for _ in answer:
            pass
        return "answer"
    finally:
        response.close()


_BODY: Final = b'{"result":{"line":"x"}}\n'
TARGETS: Final = (
    Target(
        "http1",
        "a hostile HTTP/1.1 server",
        [
            b"\x00\x00HTTP/1.1 200 OK\r\nContent-Length: 24\r\nContent-Type: application/json\r\n\r\n"
            + _BODY,
            b"\x01\x00HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"18\r\n" + _BODY + b"\r\n0\r\nX: y\r\n\r\n",
            b"\x01\x02HTTP/1.1 503 Busy\r\nRetry-After: 5\r\n\r\n<html>",
            b"\x00\x03HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200\r\n\r\nx",
            b"\x00\x01HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n\0\0\0\4\0\0\0\0\0",
            b"\x01\x00HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n\x1f\x8b\x08\0",
            b"\x00\x00HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nSet-Cookie: a=b\r\n\r\n",
        ],
        run_async=answers,
        words=[
            b"\r\n",
            b"\r\n\r\n",
            b"Content-Length: ",
            b"Transfer-Encoding: chunked\r\n",
            b"0\r\n\r\n",
            b"ffffffffffffffff\r\n",
            b"HTTP/1.1 204 No Content\r\n",
            b"-1",
            b" \r\n ",
            b"\n",
            b"\0",
            b"Content-Encoding: deflate\r\n",
            b";ext=1",
            b"Content-Type: text/event-stream\r\n",
            b"HTTP/9.9 ",
            b"9" * 30,
        ],
    ),
)
