"""HTTP/1.1 to the gateway: TLS, proxies, and which version of HTTP is spoken; on both kinds of event loop."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
import uvloop

from shipper.config.platform import Tls as TlsSettings
from shipper.ignite.dial import Dial
from shipper.ignite.http2.client import Http2Transport
from shipper.ignite.http2.connection import PROTOCOL as HTTP2
from shipper.ignite.http11 import PROTOCOL, Http11Transport
from shipper.ignite.negotiated import Agreed, NegotiatedTransport
from shipper.ignite.tls import client_context
from shipper.ignite.transport import ConnectFailed, ConnectionLost, Request, Transport, TransportError
from tests.servers.h1_server import H1Server
from tests.servers.h1_server import Request as Asked
from tests.servers.h2_server import Exchange, H2Server
from tests.servers.tunnel import Tunnel
from tests.servers.ways import identity

QUESTION = Request("GET", "/v1/ignite/health")
Runner = Callable[[Awaitable[None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Runner:
    """Runs a test body on an event loop of its own; nothing may be complained about."""

    def runner(body: Awaitable[None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else None

        async def bounded() -> None:
            async with asyncio.timeout(20):
                await body

        with asyncio.Runner(loop_factory=factory) as loop:
            loop.run(bounded())
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []

    return runner


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "https_proxy",
        "HTTPS_PROXY",
        "no_proxy",
        "NO_PROXY",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)


async def hello(request: Asked) -> None:
    await request.answer(f"hello {request.headers['host']}".encode())


async def newer(exchange: Exchange) -> None:
    await exchange.open(("content-type", "text/plain"))
    await exchange.send(b"hello over HTTP/2", end=True)


def trusting(*protocols: str) -> ssl.SSLContext:
    return client_context(TlsSettings(ca_file=identity().ca_file), protocols or (PROTOCOL,))


def h1_tls() -> ssl.SSLContext:
    context = identity().server_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def answer(transport: Transport) -> bytes:
    response = await transport.send(QUESTION)
    try:
        await response.begun()
        return b"".join([piece async for piece in response.body()])
    finally:
        response.close()


async def failure(transport: Transport) -> TransportError:
    with pytest.raises(TransportError) as failed:
        await answer(transport)
    return failed.value


def negotiated(address: str) -> NegotiatedTransport:
    host, _, port = address.rpartition(":")
    dial = Dial(host, int(port), trusting(HTTP2, PROTOCOL), host)
    older = Http11Transport(f"https://{address}", address, trusting(PROTOCOL))
    return NegotiatedTransport(Http2Transport(dial, address), older, Agreed())


# ---- TLS and versions ----


def test_a_server_of_http_11_over_tls_is_asked_by_its_name(run: Runner) -> None:
    async def body() -> None:
        async with H1Server(hello, tls=h1_tls()) as server:
            transport = Http11Transport(
                f"https://{server.address}", "ignite.example:443", trusting(), "localhost"
            )
            assert await answer(transport) == b"hello ignite.example:443"
            assert await answer(transport) == b"hello ignite.example:443"
            assert server.connections == 1
            await transport.aclose()

    run(body())


def test_a_certificate_that_is_not_trusted_is_the_cause(run: Runner) -> None:
    async def body() -> None:
        async with H1Server(hello, tls=h1_tls()) as server:
            for context, name in (
                (client_context(TlsSettings(), (PROTOCOL,)), None),
                (trusting(), "other.example"),
            ):
                transport = Http11Transport(f"https://{server.address}", server.address, context, name)
                error = await failure(transport)
                assert isinstance(error, ConnectFailed)
                assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
                await transport.aclose()

    run(body())


def test_what_the_server_chooses_is_spoken_and_asked_for_once(run: Runner) -> None:
    async def body() -> None:
        async with H2Server(newer, tls=identity().server_context()) as server:
            transport = negotiated(server.address)
            assert await answer(transport) == b"hello over HTTP/2"
            assert not transport.agreed.older
            await transport.aclose()
        for tls in (h1_tls(), identity().server_context()):  # the second says nothing about versions
            async with H1Server(hello, tls=tls) as older:
                transport = negotiated(older.address)
                for _ in range(3):
                    assert await answer(transport) == b"hello " + older.address.encode()
                assert transport.agreed.older
                assert older.connections <= 2  # the first showed what it speaks
                await transport.aclose()

    run(body())


# ---- proxies ----


def test_tls_is_led_through_the_proxy_of_the_environment(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with H1Server(hello, tls=h1_tls()) as server, Tunnel(server.address) as tunnel:
            monkeypatch.setenv("HTTPS_PROXY", f"http://us%40er:pass@{tunnel.address}")
            transport = Http11Transport(
                "https://ignite.example:443", "ignite.example:443", trusting(), "localhost"
            )
            assert await answer(transport) == b"hello ignite.example:443"
            assert tunnel.asked[0].startswith(b"CONNECT ignite.example:443 HTTP/1.1\r\n")
            assert b"proxy-authorization: basic dxnazxi6" in tunnel.asked[0].lower()
            await transport.aclose()

    run(body())


def test_a_proxy_that_refuses_or_is_not_there_is_said(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with Tunnel("127.0.0.1:1", b"407 Proxy Authentication Required") as tunnel:
            monkeypatch.setenv("https_proxy", tunnel.address)
            transport = Http11Transport("https://ignite.example:443", "x", trusting())
            error = await failure(transport)
            assert isinstance(error, ConnectFailed)
            assert "the proxy refused to connect: 407 Proxy Authentication Required" in str(error)
            await transport.aclose()
        transport = Http11Transport("https://ignite.example:443", "x", trusting())
        assert isinstance(await failure(transport), ConnectFailed)
        await transport.aclose()
        monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
        transport = Http11Transport("https://ignite.example:443", "x", trusting())
        assert "HTTPS_PROXY must be http://" in str(await failure(transport))
        await transport.aclose()

    run(body())


def test_plaintext_loopback_and_exempt_hosts_are_reached_directly(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def body() -> None:
        for tls, context in ((None, None), (h1_tls(), trusting())):
            async with H1Server(hello, tls=tls) as server:
                scheme = "http" if tls is None else "https"
                transport = Http11Transport(f"{scheme}://{server.address}", "x", context)
                assert await answer(transport) == b"hello x"
                await transport.aclose()

    run(body())


# ---- breaking ----


def test_a_request_that_nobody_waits_for_any_more_leaves_nothing_behind(run: Runner) -> None:
    async def slow(request: Asked) -> None:
        await asyncio.sleep(0.02)
        await request.answer(b"late")

    async def body() -> None:
        async with H1Server(slow) as server:
            transport = Http11Transport(f"http://{server.address}", server.address)
            for wait in (0.0, 0.001, 0.03):
                response = await transport.send(QUESTION)
                await asyncio.sleep(wait)
                response.close()
            response = await transport.send(QUESTION)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    await response.begun()
            response.close()
            assert await answer(transport) == b"late"
            await transport.aclose()
            with pytest.raises(ConnectionLost):
                await transport.send(QUESTION)

    run(body())


def test_closing_fails_what_is_under_way(run: Runner) -> None:
    async def never(request: Asked) -> None:
        await request.open()
        await asyncio.Event().wait()

    async def body() -> None:
        async with H1Server(never) as server:
            transport = Http11Transport(f"http://{server.address}", server.address)
            reading = asyncio.create_task(answer(transport))
            while not server.requests:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.01)
            await transport.aclose()
            with pytest.raises(ConnectionLost):
                await reading

    run(body())


def test_a_host_that_takes_no_connection_fails_in_time(run: Runner) -> None:
    async def body() -> None:
        async with H1Server(hello) as server:  # it takes the connection, and says nothing of TLS
            transport = Http11Transport(f"https://{server.address}", "x", trusting(), connect_timeout_s=0.2)
            error = await failure(transport)
            assert isinstance(error, ConnectFailed)
            assert "no connection in time" in str(error)
            await transport.aclose()

    run(body())
