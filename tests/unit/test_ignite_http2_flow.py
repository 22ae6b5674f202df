"""Flow control: what nobody reads holds the server back, what was read is granted anew, and memory stays bounded."""

from __future__ import annotations

import asyncio
import sys

import pytest
from h2.settings import SettingCodes

from shipper.ignite.http2 import frames
from shipper.ignite.http2.frames import ErrorCode
from shipper.ignite.http2.stream import MOST_AT_ONCE, Stream
from shipper.ignite.http2.window import CONNECTION_WINDOW, STREAM_WINDOW
from shipper.ignite.transport import ConnectionLost
from tests.fakes.far_side import FarSide, far_side, read_all, read_now

KIB = 1024


def flood(far: FarSide, stream: Stream) -> int:
    """Send as much as the windows allow; how much that was."""
    sent = 0
    far.hear()
    while (room := min(far.h2.local_flow_control_window(stream.id), 16 * KIB)) > 0:
        far.h2.send_data(stream.id, b"x" * room)
        sent += room
    far.say()
    return sent


async def test_a_stream_that_is_not_read_is_held_back_and_the_others_go_on() -> None:
    far = far_side()
    unread, other = far.send(), far.send()
    far.answer(unread)
    far.answer(other)
    assert flood(far, unread) == STREAM_WINDOW
    assert flood(far, unread) == 0
    for _ in range(10):
        sent = flood(far, other)
        assert sent > 0
        assert len(await read_now(other)) == sent
    assert flood(far, unread) == 0


async def test_what_was_read_is_granted_anew() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream)
    total = 0
    while total < 20 * STREAM_WINDOW:
        sent = flood(far, stream)
        total += sent
        assert sent >= STREAM_WINDOW // 4
        assert len(await read_now(stream)) == sent


async def test_what_waits_for_its_reader_is_handed_over_in_pieces_that_caches_hold() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream)
    assert flood(far, stream) == STREAM_WINDOW
    sizes = []
    while stream.unread:
        sizes.append(len(await anext(stream.body())))
    assert sizes == [MOST_AT_ONCE] * (STREAM_WINDOW // MOST_AT_ONCE)


async def test_grants_are_rare() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream)
    written = 0
    for _ in range(1_000):
        far.data(stream, b"line")
        await read_now(stream)
        written += len(far.transport.written)
    assert written == 0


async def test_what_many_readers_grant_in_one_turn_is_one_write() -> None:
    """One read of the socket wakes all of them."""
    far = far_side()
    streams = [far.send() for _ in range(3)]
    for stream in streams:
        far.answer(stream)
        flood(far, stream)
    far.hear()
    writes = far.transport.writes
    for stream in streams:
        await anext(stream.body())
    assert far.transport.writes == writes
    await asyncio.sleep(0)
    assert far.transport.writes == writes + 1


async def test_streams_that_are_not_read_hold_up_the_others_only_when_four_of_them_are_full() -> None:
    far = far_side()
    unread = [far.send() for _ in range(4)]
    other = far.send()
    for stream in (*unread, other):
        far.answer(stream)
    for stream in unread[:3]:
        assert flood(far, stream) == STREAM_WINDOW
    far.data(other, b"goes on")
    assert await read_now(other) == b"goes on"
    flood(far, unread[3])
    assert far.h2.outbound_flow_control_window == 0
    await read_now(unread[0])
    assert flood(far, other) > 0


async def test_a_full_connection_grants_the_little_that_is_read() -> None:
    """Else it would wait for ever: what is unread and what is not yet granted fill the window together."""
    far = far_side()
    streams = [far.send() for _ in range(6)]
    for stream in streams:
        far.answer(stream)
    far.data(streams[5], b"y" * 1_000)
    for stream in streams[:5]:
        flood(far, stream)
    assert far.h2.outbound_flow_control_window == 0
    await read_now(streams[5])
    far.hear()
    assert far.h2.outbound_flow_control_window == 1_000


async def test_what_comes_for_streams_that_were_given_up_does_not_use_the_connection_up() -> None:
    far = far_side()
    for _ in range(3 * CONNECTION_WINDOW // STREAM_WINDOW):
        stream = far.send()
        far.answer(stream)
        assert flood(far, stream) == STREAM_WINDOW
        stream.close()
        far.hear()
    assert far.h2.outbound_flow_control_window >= CONNECTION_WINDOW // 2


async def test_a_stream_that_is_given_up_in_the_middle_of_a_frame_leaves_the_next_one_readable() -> None:
    far = far_side()
    stream, other = far.send(), far.send()
    far.answer(stream)
    far.answer(other)
    before = far.connection._inflow.window.left
    data = frames.pack(frames.DATA, frames.END_STREAM, stream.id, b"x" * 1_000)
    data += frames.pack(frames.DATA, 0, other.id, b"whole")
    far.connection.data_received(data[:500])
    stream.close()
    far.connection.data_received(data[500:])
    assert await read_now(other) == b"whole"
    window = far.connection._inflow.window
    assert window.left + window._owed == before  # all 1,005 bytes were returned
    assert far.connection._inflow._due == 0


async def test_padding_counts_and_is_granted_anew() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream)
    for _ in range(10_000):
        far.h2.send_data(stream.id, b"", pad_length=255)
        far.say()
        far.hear()
    far.h2.send_data(stream.id, b"body", end_stream=True, pad_length=7)
    far.say()
    assert await read_all(stream) == b"body"


@pytest.mark.parametrize("size", [1, 3, 100])
async def test_small_frames_by_the_ten_thousand_take_little_more_memory_than_their_bytes(size: int) -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream)
    count = min(STREAM_WINDOW // size, 100_000)
    far.connection.data_received(frames.pack(frames.DATA, 0, stream.id, b"x" * size) * count)
    pieces = stream._pieces
    memory = sys.getsizeof(pieces) + sum(map(sys.getsizeof, pieces))
    assert memory < 1.5 * size * count + 16 * KIB
    assert len(await read_now(stream)) == size * count


async def test_empty_frames_leave_nothing_behind() -> None:
    far = far_side()
    stream = far.send()
    far.answer(stream)
    far.connection.data_received(frames.pack(frames.DATA, 0, stream.id) * 50_000)
    assert stream._pieces == []


@pytest.mark.parametrize("streams", [1, 5])
async def test_more_than_was_granted_ends_the_connection(streams: int) -> None:
    """On one stream, and on the connection while each stream has room."""
    far = far_side()
    opened = [far.send() for _ in range(streams)]
    for stream in opened:
        far.answer(stream)
    each = (STREAM_WINDOW if streams == 1 else CONNECTION_WINDOW // streams) // frames.MAX_FRAME
    piece = b"x" * frames.MAX_FRAME
    for stream in opened:
        far.connection.data_received(frames.pack(frames.DATA, 0, stream.id, piece) * each)
    assert not far.transport.closed
    for stream in opened:
        far.connection.data_received(frames.pack(frames.DATA, 0, stream.id, piece))
    assert far.transport.closed
    (goaway,) = [event for event in far.hear() if hasattr(event, "last_stream_id")]
    assert goaway.error_code == ErrorCode.FLOW_CONTROL_ERROR
    with pytest.raises(ConnectionLost, match="more than it was allowed"):
        await read_all(opened[0])


# ---- the other direction ----


async def test_a_request_that_is_larger_than_the_servers_window_waits_for_it() -> None:
    far = far_side({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    stream = far.send(body=b"0123456789abcdef")
    far.h2.increment_flow_control_window(4, stream.id)
    far.say()
    far.hear()
    far.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 12})  # two more for every stream
    far.say()
    far.hear()
    pieces = [event.data for event in far.events if hasattr(event, "flow_controlled_length")]
    assert pieces == [b"0123456789", b"abcd", b"ef"]
    assert far.events[-1].__class__.__name__ in ("StreamEnded", "SettingsAcknowledged")


async def test_requests_share_the_connections_window() -> None:
    far = far_side({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000})
    for _ in range(3):
        far.send(body=b"x" * 30_000)
    far.h2.increment_flow_control_window(100_000)
    far.say()
    far.hear()
    sizes: dict[int, int] = {}
    for event in far.events:
        if hasattr(event, "flow_controlled_length"):
            sizes[event.stream_id] = sizes.get(event.stream_id, 0) + len(event.data)
    assert list(sizes.values()) == [30_000] * 3


async def test_an_answer_before_the_end_of_its_request_gives_the_rest_up() -> None:
    far = far_side({SettingCodes.INITIAL_WINDOW_SIZE: 1})
    stream = far.send(body=b"long")
    far.answer(stream, b"too long")
    far.trailers(stream, ("grpc-status", "8"))
    assert await read_all(stream) == b"too long"
    assert far.resets() == {stream.id: ErrorCode.NO_ERROR}
    far.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
    far.say()
    far.hear()  # h2 would refuse DATA of a stream that is over
