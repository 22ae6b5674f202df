"""The emulator's streams, healthy and disturbed, seen by a plain gRPC client."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from shipper.emulator import Emulator, Scenario, Traffic, compare
from shipper.emulator.ledger import Printed
from tests.servers.emulator_client import Client

LOGS = "StreamAppLogs"
EVENTS = "StreamAppEvents"


async def outcome(call: Any) -> tuple[list[bytes], grpc.StatusCode]:
    """Read a stream to its end: its messages and its status."""
    bodies: list[bytes] = []
    try:
        while (body := await call.read()) is not grpc.aio.EOF:
            bodies.append(body)
    except grpc.aio.AioRpcError as error:
        return bodies, error.code()
    return bodies, await call.code()


def reading(call: Any) -> asyncio.Task[tuple[list[bytes], grpc.StatusCode]]:
    return asyncio.create_task(outcome(call))


async def test_a_pinned_stream_replays_tails_and_ends_ok_after_the_last_line() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        pod = ignite.app("a").start_replica()
        pod.print("late", ts=20)
        pod.print("early", ts=10)
        read = reading(client.stream(LOGS, app_name="a", replica_id=pod.replica_id, from_start=True))
        await ignite.calls.until_open(replica_id=pod.replica_id)
        pod.print("tail")
        pod.gone()
        bodies, status = await asyncio.wait_for(read, 5)
        decode = client.message("LogLine").FromString
        assert [decode(body).line for body in bodies] == ["early", "late", "tail"]
        assert status is grpc.StatusCode.OK
        assert ignite.ledger.unsent == []


async def test_a_restart_in_place_ends_the_old_stream_and_a_new_one_begins_with_the_new_container() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        pod = ignite.app("a").start_replica()
        pod.print("old")
        stream = client.stream(LOGS, app_name="a", replica_id=pod.replica_id, from_start=True)
        assert client.message("LogLine").FromString(await stream.read()).line == "old"
        pod.crash()
        pod.restart()
        assert (await asyncio.wait_for(outcome(stream), 5)) == ([], grpc.StatusCode.OK)
        pod.print("new")
        assert await client.texts(1, app_name="a", replica_id=pod.replica_id, from_start=True) == ["new"]


async def test_streams_of_unknown_replicas_and_apps_are_not_found() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        ignite.app("a")
        for fields in ({"app_name": "a", "replica_id": "x"}, {"app_name": "b"}):
            assert await outcome(client.stream(LOGS, **fields)) == ([], grpc.StatusCode.NOT_FOUND)


async def test_an_aggregate_stream_brings_replicas_that_start_later() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        app = ignite.app("a")
        read = asyncio.create_task(client.texts(2, app_name="a", from_start=True))
        await ignite.calls.until_open(app="a")
        app.start_replica().print("one")
        app.start_replica().print("two")
        assert sorted(await asyncio.wait_for(read, 5)) == ["one", "two"]


async def test_an_event_stream_brings_what_happens_and_what_recurs() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        app = ignite.app("a")
        app.event("Unhealthy", "before")
        stream = client.stream(EVENTS, app_name="a")
        await ignite.calls.until_open(method=EVENTS)
        app.event("BackOff", "again", recurring=True)
        app.event("BackOff", "again", recurring=True, kind=57)
        app.event("BackOff", "again", recurring=True)
        decode = client.message("AppEvent").FromString
        events = [decode(await stream.read()) for _ in range(3)]
        assert [(event.message, event.count) for event in events] == [
            ("again", 1),
            ("again", 1),
            ("again", 2),
        ]
        assert events[1].kind == 57
        ignite.world.remove_app("a")
        assert await asyncio.wait_for(outcome(stream), 5) == ([], grpc.StatusCode.OK)


async def test_a_cut_ends_streams_with_its_status_after_what_was_sent() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        one, two = ignite.app("a").start_replica(), ignite.app("a").start_replica()
        reads = [
            reading(client.stream(LOGS, app_name="a", replica_id=pod.replica_id, from_start=True))
            for pod in (one, two)
        ]
        await ignite.calls.until_open(2)
        one.print("x")
        await ignite.calls.until(lambda: any(stream.sent for stream in ignite.calls.open))
        assert ignite.faults.cut(replica_id=one.replica_id, status="INTERNAL") == 1
        bodies, status = await asyncio.wait_for(reads[0], 5)
        assert (len(bodies), status) == (1, grpc.StatusCode.INTERNAL)
        assert not reads[1].done()
        assert ignite.faults.cut() == 1
        assert (await asyncio.wait_for(reads[1], 5))[1] is grpc.StatusCode.UNAVAILABLE


async def test_a_stalled_stream_stays_open_while_lines_accumulate_that_others_can_have() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        pod = ignite.app("a").start_replica()
        named = {"app_name": "a", "replica_id": pod.replica_id}
        stuck = reading(client.stream(LOGS, **named, from_start=True))
        await ignite.calls.until_open()
        assert len(ignite.faults.stall(replica_id=pod.replica_id)) == 1
        pod.print("unheard")
        assert [line.line for line in (await client.unary("GetAppLogs", **named)).lines] == ["unheard"]
        assert await client.texts(1, **named, from_start=True) == ["unheard"]
        assert not stuck.done()
        assert ignite.faults.resume() == 1
        pod.gone()
        bodies, status = await asyncio.wait_for(stuck, 5)
        assert (len(bodies), status) == (1, grpc.StatusCode.OK)


async def test_garbage_comes_between_the_lines_and_the_stream_goes_on() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        pod = ignite.app("a").start_replica()
        read = reading(client.stream(LOGS, app_name="a", replica_id=pod.replica_id, from_start=True))
        await ignite.calls.until_open()
        assert ignite.faults.garbage(b"\xff\xff") == 1
        pod.print("x")
        pod.gone()
        bodies, status = await asyncio.wait_for(read, 5)
        assert (len(bodies), bodies[0], status) == (2, b"\xff\xff", grpc.StatusCode.OK)


async def test_every_connection_breaks_on_request_and_the_port_stays() -> None:
    async with Emulator() as ignite:
        address = ignite.address
        pod = ignite.app("a").start_replica()
        pod.print("x")
        async with Client(ignite) as client:
            await client.schema()
            read = reading(client.stream(LOGS, app_name="a", replica_id=pod.replica_id, from_start=True))
            await ignite.calls.until_open()
            await ignite.stop_serving()
            _, status = await asyncio.wait_for(read, 5)
            assert status is not grpc.StatusCode.OK
        await ignite.start_serving()
        assert ignite.address == address
        async with Client(ignite) as client:
            await client.schema()
            assert await client.texts(1, app_name="a", replica_id=pod.replica_id, from_start=True) == ["x"]
        await ignite.reconnect()
        async with Client(ignite) as client:
            await client.schema()


async def test_expired_tokens_cut_the_streams_they_opened_if_wanted() -> None:
    async with Emulator() as ignite:
        ignite.app("a").start_replica()
        async with Client(ignite, token=ignite.tokens.issue()) as client:
            await client.schema()
            read = reading(client.stream(LOGS, app_name="a"))
            await ignite.calls.until_open()
            ignite.expire_tokens(cut_streams=True)
            assert (await asyncio.wait_for(read, 5))[1] is grpc.StatusCode.UNAUTHENTICATED


async def test_a_client_that_goes_away_frees_its_stream() -> None:
    async with Emulator() as ignite, Client(ignite) as client:
        await client.schema()
        ignite.app("a").start_replica()
        stream = client.stream(LOGS, app_name="a")
        await ignite.calls.until_open()
        stream.cancel()
        await asyncio.wait_for(ignite.calls.until(lambda: not ignite.calls.open), 5)


async def test_bytes_that_are_no_text_travel_as_they_are() -> None:
    async with Emulator(Scenario(declare_line="bytes", gzip=True)) as ignite, Client(ignite) as client:
        await client.schema()
        pod = ignite.app("a").start_replica()
        pod.print(b"\x00\xff\xed\xa0\x80")
        pod.print("é")
        found = await client.texts(2, app_name="a", from_start=True)
        assert found == [b"\x00\xff\xed\xa0\x80", "é".encode()]


async def test_streams_beyond_the_cap_of_a_connection_wait_until_one_is_free() -> None:
    async with Emulator(Scenario(max_concurrent_streams=2)) as ignite, Client(ignite) as client:
        await client.schema()
        ignite.app("a").start_replica()
        streams = [client.stream(LOGS, app_name="a") for _ in range(3)]
        await ignite.calls.until_open(2)
        assert ignite.calls.made[LOGS] == 2
        ignite.faults.cut(count=1)
        await asyncio.wait_for(ignite.calls.until_made(LOGS, 3), 5)
        for stream in streams:
            stream.cancel()


async def test_a_stream_of_everything_brings_exactly_what_a_driven_app_printed() -> None:
    traffic = Traffic(
        apps=1, rate=2000, pod_life_s=0.4, least_life_s=0.1, sleep_every_s=0, back_off_s=0.05, leave_s=0.05
    )
    async with Emulator(Scenario(traffic=traffic, seed=3)) as ignite, Client(ignite) as client:
        await client.schema()
        read = reading(client.stream(LOGS, app_name="checkout", from_start=True))
        await asyncio.wait_for(
            ignite.calls.until(lambda: ignite.ledger.printed > 1500 and ignite.ledger.happened > 20), 20
        )
        assert ignite.driver is not None
        ignite.driver.quiet = True
        ignite.world.remove_app("checkout")
        bodies, status = await asyncio.wait_for(read, 10)
        assert status is grpc.StatusCode.OK
        names = {"LOG_STREAM_STDOUT": "stdout", "LOG_STREAM_STDERR": "stderr"}
        lines = map(client.message("LogLine").FromString, bodies)
        found = [
            Printed(
                "checkout",
                line.replica_id,
                line.timestamp_ms,
                names[client.enum("LogStream", line.stream)],
                line.line,
            )
            for line in lines
        ]
        result = compare(ignite.ledger.counter(), found)
        assert result.equal, (len(result.missing), len(result.surplus))
        assert ignite.ledger.unsent == []
