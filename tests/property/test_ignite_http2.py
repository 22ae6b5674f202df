"""However what a server sends is cut into reads, the same answers come out; and garbage only ever fails cleanly."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Coroutine
from typing import Any

import h2.exceptions
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.ignite.http2.stream import Stream
from shipper.ignite.http2.window import CONNECTION_WINDOW, STREAM_WINDOW
from shipper.ignite.transport import TransportError
from tests.fakes.far_side import GRPC, FarSide, far_side

STREAMS = 3


def run(body: Coroutine[Any, Any, None]) -> None:
    asyncio.run(body)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in cuts)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


async def outcome(stream: Stream) -> tuple[int, bytes, dict[str, str], str]:
    """Status, body, trailers, and how it failed; what is there now."""
    body = b""
    failure = ""
    try:
        async with asyncio.timeout(0.001):
            await stream.begun()
            async for data in stream.body():
                body += data
    except TimeoutError:
        failure = "not over"
    except TransportError as error:
        failure = str(error)
    return stream.status, body, dict(stream.trailers), failure


pieces = st.tuples(st.integers(0, STREAMS - 1), st.binary(max_size=300), st.integers(0, 40), st.booleans())
said = st.lists(st.one_of(pieces, st.sampled_from(["ping", "settings", "reset", "trailers"])), max_size=15)
cuts = st.lists(st.integers(min_value=0, max_value=20_000), max_size=60)


def script(far: FarSide, streams: list[Stream], what: list[Any]) -> bytes:
    """What another's HTTP/2 sends."""
    for stream in streams:
        far.h2.send_headers(stream.id, GRPC)
    over: set[int] = set()
    for step in what:
        number = 0 if isinstance(step, str) else step[0]
        stream_id = streams[number].id
        try:
            match step:
                case "ping":
                    far.h2.ping(b"12345678")
                case "settings":
                    far.h2.update_settings({3: 50})
                case "reset" if stream_id not in over:
                    far.h2.reset_stream(stream_id, 2)
                    over.add(stream_id)
                case "trailers" if stream_id not in over:
                    far.h2.send_headers(stream_id, [("grpc-status", "0")], end_stream=True)
                    over.add(stream_id)
                case (_, data, padding, ends) if stream_id not in over:
                    far.h2.send_data(stream_id, data, end_stream=ends, pad_length=padding or None)
                    over |= {stream_id} if ends else set()
        except h2.exceptions.ProtocolError:
            raise AssertionError("the script itself breaks the rules") from None
    return far.h2.data_to_send()


@settings(max_examples=150, deadline=None)
@given(said, cuts)
@example([(0, b"x" * 300, 0, True), "ping", (1, b"", 0, True), (2, b"y", 40, True)], list(range(400)))
def test_what_a_server_sends_may_arrive_in_any_pieces(what: list[Any], where: list[int]) -> None:
    async def body() -> None:
        outcomes = []
        for places in ([], where):
            far = far_side()
            streams = [far.send() for _ in range(STREAMS)]
            for piece in cut(script(far, streams, what), places):
                far.connection.data_received(piece)
                assert len(far.connection._inflow.rest) <= 16_384 + 9
            outcomes.append([await outcome(stream) for stream in streams])
            assert not far.transport.closed
            far.connection.abort()
        assert outcomes[0] == outcomes[1]

    run(body())


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_garbage_fails_the_streams_and_nothing_else(reads: list[bytes]) -> None:
    async def body() -> None:
        far = far_side()
        streams = [far.send() for _ in range(2)]
        far.answer(streams[0], b"before")
        for read in reads:
            far.connection.data_received(read)
        far.connection.connection_lost(None)
        assert (await outcome(streams[0]))[1].startswith(b"before")
        assert all([(await outcome(stream))[3] != "not over" for stream in streams])

    run(body())


frame_like = st.builds(
    lambda kind, flags, stream, payload: (
        len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
    ),
    st.integers(0, 10),
    st.integers(0, 255),
    st.sampled_from([0, 1, 1, 1, 3, 3, 2, 5, 2**31 + 1]),
    st.binary(max_size=60),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(frame_like, max_size=12))
def test_frames_that_make_no_sense_fail_the_streams_and_nothing_else(said: list[bytes]) -> None:
    async def body() -> None:
        far = far_side()
        streams = [far.send() for _ in range(2)]
        far.connection.data_received(b"".join(said))
        far.connection.connection_lost(None)
        assert all([(await outcome(stream))[3] != "not over" for stream in streams])

    run(body())


steps = st.lists(
    st.tuples(st.sampled_from(["send", "send", "send", "read", "read", "close", "open"]), st.integers(0, 7)),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_both_sides_agree_on_the_windows_and_no_memory_is_forgotten(plan: list[tuple[str, int]]) -> None:
    """After each step; and when all is read or given up, the server may send as much as in the beginning."""

    async def body() -> None:
        far = far_side()
        streams: list[Stream] = []
        for action, which in [("open", 0), *plan]:
            stream = streams[which % len(streams)] if streams else None
            if action == "open":
                streams.append(far.send())
                far.answer(streams[-1])
            elif stream is None:
                continue
            elif action == "send":
                room = min(far.h2.local_flow_control_window(stream.id), 150_000)
                while room > 0:
                    far.h2.send_data(stream.id, b"x" * min(room, 16_384))
                    room -= 16_384
                far.say()
            elif action == "read" and stream.unread:
                await anext(stream.body())
            elif action == "close":
                stream.close()
                streams.remove(stream)
            await asyncio.sleep(0)  # what readers grant in one turn of the loop is one write
            far.hear()
            window = far.connection._inflow.window
            assert far.h2.outbound_flow_control_window == window.left
            assert window.left + window._owed + sum(each.unread for each in streams) == CONNECTION_WINDOW
            for each in streams:
                assert far.h2.streams[each.id].outbound_flow_control_window == each.inbound.left
                assert each.inbound.left + each.inbound._owed + each.unread == STREAM_WINDOW
        far.connection.abort()

    run(body())
