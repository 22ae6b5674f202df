"""The transport over real sockets, on both kinds of event loop: connecting, reconnecting, TLS, proxies, closing."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
import uvloop

from shipper.config.platform import Tls as TlsSettings
from shipper.ignite.dial import Dial
from shipper.ignite.http2.client import Http2Transport
from shipper.ignite.http2.stream import Stream
from shipper.ignite.tls import client_context
from shipper.ignite.transport import (
    ConnectFailed,
    ConnectionLost,
    NotTaken,
    NotUnderstood,
    Request,
    StreamReset,
    TransportError,
)
from tests.fakes.far_side import read_all
from tests.servers.h2_server import Exchange, H2Server
from tests.servers.tls import Tls, make_tls

REQUEST = Request("POST", "/x", (("te", "trailers"),), b"request")

Runner = Callable[[Awaitable[None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    """Runs a coroutine on a loop of its own. Whatever the loop complains of fails the test."""
    complaints: list[str] = []

    async def watched(body: Awaitable[None]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, what: complaints.append(what["message"]))
        async with asyncio.timeout(20):
            await body
        left = {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}
        assert not {name for name in left if name.startswith("connect")}

    def runner(body: Awaitable[None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else None
        with asyncio.Runner(loop_factory=factory) as loop:
            loop.run(watched(body))
        assert complaints == []

    return runner


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return make_tls(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


async def hello(exchange: Exchange) -> None:
    await exchange.open()
    await exchange.send(b"hello " + bytes(exchange.body))
    await exchange.close()


async def quiet(exchange: Exchange) -> None:
    await exchange.reset.wait()


def to(port: int, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Http2Transport:
    return Http2Transport(Dial(host, port, context, "localhost"), f"localhost:{port}")


@asynccontextmanager
async def transport_to(
    server: H2Server, context: ssl.SSLContext | None = None
) -> AsyncIterator[Http2Transport]:
    transport = to(int(server.address.rpartition(":")[2]), context)
    try:
        yield transport
    finally:
        await transport.aclose()


def trusting(tls: Tls) -> ssl.SSLContext:
    return client_context(TlsSettings(ca_file=str(tls.ca_file)))


async def answer(transport: Http2Transport) -> bytes:
    stream = await transport.send(REQUEST)
    await stream.begun()
    return await read_all(stream)


async def failure(sent: Awaitable[Stream]) -> TransportError:
    with pytest.raises(TransportError) as failed:
        await (await sent).begun()
    return failed.value


# ---- connections ----


def test_many_requests_at_once_share_one_connection(run: Runner) -> None:
    async def body() -> None:
        async with H2Server(hello) as server, transport_to(server) as transport:
            assert transport.limit is None
            answers = await asyncio.gather(*(answer(transport) for _ in range(50)))
            assert answers == [b"hello request"] * 50
            assert len(server.connections) == 1
            assert transport.limit is not None

    run(body())


def test_a_large_answer_arrives_whole(run: Runner, tls: Tls) -> None:
    size = 20_000_000

    async def large(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.send(bytes(size), end=True)

    async def body() -> None:
        for server_tls, context in ((None, None), (tls.server_context(), trusting(tls))):
            async with H2Server(large, tls=server_tls) as server, transport_to(server, context) as transport:
                assert len(await answer(transport)) == size

    run(body())


def test_a_connection_that_broke_is_replaced_with_the_next_request(run: Runner) -> None:
    async def script(exchange: Exchange) -> None:
        if exchange.connection.number == 0:
            exchange.connection.abort()
        await hello(exchange)

    async def body() -> None:
        async with H2Server(script) as server, transport_to(server) as transport:
            assert isinstance(await failure(transport.send(REQUEST)), ConnectionLost)
            assert await answer(transport) == b"hello request"
            assert len(server.connections) == 2

    run(body())


def test_a_connection_that_drains_keeps_its_requests_and_the_next_goes_to_another(run: Runner) -> None:
    released = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        if exchange.connection.number == 0:
            await exchange.connection.goaway()
            await released.wait()
        await hello(exchange)

    async def body() -> None:
        async with H2Server(script) as server, transport_to(server) as transport:
            old = await transport.send(REQUEST)
            while transport._connection is not None and transport._connection.takes_more:
                await asyncio.sleep(0.01)
            assert await answer(transport) == b"hello request"
            released.set()
            assert await read_all(old) == b"hello request"
            assert len(server.connections) == 2
            while len(transport._open) > 1:  # the old one closes by itself
                await asyncio.sleep(0.01)

    run(body())


def test_a_request_that_came_too_late_was_not_taken(run: Runner) -> None:
    async def late(exchange: Exchange) -> None:
        await exchange.connection.goaway(last_stream_id=0)

    async def body() -> None:
        async with H2Server(late) as server, transport_to(server) as transport:
            assert isinstance(await failure(transport.send(REQUEST)), NotTaken)

    run(body())


def test_a_refusal_of_connection_is_shared_by_all_who_wait_for_it(run: Runner) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]

    async def body() -> None:
        transport = to(port)
        errors = await asyncio.gather(*(failure(transport.send(REQUEST)) for _ in range(5)))
        assert {str(error) for error in errors} == {"Connection refused"}
        assert {type(error) for error in errors} == {ConnectFailed}
        assert len(set(map(id, errors))) == 5
        await transport.aclose()

    run(body())


def test_one_who_is_cancelled_does_not_take_the_connection_from_the_others(run: Runner) -> None:
    async def body() -> None:
        async with H2Server(hello) as server, transport_to(server) as transport:
            first = asyncio.ensure_future(transport.send(REQUEST))
            second = asyncio.ensure_future(answer(transport))
            await asyncio.sleep(0)
            first.cancel()
            assert await second == b"hello request"
            assert len(server.connections) == 1

    run(body())


@asynccontextmanager
async def listening(say: bytes = b"", *, close: bool = False) -> AsyncIterator[int]:
    """A server that says something and no more; its port."""
    writers: list[asyncio.StreamWriter] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        if say:
            writer.write(say)
        if close:
            writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


def test_a_server_that_says_nothing_is_given_up(run: Runner, tls: Tls) -> None:
    async def body() -> None:
        for context in (None, trusting(tls)):
            async with listening() as port:
                transport = to(port, context)
                transport.connect_timeout_s = 0.1
                error = await failure(transport.send(REQUEST))
                assert str(error) == "no connection within 0.1 s"
                await transport.aclose()

    run(body())


def test_what_speaks_something_else_is_not_understood(run: Runner) -> None:
    async def body() -> None:
        for say, words in (
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 only"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP/2"),
            (b"", "closed the connection"),
        ):
            async with listening(say, close=True) as port:
                transport = to(port)
                error = await failure(transport.send(REQUEST))
                assert isinstance(error, NotUnderstood)
                assert words in str(error) or "broke" in str(error)  # what it said may be lost with the reset
                await transport.aclose()

    run(body())


def test_a_name_that_nobody_has_is_no_connection(run: Runner) -> None:
    async def body() -> None:
        transport = to(1, host="a" * 64 + ".invalid")  # too long a label: no name server need be asked
        assert type(await failure(transport.send(REQUEST))) is ConnectFailed
        await transport.aclose()

    run(body())


def test_closing_while_connecting_ends_both(run: Runner) -> None:
    async def body() -> None:
        async with listening() as port:
            transport = to(port)
            sending = asyncio.ensure_future(transport.send(REQUEST))
            await asyncio.sleep(0.05)
            await transport.aclose()
            with pytest.raises(ConnectionLost, match="closed"):
                await sending
            assert isinstance(await failure(transport.send(REQUEST)), ConnectionLost)

    run(body())


def test_closing_fails_what_is_open_and_closes_the_sockets(run: Runner, tls: Tls) -> None:
    async def body() -> None:
        for server_tls, context in ((None, None), (tls.server_context(), trusting(tls))):
            async with H2Server(quiet, tls=server_tls) as server, transport_to(server, context) as transport:
                stream = await transport.send(REQUEST)
                await transport.aclose()
                with pytest.raises(ConnectionLost, match="was closed"):
                    await stream.begun()
                assert transport._open == set()

    run(body())


def test_a_deaf_server_does_not_hold_up_closing(run: Runner, tls: Tls) -> None:
    async def body() -> None:
        async with (
            H2Server(quiet, tls=tls.server_context()) as server,
            transport_to(server, trusting(tls)) as transport,
        ):
            await transport.send(REQUEST)
            server.connections[0].deaf.set()
            async with asyncio.timeout(5):
                await transport.aclose()

    run(body())


def test_too_many_pings_make_the_next_connection_calmer(run: Runner) -> None:
    async def angry(exchange: Exchange) -> None:
        words = b"too_many_pings"
        payload = exchange.stream_id.to_bytes(4, "big") + (11).to_bytes(4, "big") + words
        await exchange.connection.raw(len(payload).to_bytes(3, "big") + b"\x07\0\0\0\0\0" + payload)
        await exchange.rst(11)

    async def body() -> None:
        async with H2Server(angry) as server, transport_to(server) as transport:
            before = transport.timing
            assert isinstance(await failure(transport.send(REQUEST)), StreamReset)
            while transport._open:
                await asyncio.sleep(0.01)
            assert transport.timing == before.calmer()

    run(body())


def test_sockets_send_at_once_and_notice_a_peer_that_is_gone(run: Runner) -> None:
    async def body() -> None:
        async with H2Server(hello) as server, transport_to(server) as transport:
            await answer(transport)
            connection = transport._connection
            assert connection is not None
            connected = connection._transport.get_extra_info("socket")
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15

    run(body())


# ---- TLS ----


def test_over_tls_both_must_agree_to_http2(run: Runner, tls: Tls) -> None:
    async def body() -> None:
        context = tls.server_context()  # says nothing of protocols
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        transport = to(server.sockets[0].getsockname()[1], trusting(tls))
        error = await failure(transport.send(REQUEST))
        assert isinstance(error, NotUnderstood)
        assert "ALPN" in str(error)
        await transport.aclose()
        server.close()

    run(body())


def test_a_server_that_closes_in_the_middle_of_tls_is_not_understood(run: Runner, tls: Tls) -> None:
    async def body() -> None:
        async with listening(close=True) as port:
            transport = to(port, trusting(tls))
            error = await failure(transport.send(REQUEST))
            assert isinstance(error, ConnectFailed)
            await transport.aclose()

    run(body())


def test_old_versions_of_tls_are_not_spoken(run: Runner, tls: Tls) -> None:
    context = trusting(tls)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


def test_wrong_certificates_leave_no_socket_open(run: Runner, tls: Tls, tmp_path: Path) -> None:
    """The test fails on a warning of Python's about a socket that nobody closed."""

    async def body() -> None:
        other = make_tls(tmp_path)
        async with H2Server(hello, tls=tls.server_context()) as server:
            for _ in range(5):
                async with transport_to(server, trusting(other)) as transport:
                    error = await failure(transport.send(REQUEST))
                    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
            async with transport_to(server, trusting(tls)) as transport:
                assert await answer(transport) == b"hello request"

    run(body())


# ---- proxies ----


class Relay:
    """An HTTP proxy that knows CONNECT. All it leads to is `target`, whatever it is asked for."""

    def __init__(self, target: str, status: bytes = b"200 Connection established") -> None:
        self.asked: list[bytes] = []
        self._target, self._status = target.split(":"), status
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Relay:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.create_task(self._lead(reader, writer)))

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 " + self._status + b"\r\nx: y\r\n\r\n")
        if not self._status.startswith(b"200"):
            writer.close()
            return
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, far_writer))
                both.create_task(_copy(far_reader, writer))
        finally:
            writer.transport.abort()
            far_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError  # ends the other way too


def test_tls_is_led_through_the_proxy_of_the_environment(
    run: Runner, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body() -> None:
        async with H2Server(hello, tls=tls.server_context()) as server, Relay(server.address) as relay:
            monkeypatch.setenv("HTTPS_PROXY", f"http://us%40er:pass@{relay.address}")
            transport = Http2Transport(
                Dial("ignite.example", 443, trusting(tls), "localhost"), "ignite.example:443"
            )
            assert await answer(transport) == b"hello request"
            assert relay.asked[0].startswith(b"CONNECT ignite.example:443 HTTP/1.1\r\n")
            assert b"Proxy-Authorization: Basic dXNAZXI6cGFzcw==\r\n" in relay.asked[0]
            await transport.aclose()

    run(body())


def test_a_proxy_that_refuses_is_named(run: Runner, tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with Relay("127.0.0.1:1", b"407 Proxy Authentication Required") as relay:
            monkeypatch.setenv("https_proxy", relay.address)
            transport = Http2Transport(Dial("ignite.example", 443, trusting(tls), "x"), "ignite.example:443")
            error = await failure(transport.send(REQUEST))
            words = f"the proxy {relay.address} refused to connect: 407 Proxy Authentication Required"
            assert str(error) == words
            await transport.aclose()

    run(body())


def test_plaintext_and_loopback_are_reached_directly(
    run: Runner, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def body() -> None:
        for server_tls, context in ((None, None), (tls.server_context(), trusting(tls))):
            async with H2Server(hello, tls=server_tls) as server, transport_to(server, context) as transport:
                assert await answer(transport) == b"hello request"

    run(body())
