"""PING: a connection that is dead is noticed, and no gRPC server with default settings is asked too often."""

from __future__ import annotations

import asyncio
import itertools
import random

import h2.events
import pytest

from shipper.ignite.http2 import frames
from shipper.ignite.http2.keepalive import DEFAULT
from shipper.ignite.http2.stream import Stream
from shipper.ignite.transport import ConnectionLost
from tests.fakes.far_side import FarSide, far_side
from tests.virtual_time import elapsed, virtual_time


def pings(far: FarSide) -> int:
    """How many have come since the last look. `h2` answers them by itself; `say` brings the answer."""
    return sum(isinstance(event, h2.events.PingReceived) for event in far.hear())


def opened(far: FarSide) -> Stream:
    stream = far.send()
    far.answer(stream, b"line")
    return stream


@virtual_time
async def test_silence_on_an_open_stream_is_asked_about() -> None:
    far = far_side()
    opened(far)
    await asyncio.sleep(DEFAULT.silence_s - 1)
    assert pings(far) == 0
    await asyncio.sleep(2)
    assert pings(far) == 1
    far.connection.abort()


@virtual_time
async def test_a_ping_that_is_not_answered_ends_the_connection() -> None:
    far = far_side()
    stream = opened(far)
    await anext(stream)
    with pytest.raises(ConnectionLost, match="did not answer a PING within 15 s"):
        await anext(stream)
    assert elapsed() == DEFAULT.silence_s + DEFAULT.answer_s
    assert far.transport.aborted


@virtual_time
async def test_a_machine_that_slept_waits_for_the_answer_anew() -> None:
    far = far_side()
    opened(far)
    await asyncio.sleep(DEFAULT.silence_s + 1)
    asyncio.get_running_loop()._jumping.now += 3_600  # type: ignore[attr-defined]
    await asyncio.sleep(0.01)
    assert not far.transport.closed
    far.hear()
    far.say()
    await asyncio.sleep(DEFAULT.answer_s * 2)
    assert not far.transport.closed
    far.connection.abort()


@virtual_time
async def test_whatever_comes_is_an_answer() -> None:
    far = far_side()
    opened(far)
    await asyncio.sleep(DEFAULT.silence_s + 5)
    far.connection.data_received(frames.pack(frames.PING, 0, 0, b"theirown"))
    await asyncio.sleep(DEFAULT.answer_s * 2)
    assert not far.transport.closed
    far.connection.abort()


@virtual_time
async def test_without_a_stream_nothing_is_asked() -> None:
    far = far_side()
    opened(far).close()
    await asyncio.sleep(3_600)
    assert pings(far) == 0
    far.connection.abort()


@virtual_time
async def test_the_same_silence_is_asked_about_again_only_after_five_minutes() -> None:
    far = far_side()
    opened(far)
    at = []
    while elapsed() < 1_000:
        await asyncio.sleep(1)
        if pings(far):
            at.append(elapsed())
            far.say()
    gaps = [after - before for before, after in itertools.pairwise(at)]
    assert at[0] <= DEFAULT.silence_s + 1
    assert gaps
    assert min(gaps) >= 300
    assert max(gaps) <= DEFAULT.again_s + DEFAULT.silence_s
    far.connection.abort()


@virtual_time
async def test_data_makes_the_next_silence_a_new_one() -> None:
    far = far_side()
    stream = opened(far)
    for _ in range(3):
        await asyncio.sleep(DEFAULT.silence_s + 1)
        assert pings(far) == 1
        far.say()
        await asyncio.sleep(20)
        far.data(stream, b"line")
    far.connection.abort()


class Strict:
    """Counts as grpc-go's server does by default (`handlePing` in internal/transport/http2_server.go)."""

    def __init__(self) -> None:
        self.sent_since = False  # headers or data since the last ping
        self.last_ping = float("-inf")
        self.strikes = self.most = 0

    def ping(self, now: float, streams: int) -> None:
        least = 300.0 if streams else 7_200.0
        if self.sent_since:
            self.sent_since, self.strikes = False, 0
        elif now < self.last_ping + least:
            self.strikes += 1
        self.last_ping = now
        self.most = max(self.most, self.strikes)


@pytest.mark.parametrize("seed", range(5))
def test_a_strict_server_counts_no_ping_as_one_too_many(seed: int) -> None:
    """Hours of streams that come, speak in bursts, and go."""
    choose = random.Random(seed)

    @virtual_time
    async def hours() -> None:
        far, server, streams, pause = far_side(), Strict(), list[Stream](), 0
        while elapsed() < 12 * 3_600:
            await asyncio.sleep(5)
            for _ in range(pings(far)):
                server.ping(elapsed(), len(streams))
            far.say()
            pause -= 1
            if pause > 0:
                continue
            pause = choose.choice([1, 1, 2, 4, 6, 7, 12, 60, 180])
            match choose.randrange(4):
                case 0 if len(streams) < 3:
                    streams.append(opened(far))
                    server.sent_since = True
                case 1 if streams:
                    far.data(choose.choice(streams), b"line")
                    server.sent_since = True
                case 2 if streams and choose.random() < 0.3:
                    streams.pop().close()
            for stream in streams:
                if stream.unread:
                    await anext(stream)
        assert server.most == 0
        assert not far.transport.closed
        far.connection.abort()

    hours()
