"""A server that breaks HTTP/2's rules, floods, or speaks something else: every stream fails, and nothing grows."""

from __future__ import annotations

import h2.events
import hpack
import pytest

from shipper.ignite.http2 import frames
from shipper.ignite.http2.connection import MOST_UNREAD
from shipper.ignite.http2.fields import MOST_BYTES
from shipper.ignite.http2.frames import ErrorCode, Setting, pack
from shipper.ignite.transport import ConnectionLost, NotUnderstood
from tests.fakes.far_side import far_side, read_now

HEAD = pack(frames.HEADERS, frames.END_HEADERS, 1, b"\x88")  # :status 200
OPEN = pack(frames.HEADERS, 0, 1, b"\x88")  # a header block that goes on
BOMB = (
    hpack.Encoder().encode([("x", "y" * 3_900)], huffman=False) + b"\xbe" * 20
)  # twenty times the same, from the table

BROKEN = {
    "a frame that is too large": (b"\x00\x40\x01" + b"\x00\x00" + b"\0\0\0\x01", ErrorCode.FRAME_SIZE_ERROR),
    "data on no stream": (pack(frames.DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
    "data on the server's stream": (pack(frames.DATA, 0, 2, b"x"), ErrorCode.PROTOCOL_ERROR),
    "data on a stream that was never opened": (pack(frames.DATA, 0, 5, b"x"), ErrorCode.PROTOCOL_ERROR),
    "padded data on a stream that was never opened": (
        pack(frames.DATA, frames.PADDED, 5, b"\0x"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "more padding than data": (
        HEAD + pack(frames.DATA, frames.PADDED, 1, b"\x02x"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "padding of nothing": (HEAD + pack(frames.DATA, frames.PADDED, 1), ErrorCode.PROTOCOL_ERROR),
    "headers of a stream that was never opened": (
        pack(frames.HEADERS, frames.END_HEADERS, 3, b"\x88"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "headers with less than their priority": (
        pack(frames.HEADERS, frames.END_HEADERS | frames.WITH_PRIORITY, 1, b"\0\0"),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    "headers that cannot be decoded": (
        pack(frames.HEADERS, frames.END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff"),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "headers that name what is not in the table": (
        pack(frames.HEADERS, frames.END_HEADERS, 1, b"\xfe"),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "a header list without end": (
        pack(frames.HEADERS, frames.END_HEADERS, 1, BOMB),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "a header block without end": (
        OPEN + pack(frames.CONTINUATION, 0, 1, b"\x88" * 16_384) * (MOST_BYTES // 16_384),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "empty pieces of a header block without end": (
        OPEN + pack(frames.CONTINUATION, 0, 1) * 100,
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    "data in the middle of a header block": (OPEN + pack(frames.DATA, 0, 1, b"x"), ErrorCode.PROTOCOL_ERROR),
    "a ping in the middle of a header block": (
        OPEN + pack(frames.PING, 0, 0, b"12345678"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "another stream's piece of a header block": (
        OPEN + pack(frames.CONTINUATION, frames.END_HEADERS, 3, b"\x88"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a piece of no header block": (
        pack(frames.CONTINUATION, frames.END_HEADERS, 1, b"\x88"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a push": (
        pack(frames.PUSH_PROMISE, frames.END_HEADERS, 1, b"\0\0\0\x02\x88"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a reset of a stream that was never opened": (frames.reset(3, 0), ErrorCode.PROTOCOL_ERROR),
    "a reset of a wrong length": (pack(frames.RST_STREAM, 0, 1, b"\0\0\0"), ErrorCode.FRAME_SIZE_ERROR),
    "settings on a stream": (pack(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "settings of a wrong length": (pack(frames.SETTINGS, 0, 0, b"\0" * 7), ErrorCode.FRAME_SIZE_ERROR),
    "an acknowledgement with settings": (
        pack(frames.SETTINGS, frames.ACK, 0, b"\0" * 6),
        ErrorCode.PROTOCOL_ERROR,
    ),
    "a window that is too large": (
        frames.settings({Setting.INITIAL_WINDOW_SIZE: 2**31}),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "a grant of nothing": (frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
    "grants beyond what there is": (frames.window_update(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
    "a grant to a stream that was never opened": (frames.window_update(3, 1), ErrorCode.PROTOCOL_ERROR),
    "a grant of a wrong length": (pack(frames.WINDOW_UPDATE, 0, 0, b"\1"), ErrorCode.FRAME_SIZE_ERROR),
    "a ping of a wrong length": (pack(frames.PING, 0, 0, b"1234567"), ErrorCode.PROTOCOL_ERROR),
    "a ping on a stream": (pack(frames.PING, 0, 1, b"12345678"), ErrorCode.PROTOCOL_ERROR),
    "a goodbye on a stream": (pack(frames.GOAWAY, 0, 1, b"\0" * 8), ErrorCode.PROTOCOL_ERROR),
    "a goodbye of a wrong length": (pack(frames.GOAWAY, 0, 0, b"\0" * 7), ErrorCode.FRAME_SIZE_ERROR),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_a_broken_rule_ends_the_connection_with_its_code(what: str) -> None:
    said, code = BROKEN[what]
    far = far_side()
    stream = far.send()
    far.connection.data_received(said)
    assert far.transport.closed
    (goaway,) = [event for event in far.hear() if isinstance(event, h2.events.ConnectionTerminated)]
    assert goaway.error_code == code
    with pytest.raises(ConnectionLost, match="broke the rules of HTTP/2: it "):
        await stream.begun()
        await read_now(stream)
    far.connection.data_received(b"more of it")  # until the socket is closed
    far.connection.connection_lost(None)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP/1.1 only"),
        (b"\x15\x03\x01\x00\x02\x02\x46" + b"\0\0", "not HTTP/2"),  # an alert of TLS
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP/2"),
        (pack(frames.PING, 0, 0, b"12345678"), "not HTTP/2"),
        (pack(frames.SETTINGS, frames.ACK, 0), "not HTTP/2"),
        (pack(frames.DATA, 0, 1, b"x"), "not HTTP/2"),
    ],
)
async def test_what_does_not_begin_with_settings_is_not_understood(said: bytes, words: str) -> None:
    far = far_side(greet=False)
    for at in range(len(said)):
        far.connection.data_received(said[at : at + 1])
    assert far.connection.ready.done()
    with pytest.raises(NotUnderstood, match=words):
        await far.connection.ready
    assert far.transport.closed


@pytest.mark.parametrize("error", [None, ConnectionResetError("reset by peer")])
async def test_an_end_before_any_settings_is_not_understood(error: Exception | None) -> None:
    far = far_side(greet=False)
    far.connection.data_received(b"\x15\x03\x03\x00\x02\x02\x46")  # TLS says so in seven bytes
    far.connection.connection_lost(error)
    with pytest.raises(NotUnderstood):
        await far.connection.ready


# ---- floods ----


@pytest.mark.parametrize(
    "frame",
    [
        pack(frames.PING, 0, 0, b"12345678"),
        frames.settings({Setting.HEADER_TABLE_SIZE: 0}),
        frames.settings({Setting.HEADER_TABLE_SIZE: 4_096, Setting.MAX_CONCURRENT_STREAMS: 7}),
    ],
)
async def test_a_server_that_makes_us_answer_and_does_not_read_the_answers_is_left(frame: bytes) -> None:
    far = far_side()
    stream = far.send()
    sent = 0
    while not far.transport.closed and sent < 100 * MOST_UNREAD:
        far.transport.backlog = len(far.transport.written)
        far.connection.data_received(frame * 5_000)
        sent += 5_000 * len(frame)
    assert far.transport.aborted
    assert len(far.transport.written) < MOST_UNREAD + 256 * 1024
    with pytest.raises(ConnectionLost, match="does not read"):
        await stream.begun()


@pytest.mark.parametrize(
    "flood",
    [
        pack(frames.PING, 0, 0, b"12345678"),
        pack(frames.PING, frames.ACK, 0, b"12345678"),
        frames.settings({Setting.HEADER_TABLE_SIZE: 0}) + frames.settings({Setting.HEADER_TABLE_SIZE: 4_096}),
        frames.settings({Setting.INITIAL_WINDOW_SIZE: 1}) + frames.settings({Setting.INITIAL_WINDOW_SIZE: 9}),
        pack(frames.SETTINGS, frames.ACK, 0),
        frames.reset(1, 8),
        frames.window_update(1, 1),
        pack(frames.PRIORITY, 0, 3, b"\0" * 5),
        pack(frames.DATA, 0, 1),
        pack(frames.DATA, 0, 3),
        pack(frames.DATA, frames.PADDED, 1, b"\x03\0\0\0"),
        pack(frames.HEADERS, frames.END_HEADERS, 1, b"\x88"),
        pack(99, 0, 0, b"x" * 100),
    ],
)
async def test_a_flood_leaves_nothing_behind_and_the_connection_well(flood: bytes) -> None:
    far = far_side()
    given_up, stream = far.send(), far.send()
    given_up.close()
    far.answer(stream)
    for _ in range(10):
        far.connection.data_received(flood * 1_000)
        far.transport.written.clear()
    assert not far.transport.closed
    assert (far.connection._out, far.connection._inflow.rest, far.connection._outbound._unsent) == (
        [],
        b"",
        {},
    )
    assert len(far.connection._streams) == 1
    assert len(far.connection._blocks._encoder.table_size_changes) <= 2
    far.data(stream, b"well")
    assert await read_now(stream) == b"well"
