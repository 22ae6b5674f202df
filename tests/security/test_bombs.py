"""Whatever a server answers, and however it is packed, it takes a bounded amount of memory."""

from __future__ import annotations

import asyncio
import gzip
import logging
import time
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from shipper.config.secret import Secret
from shipper.ignite.framing import MAX_MESSAGE, Deframer, frame
from shipper.ignite.paging import all_pages
from shipper.ignite.status import CallFailed
from shipper.ignite.token_endpoint import TokenEndpoint
from shipper.telemetry.crashes import FLUSH_S, reported
from shipper.telemetry.redaction import Redaction
from tests.security.clients import CLIENTS, GOOD, Client
from tests.servers.listener import Listener, listening

MIB = 1024 * 1024
BOUND = 48 * MIB  # a message of the gateway may have 16 MiB, and be there twice; the bombs hold 256
OVER_HTTP_1 = {name: client for name, client in CLIENTS.items() if name != "grpc"}


def bomb(size: int) -> bytes:
    """`size` bytes of spaces in a thousandth of them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    pieces = [packer.compress(b" " * MIB) for _ in range(size // MIB)]
    return b"".join([*pieces, packer.flush()])


BOMB = bomb(256 * MIB)


async def memory_of(work: Callable[[], Awaitable[str]]) -> tuple[str, int]:
    """What it answered, and the most bytes of Python's memory that it took at a time."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        answer = await work()
        return answer, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


# ---- gRPC messages ----


def packed(message: bytes) -> bytes:
    return b"\x01" + len(message).to_bytes(4, "big") + message


def test_a_read_full_of_messages_that_unpack_to_the_limit_comes_in_parts() -> None:
    full = packed(gzip.compress(b"\0" * MAX_MESSAGE))
    read = full * 16 + frame(b"the last one")
    assert len(read) < 300_000
    deframer = Deframer()
    parts = [deframer.feed(read)]
    while deframer.more:
        parts.append(deframer.feed(b""))
    assert max(sum(map(len, part.bodies)) for part in parts) <= MAX_MESSAGE + len(b"the last one")
    bodies = [body for part in parts for body in part.bodies]
    assert len(bodies) == 17
    assert bodies[-1] == b"the last one"
    assert not deframer.incomplete


def test_what_comes_while_more_waits_stands_behind_it() -> None:
    deframer = Deframer()
    large = packed(gzip.compress(b"x" * 2 * MIB))
    first = deframer.feed(large + large)
    assert deframer.more
    rest = deframer.feed(frame(b"after")[:3])
    assert [len(body) for body in first.bodies + rest.bodies] == [2 * MIB, 2 * MIB]
    assert deframer.feed(frame(b"after")[3:]).bodies == [b"after"]


def test_messages_that_unpack_to_more_than_the_limit_are_counted_one_by_one() -> None:
    deframer = Deframer()
    over = packed(zlib.compress(b"\0" * (MAX_MESSAGE + 1)))
    bad = deframer.feed(over * 3 + frame(b"after")).bad
    assert bad == 1
    bodies = []
    while deframer.more:
        part = deframer.feed(b"")
        bad, bodies = bad + part.bad, bodies + part.bodies
    assert (bad, bodies) == (3, [b"after"])


# ---- answers over HTTP ----


@pytest.mark.parametrize("status", [200, 400, 503])
@pytest.mark.parametrize("client", OVER_HTTP_1.values(), ids=OVER_HTTP_1)
async def test_an_answer_that_unpacks_to_a_thousand_times_its_size_is_not_unpacked_whole(
    client: Client, status: int
) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with listening(Listener(status=status, headers=headers, body=BOMB)) as server:
        answer, took = await memory_of(lambda: client(server.url, None))
    assert server.heard
    assert took < BOUND
    assert len(answer) < 2000


@pytest.mark.parametrize("status", [200, 400, 503])
@pytest.mark.parametrize("client", OVER_HTTP_1.values(), ids=OVER_HTTP_1)
async def test_an_answer_without_an_end_is_given_up(client: Client, status: int) -> None:
    began = time.monotonic()
    async with listening(Listener(status=status, headers={"ETag": '"x"'}, endless=True)) as server:
        answer, took = await memory_of(lambda: client(server.url, None))
    assert took < BOUND
    assert server.written < 64 * MIB
    assert time.monotonic() - began < 10
    assert len(answer) < 2000
    if status != 200:
        assert answer != GOOD


async def test_an_answer_without_an_end_to_a_report_of_an_own_fault_is_given_up() -> None:
    def crash(dsn: str) -> None:
        with reported(Secret(dsn), Redaction()):
            logging.getLogger("shipper.tests").error("it broke", exc_info=KeyError("one"))

    began = time.monotonic()
    async with listening(Listener(status=400, endless=True)) as server:
        await asyncio.to_thread(crash, f"http://key@127.0.0.1:{server.port}/1")
        assert server.written < 64 * MIB
    assert time.monotonic() - began < FLUSH_S + 5


async def test_a_token_that_comes_in_pieces_is_whole() -> None:
    """A bound on what is read must not cut what is read."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"client_secret=secret")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b'{"access_', b'token": "abc', b'def", "expires_in": 60}'):
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
            for _ in range(20):  # the client reads what has come
                await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        grant = await TokenEndpoint(f"http://127.0.0.1:{port}/", "id", "secret", retry_for_s=0.0)()
    assert (grant.token, grant.lifetime_s) == ("abcdef", 60.0)


def test_the_http_client_bounds_what_it_unpacks() -> None:
    """From 3.13.3 on (CVE-2025-69223); pyproject.toml asks for that."""
    assert tuple(int(part) for part in aiohttp.__version__.split(".")[:3]) >= (3, 13, 3)


@pytest.mark.parametrize(
    ("rows", "cursor"), [(60_000, "next"), (1, "x" * 100_000)], ids=["too many rows", "a cursor without end"]
)
async def test_a_listing_that_would_fill_the_memory_is_given_up(rows: int, cursor: str) -> None:
    asked: list[str] = []

    async def page(at: str) -> tuple[list[str], str]:
        asked.append(at)
        return ["app"] * rows, f"{len(asked)}{cursor}"

    with pytest.raises(CallFailed, match="ListApps does not end"):
        await all_pages("ListApps", page)
    assert len(asked) <= 2
