"""Fuzz targets: a hostile HTTP/2 server, whole and by its header blocks alone."""

from __future__ import annotations

from typing import Final

import hpack

from shipper.ignite.http2.connection import MOST_UNREAD, Connection
from shipper.ignite.http2.fields import MOST_BYTES, BlockReader
from shipper.ignite.http2.frames import END_HEADERS, MAX_FRAME, RuleBroken
from shipper.ignite.http2.window import CONNECTION_WINDOW
from shipper.ignite.transport import NotTaken, Request, TransportError
from tests.fakes.far_side import HEADERS, Loopback
from tests.fuzz.target import Knobs, Target, awaited, in_pieces


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Any frame."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


_ENCODED: Final = hpack.Encoder().encode(
    [(":status", "200"), ("content-type", "application/grpc"), ("grpc-message", "x" * 40)]
)
_TRAILERS: Final = b"\x00\x0bgrpc-status\x010"
_SETTINGS: Final = frame(4, 0, 0, b"\x00\x03\x00\x00\x00\x64\x00\x04\x00\x01\x00\x00")
_BEGIN: Final = _SETTINGS + frame(4, 1, 0) + frame(1, 4, 1, b"\x88") + frame(0, 0, 1, b"\0\0\0\0\x02hi")


async def _outcome(stream: object) -> str:
    """How a stream ended that nobody sends to any more."""
    try:
        await stream.begun()  # type: ignore[attr-defined]
        size = 0
        async for piece in stream.body():  # type: ignore[attr-defined]
            size += len(piece)
    except TransportError as error:
        assert "\n" not in str(error)
        return type(error).__name__
    return "whole"


def connection(data: bytes) -> str:
    """Two requests on one connection, of which the server says what it likes, until it is gone: both come to an end,
    and what is kept, unread and unsent stays within its bounds.
    """
    knobs = Knobs(data)
    gives_up = knobs.below(4)
    ours, transport = Connection("http", "ignite.example:80"), Loopback()
    ours.connection_made(transport)
    streams = [ours.send(Request("POST", "/", HEADERS, b"request")) for _ in range(2)]
    written = 0
    for index, piece in enumerate(in_pieces(knobs)):
        ours.data_received(piece)
        written += len(transport.written)
        transport.written.clear()
        if transport.closed:
            break
        assert len(ours._inflow.rest) <= MAX_FRAME + 9
        assert sum(stream.unread for stream in streams) <= CONNECTION_WINDOW
        if gives_up == 1 and index == 1:
            streams[0].close()
        if gives_up == 2 and index == 2 and ours.takes_more:
            try:
                streams.append(ours.send(Request("POST", "/", HEADERS, b"more")))
            except NotTaken:
                gives_up = 0
    assert written < MOST_UNREAD
    ours.connection_lost(None)
    assert ours.lost.done()
    if not ours.ready.cancelled():
        ours.ready.exception()
    return " ".join(awaited(_outcome(stream)) for stream in streams)


def headers(data: bytes) -> str:
    """Header blocks on one connection, one after another."""
    reader = BlockReader()
    knobs = Knobs(data)
    seen = 0
    for piece in in_pieces(knobs):
        try:
            block = reader.headers(END_HEADERS, 1, piece)
        except RuleBroken as broken:
            return str(broken)
        if block is not None:
            size = sum(len(name) + len(value) for name, value in block.fields.values.items())
            assert size <= 3 * MOST_BYTES  # U+FFFD takes three bytes for one
            assert 0 <= block.fields.status < 1000
            seen += 1
    return f"{min(seen, 3)}"


TARGETS: Final = (
    Target(
        "http2",
        "frames of a hostile HTTP/2 server",
        [
            b"\x00\x00" + _BEGIN + frame(1, 5, 1, _TRAILERS),
            b"\x01\x03" + _BEGIN + frame(3, 0, 3, b"\0\0\0\x07") + frame(6, 0, 0, b"12345678"),
            b"\x02\x04" + _BEGIN + frame(7, 0, 0, b"\0\0\0\x01\0\0\0\x0btoo_many_pings"),
            b"\x00\x02" + _SETTINGS + frame(1, 0, 1, _ENCODED[:5]) + frame(9, 4, 1, _ENCODED[5:]),
            b"\x00\x00" + _SETTINGS + frame(8, 0, 0, b"\0\0\xff\xff") + frame(0, 8, 1, b"\x02hi\0\0"),
            b"\x00\x00"
            + _SETTINGS
            + frame(1, 0x2C, 1, b"\x01\0\0\0\0\x10\x88\0")
            + frame(0, 1, 1, b"x" * 50),
            b"\x00\x00HTTP/1.1 400 Bad Request\r\n\r\n",
        ],
        connection,
        words=[
            _SETTINGS,
            frame(4, 1, 0),
            frame(1, 4, 1, b"\x88"),
            frame(1, 5, 3, _TRAILERS),
            frame(0, 0, 1, b"x" * 9),
            frame(0, 1, 3),
            frame(3, 0, 1, b"\0\0\0\x02"),
            frame(5, 4, 1, b"\0\0\0\x02"),
            frame(6, 1, 0, b"shipper?"),
            frame(7, 0, 0, b"\0" * 8),
            frame(8, 0, 1, b"\x7f\xff\xff\xff"),
            frame(9, 4, 1),
            frame(2, 0, 1, b"\0" * 5),
        ],
    ),
    Target(
        "hpack",
        "header blocks of a hostile HTTP/2 server",
        [b"\x00" + _ENCODED, b"\x00\x88" + _TRAILERS, b"\x03" + _ENCODED * 3, b"\x00\x3f\xe1\x1f\x20\x88"],
        headers,
        words=[
            b"\x82",
            b"\xff\xff\xff\xff\x7f",
            b"\x40\x01a\x01b",
            b"\x3f\xe1\x1f",
            b"\xbe",
            b"\x00\x00\x00",
        ],
    ),
)
