"""Answers of every kind over HTTP/1.1: whole, refused, cut, damaged, or no JSON; and the connections they use."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from shipper.config.platform import IgniteSettings
from shipper.ignite.connect import connect
from shipper.ignite.gateway.platform import HttpPlatform
from shipper.ignite.port import LogChunk
from shipper.ignite.status import Action, CallFailed, Code, Status
from shipper.model import App
from tests.servers.h1_server import NDJSON, H1Server, Request, Script
from tests.servers.h2_platform import platform_of, serving
from tests.servers.h2_server import H2Server
from tests.servers.ways import identity

APP = App("acme-corp", "checkout")
POD = "pod-1"


def line(text: str) -> bytes:
    return json.dumps(
        {"timestampMs": "1", "replicaId": POD, "stream": "LOG_STREAM_STDOUT", "line": text}
    ).encode()


@asynccontextmanager
async def gateway(script: Script, **settings: object) -> AsyncIterator[tuple[H1Server, HttpPlatform]]:
    async with H1Server(script) as server:
        given = {
            "endpoint": f"http://{server.address}",
            "organization": "acme-corp",
            "auth": {"type": "none"},
        }
        platform = connect(IgniteSettings.model_validate(given | settings))
        assert isinstance(platform, HttpPlatform)
        platform.call_timeout_s = 5.0
        try:
            yield server, platform
        finally:
            await platform.aclose()


async def outcome(script: Script) -> tuple[list[LogChunk], Status | None]:
    """What a log stream brings, and how it ends: None is well."""
    chunks: list[LogChunk] = []
    async with gateway(script) as (_, platform):
        try:
            async with asyncio.timeout(10), platform.stream_logs(APP, POD) as stream:
                async for chunk in stream:
                    chunks.append(chunk)  # noqa: PERF401 - kept though the stream fails
        except CallFailed as failure:
            return chunks, failure.status
    return chunks, None


def texts(chunks: list[LogChunk]) -> list[str | bytes]:
    return [text for chunk in chunks for text in chunk.lines]


async def failure(script: Script) -> Status:
    """How a call fails that is no stream."""
    async with gateway(script) as (_, platform):
        with pytest.raises(CallFailed) as failed:
            async with asyncio.timeout(10):
                await platform.list_replicas(APP)
    return failed.value.status


# ---- how a stream ends ----


async def test_a_stream_in_chunks_ends_well_with_its_last_chunk() -> None:
    async def script(request: Request) -> None:
        await request.open(**NDJSON)
        body = line("one") + b"\n" + line("two")
        await request.send(body[:20], body[20:90], body[90:])
        await request.end()

    chunks, status = await outcome(script)
    assert (texts(chunks), status) == (["one", "two"], None)


async def test_a_stream_with_a_length_or_without_an_end_of_its_own_ends_well() -> None:
    async def with_length(request: Request) -> None:
        await request.answer(line("one") + b"\n")

    async def until_close(request: Request) -> None:
        await request.raw(b"HTTP/1.1 200 OK\r\n\r\n" + line("one") + b"\n")
        request.writer.close()

    for script in (with_length, until_close):
        chunks, status = await outcome(script)
        assert (texts(chunks), status) == (["one"], None)


@pytest.mark.parametrize("last", [b"", b"\n", line("half")[:-5], b"["])
async def test_a_stream_whose_last_chunk_is_missing_was_cut(last: bytes) -> None:
    async def script(request: Request) -> None:
        await request.open(**NDJSON)
        await request.send(line("before") + b"\n", *([last] if last else []))
        request.writer.close()

    chunks, status = await outcome(script)
    assert texts(chunks) == ["before"]
    assert status is not None
    assert (status.code, status.action) == (Code.UNAVAILABLE, Action.WAIT)


@pytest.mark.parametrize("rest", [line("half")[:-5], b'{"a":'])
async def test_an_end_in_the_middle_of_a_message_is_no_good_end(rest: bytes) -> None:
    async def script(request: Request) -> None:
        await request.answer(line("whole") + b"\n" + rest)

    chunks, status = await outcome(script)
    assert texts(chunks) == ["whole"]
    assert status is not None
    assert status.code is Code.UNAVAILABLE
    assert "middle of a message" in status.message


async def test_an_array_that_is_not_closed_was_cut_even_where_http_says_that_it_is_whole() -> None:
    async def script(request: Request) -> None:
        await request.answer(b"[" + line("one"))

    chunks, status = await outcome(script)
    assert texts(chunks) == ["one"]
    assert status is not None
    assert status.code is Code.UNAVAILABLE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (b'{"error":{"code":14,"message":"upstream went"}}\n', Code.UNAVAILABLE),
        (b'{"error":{"grpc_code":16,"message":"upstream went"}}', Code.UNAUTHENTICATED),
        (b'{"data":null,"status":"error","code":8,"message":"upstream went"}\n', Code.RESOURCE_EXHAUSTED),
    ],
)
async def test_an_error_in_the_middle_ends_the_stream_after_the_lines_before_it(
    error: bytes, code: Code
) -> None:
    async def script(request: Request) -> None:
        await request.answer(line("before") + b"\n" + error + line("never read") + b"\n")

    chunks, status = await outcome(script)
    assert texts(chunks) == ["before"]
    assert status == Status(code, "upstream went")


async def test_an_error_event_ends_a_stream_of_events() -> None:
    async def script(request: Request) -> None:
        await request.answer(b"data: " + line("before") + b"\n\nevent: error\ndata: timed out\n\n")

    chunks, status = await outcome(script)
    assert texts(chunks) == ["before"]
    assert status == Status(Code.UNKNOWN, "timed out", genuine=False)


async def test_a_page_in_the_middle_ends_the_stream_after_the_lines_before_it() -> None:
    async def script(request: Request) -> None:
        await request.answer(
            line("before") + b"\n<html><body>504 Gateway Time-out</body></html>\n" + line("never")
        )

    chunks, status = await outcome(script)
    assert texts(chunks) == ["before"]
    assert status is not None
    assert (status.code, status.genuine) == (Code.UNKNOWN, False)
    assert "a page stands where a message belongs" in status.message


async def test_damaged_lines_are_counted_and_the_stream_goes_on() -> None:
    async def script(request: Request) -> None:
        body = (
            b"nonsense",
            b'{"a":',
            b'{"timestampMs":"x"}',
            b"[1]",
            b"\xff\xfe",
            b'{"line": "' + b"\x00" + b'"}',
        )
        await request.answer(b"".join(part + b"\n" for part in (line("one"), *body, line("two"))))

    chunks, status = await outcome(script)
    assert (texts(chunks), status) == (["one", "two"], None)
    assert sum(chunk.undecodable for chunk in chunks) == 6


# ---- what is no answer ----


@pytest.mark.parametrize(
    ("http", "headers", "body", "code", "says"),
    [
        (502, {"content_type": "text/html"}, b"<h1>502 Bad Gateway</h1>", Code.UNAVAILABLE, "502: 502 Bad Gateway"),
        (503, {}, b"upstream connect error or disconnect", Code.UNAVAILABLE, "HTTP 503: upstream connect error"),
        (401, {}, b"", Code.UNAUTHENTICATED, "HTTP 401"),
        (403, {}, b"UMA authorization rejected", Code.PERMISSION_DENIED, "UMA authorization rejected"),
        (302, {"location": "https://login.example/?a=b"}, b"", Code.UNKNOWN, "redirection to https://login.example/"),
        (200, {"content_type": "text/html"}, b"<title>Sign in</title>", Code.UNKNOWN, "a page (Sign in)"),
        (200, {"content_type": "application/grpc"}, b"", Code.UNKNOWN, "write grpcs://"),
        (200, {"content_encoding": "gzip"}, gzip.compress(b"{}"), Code.UNKNOWN, "content-encoding 'gzip'"),
        (200, {}, b"", Code.UNKNOWN, "no JSON object: nothing"),
        (200, {}, b"[1]", Code.UNKNOWN, "no JSON object: [1]"),
        (200, {}, b'{"replicas": 5}', Code.INTERNAL, "cannot be decoded"),
        (200, {}, b'{"error":{"code":7,"message":"no"}}', Code.PERMISSION_DENIED, "no"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_a_status_that_says_what_it_was(
    http: int, headers: dict[str, str], body: bytes, code: Code, says: str
) -> None:
    async def script(request: Request) -> None:
        await request.answer(body, http, **headers)

    status = await failure(script)
    assert status.code is code
    assert says in status.message


@pytest.mark.parametrize("http", [200, 503])
async def test_a_page_for_a_stream_is_a_status_too_and_may_never_end(http: int) -> None:
    async def script(request: Request) -> None:
        await request.open(http, content_type="text/html")
        await request.send(b"<title>Please wait</title>" + b" " * 100_000)
        await asyncio.Event().wait()

    _, status = await outcome(script)
    assert status is not None
    assert "Please wait" in status.message


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\x00" * 100, b"HTTP/1.1 200 OK\r\n" + b"a: " + b"x" * 200_000])  # fmt: skip  # noqa: E501
async def test_what_is_not_http_is_said_so(answer: bytes) -> None:
    async def script(request: Request) -> None:
        await request.raw(answer)
        request.writer.close()

    status = await failure(script)
    assert (status.code, status.action, status.genuine) == (Code.UNAVAILABLE, Action.WAIT, False)


async def test_a_server_that_speaks_tls_where_none_is_expected_is_said_with_what_to_do() -> None:
    async def script(request: Request) -> None:
        raise AssertionError

    async with H1Server(script, tls=identity().server_context()) as server:
        given = {
            "endpoint": f"http://{server.address}",
            "organization": "acme-corp",
            "auth": {"type": "none"},
        }
        platform = connect(IgniteSettings.model_validate(given))
        with pytest.raises(CallFailed) as failed:
            await platform.list_replicas(APP)
        await platform.aclose()
    assert failed.value.status.code is Code.UNAVAILABLE


async def test_a_grpc_server_behind_the_wrong_scheme_is_said_so() -> None:
    async with H2Server(serving(), tls=identity().server_context()) as server, platform_of(server) as right:
        given = {
            "endpoint": f"https://{server.address}",
            "organization": "acme-corp",
            "auth": {"type": "none"},
        }
        tls = {"ca_file": str(identity().ca_file)}
        wrong = connect(IgniteSettings.model_validate(given | {"tls": tls}))
        with pytest.raises(CallFailed) as failed:
            await wrong.list_replicas(APP)
        await wrong.aclose()
        assert right is not None
    assert "write grpcs://" in str(failed.value)


async def test_an_answer_that_is_too_large_is_refused_before_it_is_kept() -> None:
    async def script(request: Request) -> None:
        await request.open()
        while True:
            await request.send(b" " * 1_000_000)

    status = await failure(script)
    assert status.code is Code.INTERNAL
    assert "more than" in status.message


# ---- routes that are not there ----


async def test_a_404_is_a_missing_route_until_the_route_has_answered() -> None:
    answers = [404, 200, 404]

    async def script(request: Request) -> None:
        await request.answer(b'{"replicas":[]}', answers[len(server.requests) - 1])

    async with gateway(script) as (server, platform):
        with pytest.raises(CallFailed) as never:
            await platform.list_replicas(APP)
        assert await platform.list_replicas(APP) == []
        with pytest.raises(CallFailed) as later:
            await platform.list_replicas(APP)
    assert (never.value.status.code, later.value.status.code) == (Code.UNIMPLEMENTED, Code.NOT_FOUND)
    assert "ListAppReplicas" in never.value.status.message


# ---- connections ----


async def test_one_connection_serves_call_after_call() -> None:
    async def script(request: Request) -> None:
        await request.answer(b"{}")

    async with gateway(script) as (server, platform):
        for _ in range(20):
            await platform.list_replicas(APP)
        assert server.connections == 1


async def test_a_connection_that_the_server_closed_meanwhile_fails_no_call() -> None:
    async def script(request: Request) -> None:
        await request.answer(b"{}")
        request.writer.close()

    async with gateway(script) as (server, platform):
        for _ in range(10):
            await platform.list_replicas(APP)
        assert server.connections == 10


async def test_a_refused_call_leaves_its_connection_for_the_next() -> None:
    async def script(request: Request) -> None:
        await request.answer(b"busy", 503)

    async with gateway(script) as (server, platform):
        for _ in range(5):
            with pytest.raises(CallFailed):
                await platform.list_replicas(APP)
        assert server.connections == 1


async def test_a_stream_that_is_not_answered_for_long_is_waited_for() -> None:
    """Some servers send headers with the first message."""
    asked = asyncio.Event()

    async def script(request: Request) -> None:
        if request.target.endswith("/health"):
            asked.set()
            await request.answer(b"{}")
            return
        await asked.wait()
        await request.answer(line("at last"))

    async with gateway(script) as (server, platform):
        platform._streams = replace(platform._streams, patience_s=0.05)
        async with platform.stream_logs(APP, POD) as stream:
            assert (await anext(aiter(stream))).lines == ["at last"]
        assert sum("stream" in request.target for request in server.requests) == 1


async def test_headers_of_the_configuration_and_our_own_go_with_every_request() -> None:
    async def script(request: Request) -> None:
        await request.answer(b"{}")

    headers = {"x-organization-name": "acme", "accept": "mine"}
    async with gateway(script, headers=headers) as (server, platform):
        await platform.list_replicas(APP)
    sent = server.requests[0].headers
    assert sent["x-organization-name"] == "acme"
    assert sent["accept-encoding"] == "identity"
    assert "json" in sent["accept"]
    assert sent["user-agent"].startswith("shipper/")
    assert sent["host"] == server.address
    assert "authorization" not in sent


async def test_a_read_that_is_cancelled_at_any_moment_leaves_no_task_behind() -> None:
    async def script(request: Request) -> None:
        await asyncio.sleep(0.01)
        await request.open(**NDJSON)
        await request.send(line("x") + b"\n")
        await asyncio.Event().wait()

    async with gateway(script) as (_, platform):
        before = asyncio.all_tasks()
        for delay in (0.0, 0.001, 0.005, 0.012, 0.02):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(delay), platform.stream_logs(APP, POD) as stream:
                    async for _ in stream:
                        pass
        await asyncio.sleep(0.05)
        ours = {task for task in asyncio.all_tasks() - before if "request to" in task.get_name()}
        assert not ours
