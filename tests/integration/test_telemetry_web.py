"""The telemetry server over real sockets: what it answers, and what bad clients cannot do."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest
import uvloop
from aiohttp import ClientSession

from shipper.telemetry.connections import Bounds
from shipper.telemetry.health import Liveness, Readiness
from shipper.telemetry.prometheus import PrometheusMeter
from shipper.telemetry.web import TelemetryServer


@dataclass
class Served:
    server: TelemetryServer
    meter: PrometheusMeter
    liveness: Liveness
    readiness: Readiness

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        async with ClientSession() as session:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            url = f"http://127.0.0.1:{self.server.port}{path}"
            async with session.request(method, url, headers=names) as response:
                return response.status, dict(response.headers), await response.text()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.server.port)

    async def raw(self, request: bytes) -> bytes:
        """What the server sends until it closes the connection."""
        reader, writer = await self.connect()
        try:
            writer.write(request)
            await writer.drain()
            async with asyncio.timeout(10):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def served(
    *, connections: int = 64, request_s: float = 5.0, lifetime_s: float = 30.0
) -> AsyncIterator[Served]:
    meter = PrometheusMeter(sinks=["archive"])
    liveness, readiness = (
        Liveness(meter),
        Readiness({"buffer writable": "not opened yet", "connected": "not yet"}),
    )
    server = TelemetryServer(
        "127.0.0.1",
        0,
        meter=meter,
        liveness=liveness,
        readiness=readiness,
        bounds=Bounds(connections, request_s, lifetime_s),
    )
    async with server:
        yield Served(server, meter, liveness, readiness)


async def test_the_metrics_page_is_what_was_counted() -> None:
    async with served() as it:
        it.meter.count("records_received_total", 7, "logs")
        status, headers, text = await it.get("/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert 'shipper_records_received_total{kind="logs"} 7.0' in text
    assert headers["Cache-Control"] == "no-store"


async def test_the_metrics_page_speaks_openmetrics_and_gzip_where_asked() -> None:
    async with served() as it:
        status, headers, text = await it.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
        assert status == 200
        assert headers["Content-Type"].startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")
        answer = await it.raw(b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"Content-Encoding: gzip" in head
        assert b"shipper_build_info" in gzip.decompress(body)


async def test_healthz_is_the_heartbeat_alone() -> None:
    async with served() as it:
        assert (await it.get("/healthz"))[0] == 200
        it.liveness._last = asyncio.get_running_loop().time() - 31
        status, _, text = await it.get("/healthz")
    assert status == 503
    assert "no beat for 31 s" in text


async def test_readyz_says_what_is_missing_until_nothing_is() -> None:
    async with served() as it:
        status, _, text = await it.get("/readyz")
        assert (status, text) == (503, "not ready\n- buffer writable: not opened yet\n- connected: not yet\n")
        it.readiness.met("connected")
        status, headers, text = await it.get("/readyz", Accept="application/json")
        assert status == 503
        assert headers["Content-Type"].startswith("application/json")
        assert (
            text == '{"ready": false, "conditions": {"buffer writable": "not opened yet", "connected": "ok"}}'
        )
        it.readiness.met("buffer writable")
        assert (await it.get("/readyz"))[::2] == (200, "ready\n")


async def test_what_is_not_there_is_not_found() -> None:
    async with served() as it:
        for path in (
            "/nothing",
            "/metrics/",
            "/..%2fetc/passwd",
            "/debug/pprof",
            "/api",
            "/api/status/x",
            "/favicon.ico",
        ):
            assert (await it.get(path))[0] == 404


async def test_only_reading_is_allowed() -> None:
    async with served() as it:
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            status, headers, _ = await it.get("/metrics", method)
            assert (status, headers["Allow"]) == (405, "GET, HEAD")
        status, headers, text = await it.get("/metrics", "HEAD")
        assert (status, text) == (200, "")


async def test_a_page_that_fails_is_logged_and_answered_and_the_server_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with served() as it:
        it.readiness.reasons = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
        assert (await it.get("/readyz"))[0] == 500
        assert (await it.get("/healthz"))[0] == 200
    assert [record.name for record in caplog.records] == ["shipper.telemetry"]


async def test_a_port_in_use_is_an_error_that_names_the_setting() -> None:
    async with served() as it:
        other = TelemetryServer(
            "127.0.0.1", it.server.port, meter=it.meter, liveness=it.liveness, readiness=it.readiness
        )
        with pytest.raises(
            OSError, match=rf"telemetry\.listen.*127\.0\.0\.1:{it.server.port}.*[Aa]ddress already in use"
        ):
            await other.__aenter__()


async def test_an_address_that_cannot_be_had_is_an_error_that_names_the_setting() -> None:
    meter = PrometheusMeter()
    server = TelemetryServer("192.0.2.1", 0, meter=meter, liveness=Liveness(meter), readiness=Readiness({}))
    with pytest.raises(OSError, match=r"telemetry\.listen: cannot listen on"):
        await server.__aenter__()


async def test_the_port_is_free_again_afterwards_even_with_a_client_that_stays() -> None:
    async with served() as it:
        port = it.server.port
        _, writer = await it.connect()
        await it.get("/healthz")
    writer.close()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


async def test_a_connection_serves_one_request() -> None:
    async with served() as it:
        answer = await it.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n",
    ],
)
async def test_oversized_and_malformed_requests_are_refused_without_noise(
    request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with served() as it:
        answer = await it.raw(request_)
        assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
        assert (await it.get("/healthz"))[0] == 200
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_a_request_with_a_body_is_not_answered_and_the_body_is_not_read() -> None:
    async with served() as it:
        for framing in (b"Content-Length: 1000000", b"Transfer-Encoding: chunked"):
            answer = await it.raw(b"GET /metrics HTTP/1.1\r\nHost: x\r\n" + framing + b"\r\n\r\nabc")
            assert answer.startswith(b"HTTP/1.1 413")


async def test_a_body_that_never_ends_is_not_waited_for() -> None:
    async with served() as it:
        answer = await it.raw(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nabc")
    assert answer.startswith(b"HTTP/1.1 405")


@pytest.mark.parametrize("sends", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
async def test_a_client_that_says_nothing_or_never_ends_is_cut_off(sends: bytes) -> None:
    async with served(lifetime_s=0.2) as it:
        reader, writer = await it.connect()
        trickling = asyncio.create_task(trickle(writer, sends))
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        trickling.cancel()
        writer.close()
        assert (await it.get("/healthz"))[0] == 200


async def trickle(writer: asyncio.StreamWriter, start: bytes) -> None:
    writer.write(start)
    while True:
        await asyncio.sleep(0.02)
        writer.write(b"x" if start else b"")


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    async with served(lifetime_s=0.3) as it:
        it.meter.render = lambda _: (b"x" * 20_000_000, "text/plain")  # type: ignore[method-assign, assignment]
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(client, ("127.0.0.1", it.server.port))
            await loop.sock_sendall(client, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(5):
                while not it.server._server.connections:
                    await asyncio.sleep(0.01)
                while it.server._server.connections:
                    await asyncio.sleep(0.01)


async def test_silent_connections_make_room_for_whoever_asks_something() -> None:
    async with served(connections=3) as it:
        silent = [await it.connect() for _ in range(3)]
        for _ in range(5):
            assert (await it.get("/healthz"))[0] == 200
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await silent[0][0].read() == b"", "the one that was silent for longest went first"
        silent[2][1].write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await silent[2][0].read()).startswith(b"HTTP/1.1 200")
        for _, writer in silent:
            writer.close()


async def test_more_requests_at_once_than_there_are_places_are_refused_and_those_there_are_answered() -> None:
    async with served(connections=3) as it:
        release = threading.Event()
        render = it.meter.render

        def slow(accept: str) -> tuple[bytes, str]:
            release.wait(10)
            return render(accept)

        it.meter.render = slow  # type: ignore[method-assign]
        scrapes = [asyncio.create_task(it.get("/metrics")) for _ in range(3)]
        while sum(place.asked for place in it.server._server._places.values()) < 3:
            await asyncio.sleep(0.001)
        assert await it.raw(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n") == b""
        release.set()
        assert [(await one)[0] for one in scrapes] == [200] * 3


@pytest.mark.parametrize("sends", [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"])
async def test_a_request_has_to_come_soon_while_its_answer_may_take_longer(sends: bytes) -> None:
    async with served(request_s=0.15, lifetime_s=20.0) as it:
        release = threading.Event()
        render = it.meter.render

        def slow(accept: str) -> tuple[bytes, str]:
            release.wait(10)
            return render(accept)

        it.meter.render = slow  # type: ignore[method-assign]
        scrape = asyncio.create_task(it.get("/metrics"))
        reader, writer = await it.connect()
        trickling = asyncio.create_task(trickle(writer, sends))
        async with asyncio.timeout(5):
            with suppress(ConnectionError):
                assert await reader.read() == b""
        trickling.cancel()
        writer.close()
        release.set()
        assert (await scrape)[0] == 200


async def test_rendering_a_thousand_apps_does_not_hold_the_loop() -> None:
    async with served() as it:
        for number in range(1000):
            it.meter.level("replicas", 1, f"acme/app-{number}")
        release, rendering = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        render = it.meter.render

        def slow(accept: str) -> tuple[bytes, str]:
            loop.call_soon_threadsafe(rendering.set)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(5)
            return render(accept)

        it.meter.render = slow  # type: ignore[method-assign]
        scrape = asyncio.create_task(it.get("/metrics"))
        await rendering.wait()
        assert (await it.get("/healthz"))[0] == 200, "answered while the page is being rendered"
        release.set()
        status, _, text = await scrape
    assert status == 200
    assert text.count("\nshipper_replicas{") == 1000


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_works_on_both_event_loops(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def body() -> None:
        async with served(lifetime_s=0.2) as it:
            assert (await it.get("/healthz"))[0] == 200
            reader, writer = await it.connect()
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(body())
