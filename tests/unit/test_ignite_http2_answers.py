"""Answers over our own HTTP/2: whole ones, odd ones, and those that are given up by either side."""

from __future__ import annotations

import asyncio

import h2.events
import pytest

from shipper.ignite.http2 import frames
from shipper.ignite.http2.frames import ErrorCode
from shipper.ignite.transport import ConnectionLost, NotTaken, Request, StreamReset
from tests.fakes.far_side import GRPC, FarSide, far_side, read_all, read_now


async def test_a_request_arrives_as_it_was_sent() -> None:
    far = far_side()
    far.connection.send(Request("POST", "/a.B/C", (("te", "trailers"), ("x-size", "1")), b"body"))
    request, data, _ = far.hear()
    assert isinstance(request, h2.events.RequestReceived)
    assert request.headers == [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "ignite.example:80"),
        (":path", "/a.B/C"),
        ("te", "trailers"),
        ("x-size", "1"),
    ]
    assert isinstance(data, h2.events.DataReceived)
    assert (data.data, data.stream_ended is not None) == (b"body", True)


async def test_a_request_without_a_body_ends_with_its_headers() -> None:
    far = far_side()
    far.send(body=b"")
    assert [type(event) for event in far.events[-2:]] == [
        h2.events.RequestReceived,
        h2.events.StreamEnded,
    ]


async def test_headers_larger_than_a_frame_arrive_whole() -> None:
    far = far_side()
    token = "x!" * 20_000
    far.h2.decoder.max_header_list_size = 100_000
    far.connection.send(Request("GET", "/", (("authorization", token),)))
    (request, _) = far.hear()
    assert isinstance(request, h2.events.RequestReceived)
    assert request.headers is not None
    assert request.headers[-1] == ("authorization", token)


async def test_status_headers_body_and_trailers_come_in_their_order() -> None:
    far = far_side()
    stream = far.send()
    assert (stream.status, stream.headers.get("content-type")) == (0, None)
    far.answer(stream, b"one", b"two")
    await stream.begun()
    assert (stream.status, stream.headers["content-type"]) == (200, "application/grpc")
    assert await read_now(stream) == b"onetwo"  # what came together is handed over together
    far.trailers(stream, ("grpc-status", "7"))
    assert await read_all(stream) == b""
    assert stream.trailers["grpc-status"] == "7"


async def test_an_answer_that_is_only_headers_has_no_body() -> None:
    far = far_side()
    stream = far.send()
    far.h2.send_headers(stream.id, [*GRPC, ("grpc-status", "16")], end_stream=True)
    far.say()
    await stream.begun()
    assert (stream.headers["grpc-status"], await read_all(stream)) == ("16", b"")


async def test_an_empty_data_frame_may_end_an_answer() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream, b"body")
    far.h2.end_stream(stream.id)
    far.say()
    assert await read_all(stream) == b"body"


async def test_informational_answers_are_passed_over() -> None:
    far = far_side()
    stream = far.send()
    far.h2.send_headers(stream.id, [(":status", "103"), ("link", "</style.css>")])
    far.say()
    assert stream.status == 0
    far.answer(stream, b"body")
    assert (stream.status, stream.headers.get("link")) == (200, None)


async def test_of_a_header_that_comes_twice_the_first_counts() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream, headers=[*GRPC, ("retry-after", "1"), ("retry-after", "2")])
    assert stream.headers["retry-after"] == "1"


async def test_answers_that_look_alike_share_their_headers() -> None:
    far = far_side()
    streams = [far.send() for _ in range(3)]
    for stream in streams:
        far.answer(stream)
    assert streams[0].headers == dict(GRPC)
    assert streams[0].headers is streams[1].headers is streams[2].headers


async def test_a_header_block_in_pieces_with_padding_and_priority_is_one() -> None:
    far = far_side()
    stream = far.send()
    block = far.h2.encoder.encode([*GRPC, ("x-long", "y" * 100)])
    padded = b"\x04" + b"\x00\x00\x00\x00\x10" + block[:10] + b"\0" * 4
    far.connection.data_received(
        frames.pack(frames.HEADERS, frames.PADDED | frames.WITH_PRIORITY, stream.id, padded)
        + frames.pack(frames.CONTINUATION, 0, stream.id, block[10:20])
        + frames.pack(frames.CONTINUATION, frames.END_HEADERS, stream.id, block[20:])
    )
    assert stream.headers["x-long"] == "y" * 100


async def test_frames_of_unknown_kinds_mean_nothing() -> None:
    far = far_side()
    stream = far.send()
    for kind in (frames.PRIORITY, 10, 12, 99, 255):  # among them ALTSVC and ORIGIN
        far.connection.data_received(frames.pack(kind, 0xFF, stream.id, b"whatever"))
    far.answer(stream, b"body")
    assert await read_now(stream) == b"body"


# ---- answers that make no sense ----


async def spoiled(far: FarSide, said: bytes) -> StreamReset:
    """How a stream fails on which that was said; the connection must be well afterwards."""
    stream, other = far.send(), far.send()
    far.connection.data_received(said)
    with pytest.raises(StreamReset) as failed:
        await stream.begun()
        await read_all(stream)
    assert far.resets() == {stream.id: ErrorCode.PROTOCOL_ERROR}
    far.answer(other, b"well")
    assert await read_now(other) == b"well"
    return failed.value


async def test_a_body_before_its_headers_spoils_that_answer_alone() -> None:
    error = await spoiled(far_side(), frames.pack(frames.DATA, 0, 1, b"early"))
    assert (str(error), error.code) == ("sent a body before its headers", ErrorCode.PROTOCOL_ERROR)


@pytest.mark.parametrize("status", [None, "", "20", "2000", "abc", "²00", "099", "-20", "100"])
async def test_headers_without_a_status_spoil_that_answer_alone(status: str | None) -> None:
    far = far_side()
    fields = [] if status is None else [(":status", status)]
    block = far.h2.encoder.encode([*fields, ("content-type", "text/html")])
    ends = frames.END_STREAM if status == "100" else 0  # the informational one is no answer
    said = frames.pack(frames.HEADERS, frames.END_HEADERS | ends, 1, block)
    assert str(await spoiled(far, said)) == "sent headers without a status"


async def test_headers_in_the_middle_of_a_body_spoil_that_answer_alone() -> None:
    far = far_side()
    block = far.h2.encoder.encode([(":status", "200")])
    head = frames.pack(frames.HEADERS, frames.END_HEADERS, 1, block)
    assert "middle of its body" in str(await spoiled(far, head + frames.pack(frames.DATA, 0, 1, b"x") + head))


# ---- given up ----


@pytest.mark.parametrize("code", [1, 2, 7, 8, 11, 99])
async def test_a_reset_comes_after_what_was_sent_before_it(code: int) -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream, b"before")
    far.h2.reset_stream(stream.id, code)
    far.say()
    assert await read_now(stream) == b"before"
    with pytest.raises(StreamReset) as reset:
        await read_now(stream)
    assert reset.value.code == code
    assert frames.code_name(code) in str(reset.value)


async def test_a_reset_without_an_error_ends_an_answer_that_has_begun() -> None:
    far = far_side()
    begun, silent = far.send(), far.send()
    far.answer(begun, b"body")
    for stream in (begun, silent):
        far.h2.reset_stream(stream.id, 0)
    far.say()
    assert await read_all(begun) == b"body"
    with pytest.raises(StreamReset):
        await silent.begun()


async def test_a_stream_that_is_closed_is_reset_once_and_what_still_comes_for_it_is_ignored() -> None:
    far = far_side()
    stream, other = far.send(), far.send()
    far.answer(stream, b"body")
    stream.close()
    stream.close()
    # What the server sent before it heard of it; the header lists must be decoded, or later ones cannot be.
    late = far.h2.encoder.encode([("x-late", "1")])
    far.connection.data_received(
        frames.pack(frames.DATA, 0, stream.id, b"late")
        + frames.pack(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream.id, late)
        + frames.reset(stream.id, 8)
        + frames.window_update(stream.id, 5)
    )
    assert far.resets() == {stream.id: ErrorCode.CANCEL}
    far.answer(other, headers=[*GRPC, ("x-late", "1")])
    assert other.headers["x-late"] == "1"
    with pytest.raises(ConnectionLost, match="given up"):
        await read_now(stream)


async def test_a_stream_that_has_ended_is_not_reset() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream, b"body")
    far.trailers(stream)
    stream.close()
    assert far.resets() == {}


async def test_a_read_that_is_cancelled_loses_nothing() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream)
    read = asyncio.ensure_future(anext(stream.body()))
    await asyncio.sleep(0)
    far.data(stream, b"data")  # the reader is woken, and cancelled before it runs
    read.cancel()
    with pytest.raises(asyncio.CancelledError):
        await read
    assert await read_now(stream) == b"data"


# ---- the connection ----


async def test_a_connection_that_ends_fails_every_stream_with_an_error_of_its_own() -> None:
    far = far_side()
    streams = [far.send() for _ in range(3)]
    far.answer(streams[0], b"before")
    cause = ConnectionResetError("reset by peer")
    far.connection.connection_lost(cause)
    errors = []
    assert await read_now(streams[0]) == b"before"
    for stream in streams:
        with pytest.raises(ConnectionLost, match="broke: reset by peer") as failed:
            await anext(stream.body())
        errors.append(failed.value)
    assert len(set(map(id, errors))) == 3
    assert {error.__cause__ for error in errors} == {cause}
    with pytest.raises(NotTaken):
        far.connection.send(Request("GET", "/"))


async def test_no_more_streams_are_opened_than_the_server_states() -> None:
    far = far_side({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 2})
    first, _ = far.send(), far.send()
    with pytest.raises(NotTaken, match="carries 2 requests"):
        far.send()
    first.close()
    far.send()


async def test_a_cap_may_change() -> None:
    far = far_side()
    assert far.connection.limit > 1_000_000
    far.h2.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 0})
    far.say()
    with pytest.raises(NotTaken):
        far.send()
    assert far.connection.takes_more  # it may change again


async def test_a_smaller_header_table_is_kept_by_the_encoder() -> None:
    far = far_side()
    far.send("/one")
    for size in (0, 1_000_000, 128):
        far.h2.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: size})
        far.say()
    far.send("/two")  # h2 would refuse headers that use a larger table
    far.send("/three")
    paths = [dict(event.headers)[":path"] for event in far.events if hasattr(event, "headers")]
    assert paths == ["/one", "/two", "/three"]


async def test_a_ping_is_answered_with_what_it_carries() -> None:
    far = far_side()
    far.h2.ping(b"12345678")
    far.say()
    (pong,) = far.hear()
    assert isinstance(pong, h2.events.PingAckReceived)
    assert pong.ping_data == b"12345678"
