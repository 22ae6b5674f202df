"""A server that says goodbye: what it has looked at goes on, the rest may be sent elsewhere, nothing new is sent."""

from __future__ import annotations

import pytest

from shipper.ignite.http2 import frames
from shipper.ignite.http2.frames import MAX_STREAM_ID, ErrorCode
from shipper.ignite.transport import ConnectionLost, NotTaken, Request
from tests.fakes.far_side import FarSide, far_side, read_all, read_now


def goodbye(far: FarSide, last: int, code: int = 0, words: bytes = b"") -> None:
    """`h2` would refuse to send anything after it, so the frame is made by hand."""
    payload = last.to_bytes(4, "big") + code.to_bytes(4, "big") + words
    far.connection.data_received(frames.pack(frames.GOAWAY, 0, 0, payload))


async def test_streams_up_to_the_last_go_on_and_later_ones_were_not_looked_at() -> None:
    far = far_side()
    old, new = far.send(), far.send()
    far.answer(old, b"before")
    goodbye(far, last=old.id)
    with pytest.raises(NotTaken, match="said goodbye: NO_ERROR"):
        await new.begun()
    far.data(old, b"after")
    far.trailers(old)
    assert await read_all(old) == b"beforeafter"


async def test_nothing_new_is_sent_and_the_connection_closes_with_its_last_stream() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream)
    goodbye(far, last=MAX_STREAM_ID)
    assert not far.connection.takes_more
    with pytest.raises(NotTaken):
        far.connection.send(Request("GET", "/"))
    assert not far.transport.closed
    far.trailers(stream)
    assert far.transport.closed
    assert await read_all(stream) == b""


async def test_a_connection_without_streams_closes_at_once() -> None:
    far = far_side()
    goodbye(far, last=0)
    assert far.transport.closed


async def test_a_stream_that_its_reader_gives_up_may_be_the_last() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream, b"unread")
    goodbye(far, last=stream.id)
    stream.close()
    assert far.transport.closed


async def test_the_second_goodbye_says_what_the_first_left_open() -> None:
    """gRPC's servers say 2^31-1 first, and the real number a round trip later."""
    far = far_side()
    streams = [far.send() for _ in range(3)]
    goodbye(far, last=MAX_STREAM_ID)
    goodbye(far, last=streams[0].id)
    for stream in streams[1:]:
        with pytest.raises(NotTaken):
            await stream.begun()
    far.answer(streams[0], b"goes on")
    assert await read_now(streams[0]) == b"goes on"


async def test_an_angry_goodbye_is_told_to_those_that_it_cuts() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream)
    goodbye(far, stream.id, ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings\n\x1b[31m")
    far.connection.connection_lost(None)
    with pytest.raises(ConnectionLost) as lost:
        await read_now(stream)
    assert "ENHANCE_YOUR_CALM, too_many_pings \ufffd[31m" in str(lost.value)


async def test_more_frames_in_the_read_that_brought_the_goodbye_do_no_harm() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream)
    payload = bytes(8)
    far.connection.data_received(
        frames.pack(frames.GOAWAY, 0, 0, payload)
        + frames.pack(frames.DATA, frames.END_STREAM, stream.id, b"late")
        + frames.pack(frames.PING, 0, 0, b"12345678")
    )
    assert far.transport.closed
    with pytest.raises(NotTaken):
        await read_now(stream)


async def test_a_connection_whose_numbers_are_used_up_takes_no_more() -> None:
    far = far_side()
    far.connection._next_id = MAX_STREAM_ID
    stream = far.connection.send(Request("GET", "/"))
    assert not far.connection.takes_more
    stream.close()
    assert far.transport.closed


async def test_closing_says_goodbye_and_fails_what_is_open() -> None:
    far = far_side()
    stream = far.send()
    far.connection.close()
    far.connection.close()
    assert [event.__class__.__name__ for event in far.hear()] == ["ConnectionTerminated"]
    with pytest.raises(ConnectionLost, match="was closed"):
        await stream.begun()
