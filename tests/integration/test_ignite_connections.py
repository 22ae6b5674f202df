"""Connections that go away, go silent or are full of data that nobody reads: calls and streams find another."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from shipper.ignite.connect import connect
from shipper.ignite.framing import frame
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.ignite.status import CallFailed, Code
from tests.servers.h2_platform import APP, POD, line, platform_of, serving, settings_for
from tests.servers.h2_server import Exchange, H2Server

REPLICAS = pb.ListAppReplicasResponse(replicas=[{"replica_id": POD}]).SerializeToString()


async def replicas(exchange: Exchange) -> None:
    await exchange.answer(REPLICAS)


async def nothing(exchange: Exchange) -> None:
    """Leaves the call unanswered."""
    await exchange.reset.wait()


async def deaf(exchange: Exchange) -> None:
    """From now on the whole connection is a black hole; TCP stays up."""
    exchange.connection.deaf.set()


async def code_of(platform: GrpcPlatform) -> Code:
    with pytest.raises(CallFailed) as failure:
        await platform.list_replicas(APP)
    return failure.value.status.code


# ---- deadlines ----


async def test_a_call_that_is_not_answered_ends_with_its_deadline() -> None:
    async with (
        H2Server(serving(ListAppReplicas=nothing)) as server,
        platform_of(server, call_timeout_s=0.1) as platform,
    ):
        assert await code_of(platform) is Code.DEADLINE_EXCEEDED
        await server.exchanges[-1].reset.wait()  # and is given up at the server


async def test_an_answer_that_trickles_ends_with_the_deadline() -> None:
    async def loris(exchange: Exchange) -> None:
        await exchange.open()
        for byte in frame(REPLICAS):
            await exchange.send(bytes([byte]))
            await asyncio.sleep(0.02)

    async with (
        H2Server(serving(ListAppReplicas=loris)) as server,
        platform_of(server, call_timeout_s=0.2) as platform,
    ):
        await platform.contract()
        began = time.monotonic()
        assert await code_of(platform) is Code.DEADLINE_EXCEEDED
        assert time.monotonic() - began < 2


async def test_after_two_calls_into_a_black_hole_the_next_goes_over_a_new_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hole = asyncio.Event()

    async def once(exchange: Exchange) -> None:
        await (replicas(exchange) if hole.is_set() else deaf(exchange))

    async with (
        H2Server(serving(ListAppReplicas=once)) as server,
        platform_of(server, call_timeout_s=0.15) as platform,
    ):
        await platform.contract()
        first = server.connections[0]
        assert [await code_of(platform) for _ in range(2)] == [Code.DEADLINE_EXCEEDED] * 2
        hole.set()
        assert [replica.replica_id for replica in await platform.list_replicas(APP)] == [POD]
        assert server.connections[0] is first
        assert not first.writer.transport.is_closing()  # TCP was up all the time
        assert len(server.connections) == 2
        said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(said) == 1
        assert "answers no more" in said[0]


async def test_one_slow_call_between_good_ones_costs_no_connection() -> None:
    slow = iter([True, False, True, False])

    async def sometimes(exchange: Exchange) -> None:
        await (nothing(exchange) if next(slow) else replicas(exchange))

    async with (
        H2Server(serving(ListAppReplicas=sometimes)) as server,
        platform_of(server, call_timeout_s=0.15) as platform,
    ):
        for _ in range(2):
            assert await code_of(platform) is Code.DEADLINE_EXCEEDED
            await platform.list_replicas(APP)
        assert len(server.connections) == 1


async def test_a_stream_that_is_opened_into_a_black_hole_is_opened_over_a_new_connection() -> None:
    async def log(exchange: Exchange) -> None:
        if exchange.connection.number == first:
            await deaf(exchange)
        else:
            await exchange.open()
            await exchange.messages(line("hello"))
            await exchange.reset.wait()

    first = 1  # connection 0 is the one of calls
    async with (
        H2Server(serving(StreamAppLogs=log)) as server,
        platform_of(server, patience_s=0.1) as platform,
    ):
        async with asyncio.timeout(5), platform.stream_logs(APP, POD) as stream:
            assert (await anext(aiter(stream))).lines == ["hello"]
        assert len(server.connections) == 3


# ---- flow control ----


async def test_streams_that_nobody_reads_do_not_hold_up_the_calls() -> None:
    async def flood(exchange: Exchange) -> None:
        await exchange.open()
        piece = frame(line("x" * 4_000)) * 16
        while not exchange.reset.is_set():
            await exchange.send(piece)

    methods = serving(StreamAppLogs=flood, ListAppReplicas=replicas)
    async with H2Server(methods) as server, platform_of(server) as platform:
        held = [platform.stream_logs(APP, POD) for _ in range(8)]
        for each in held:
            await each.__aenter__()
        async with asyncio.timeout(5):
            while server.connections[1].h2.outbound_flow_control_window > 0:  # until the server is held back
                await asyncio.sleep(0.02)
        assert len(await platform.list_replicas(APP)) == 1
        for each in held:
            await each.__aexit__(None, None, None)


# ---- GOAWAY and breaks ----


async def test_a_server_that_drains_keeps_its_streams_and_gets_no_new_ones() -> None:
    go_on = asyncio.Event()

    async def log(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(line("before"))
        if exchange.connection.number == 1:
            await exchange.connection.goaway()
            await go_on.wait()
        await exchange.messages(line("after"))
        await exchange.close()

    async with H2Server(serving(StreamAppLogs=log)) as server, platform_of(server) as platform:
        async with platform.stream_logs(APP, POD) as old:
            lines = aiter(old)
            assert (await anext(lines)).lines == ["before"]
            async with platform.stream_logs(APP, POD) as new:
                assert [text async for chunk in new for text in chunk.lines] == ["before", "after"]
            go_on.set()
            assert [text async for chunk in lines for text in chunk.lines] == ["after"]
        assert len(server.connections) == 3


async def test_a_stream_that_came_too_late_for_a_draining_server_is_opened_elsewhere() -> None:
    async def log(exchange: Exchange) -> None:
        if exchange.connection.number == 1:
            await exchange.connection.goaway(last_stream_id=0)
            await exchange.reset.wait()
        else:
            await exchange.answer(line("hello"))

    async with (
        asyncio.timeout(5),
        H2Server(serving(StreamAppLogs=log)) as server,
        platform_of(server) as platform,
        platform.stream_logs(APP, POD) as stream,
    ):
        assert [text async for chunk in stream for text in chunk.lines] == ["hello"]


@pytest.mark.parametrize("code", [2, 11])
async def test_a_server_that_ends_the_connection_in_anger_is_a_status(code: int) -> None:
    async def log(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.connection.goaway(exchange.stream_id, code)
        exchange.connection.abort()

    async with H2Server(serving(StreamAppLogs=log)) as server, platform_of(server) as platform:
        with pytest.raises(CallFailed) as failure:
            async with platform.stream_logs(APP, POD) as stream:
                async for _ in stream:
                    pass
        assert failure.value.status.code in (Code.UNAVAILABLE, Code.INTERNAL, Code.RESOURCE_EXHAUSTED)


async def test_a_server_that_is_not_there_is_unavailable_and_named() -> None:
    async with H2Server(serving()) as server:
        url = server.url
    async with platform_of(server) as platform:
        with pytest.raises(CallFailed, match=f"UNAVAILABLE: {url}: .*Connection refused"):
            await platform.list_replicas(APP)


async def test_what_does_not_speak_http2_is_told_apart() -> None:
    async def http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(http1, "127.0.0.1", 0) as server:
        platform = connect(settings_for(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"))
        try:
            with pytest.raises(CallFailed, match="must speak HTTP/2"):
                await platform.list_replicas(APP)
        finally:
            await platform.aclose()


async def test_after_closing_calls_fail_and_open_nothing() -> None:
    async with H2Server(serving(ListAppReplicas=replicas)) as server, platform_of(server) as platform:
        await platform.list_replicas(APP)
        await platform.aclose()
        assert await code_of(platform) is Code.CANCELLED
        with pytest.raises(CallFailed):
            async with platform.stream_logs(APP, POD):
                pass
        assert len(server.connections) == 1
