"""Answers of every kind, seen through real HTTP/2: whole, refused, cut, damaged, or not gRPC at all."""

from __future__ import annotations

import gzip
import zlib
from urllib.parse import quote

import pytest

from shipper.ignite.framing import MAX_MESSAGE, frame
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.ignite.port import LogChunk
from shipper.ignite.status import Action, CallFailed, Code, Status
from tests.servers.h2_platform import APP, POD, line, platform_of, serving
from tests.servers.h2_server import Exchange, H2Server, Script


async def outcome(script: Script) -> tuple[list[LogChunk], Status | None]:
    """What a log stream brings, and how it ends: None is well."""
    chunks: list[LogChunk] = []
    async with H2Server(serving(StreamAppLogs=script)) as server, platform_of(server) as platform:
        try:
            async with platform.stream_logs(APP, POD) as stream:
                async for chunk in stream:
                    chunks.append(chunk)  # noqa: PERF401 - kept though the stream fails
        except CallFailed as failure:
            return chunks, failure.status
    return chunks, None


def texts(chunks: list[LogChunk]) -> list[str | bytes]:
    return [text for chunk in chunks for text in chunk.lines]


async def failure(script: Script) -> Status:
    chunks, status = await outcome(script)
    assert chunks == []
    assert status is not None
    return status


def packed(message: bytes) -> bytes:
    return b"\x01" + len(message).to_bytes(4, "big") + message


# ---- statuses ----


async def test_an_answer_with_status_ok_ends_well() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(line("one"), line("two"))

    chunks, status = await outcome(script)
    assert (texts(chunks), status) == (["one", "two"], None)


async def test_an_empty_answer_whose_headers_are_its_trailers_ends_well() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.refuse(0)

    assert await outcome(script) == ([], None)


async def test_trailers_carry_status_and_percent_encoded_message_after_the_lines() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(line("before"))
        await exchange.close(7, quote("Zugriff verweigert für „checkout“"))

    chunks, status = await outcome(script)
    assert texts(chunks) == ["before"]
    assert status == Status(Code.PERMISSION_DENIED, "Zugriff verweigert für „checkout“")


async def test_a_refusal_in_the_headers_is_its_status() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.refuse(16, "token%20expired")

    assert await failure(script) == Status(Code.UNAUTHENTICATED, "token expired")


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        ("100%", "100%"),
        ("%zz", "%zz"),
        ("%ff%fe", "\ufffd\ufffd"),
        ("a%0Ab%09c", "a b c"),
        ("%1b[31m", "\ufffd[31m"),
    ],
)
async def test_a_message_that_is_badly_encoded_or_hostile_is_readable_on_one_line(
    encoded: str, message: str
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.refuse(13, encoded)

    assert (await failure(script)).message == message


async def test_a_message_is_bounded() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.refuse(13, "x" * 8_000)

    assert len((await failure(script)).message) <= 500


@pytest.mark.parametrize("number", ["17", "-1", "none"])
async def test_a_status_that_is_no_code_is_unknown(number: str) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.close(number)

    assert (await failure(script)).code is Code.UNKNOWN


async def test_a_server_that_says_when_to_come_back_is_heard_in_trailers_and_headers() -> None:
    async def in_trailers(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.close(8, "slow down", ("grpc-retry-pushback-ms", "2500"))

    async def in_headers(exchange: Exchange) -> None:
        await exchange.refuse(14, "draining", ("retry-after", "3"))

    assert (await failure(in_trailers)).retry_after_s == 2.5
    assert (await failure(in_headers)).retry_after_s == 3.0


async def test_an_end_without_status_is_a_cut_that_is_tried_again() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(line("before"))
        await exchange.send(b"", end=True)

    chunks, status = await outcome(script)
    assert texts(chunks) == ["before"]
    assert status is not None
    assert (status.code, status.action) == (Code.UNAVAILABLE, Action.WAIT)
    assert "cut the call" in status.message


async def test_an_end_in_the_middle_of_a_message_is_no_good_end() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.send(frame(line("whole")) + frame(line("half"))[:-3])
        await exchange.close()

    chunks, status = await outcome(script)
    assert texts(chunks) == ["whole"]
    assert status is not None
    assert "middle of a message" in status.message


async def test_a_connection_that_breaks_ends_the_stream_after_what_came() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(line("before"))
        exchange.connection.abort()

    chunks, status = await outcome(script)
    assert status is not None
    assert status.code is Code.UNAVAILABLE
    assert texts(chunks) in (["before"], [])  # what was on its way when it broke may be lost with it


@pytest.mark.parametrize(
    ("reset", "code"),
    [
        (0, Code.UNAVAILABLE),  # NO_ERROR: ended before its trailers
        (1, Code.INTERNAL),
        (2, Code.INTERNAL),
        (8, Code.CANCELLED),
        (11, Code.RESOURCE_EXHAUSTED),
        (12, Code.PERMISSION_DENIED),
        (99, Code.INTERNAL),
    ],
)
async def test_a_reset_after_the_first_line_is_a_status(reset: int, code: Code) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(line("before"))
        await exchange.rst(reset)

    chunks, status = await outcome(script)
    assert texts(chunks) in (["before"], [])
    assert status is not None
    assert status.code is code


@pytest.mark.parametrize(("reset", "code"), [(0, Code.INTERNAL), (2, Code.INTERNAL), (8, Code.CANCELLED)])
async def test_a_reset_before_the_headers_is_a_status(reset: int, code: Code) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.rst(reset)

    assert (await failure(script)).code is code


# ---- what is no gRPC ----


@pytest.mark.parametrize(
    ("http", "code"),
    [(502, Code.UNAVAILABLE), (404, Code.UNIMPLEMENTED), (401, Code.UNAUTHENTICATED), (200, Code.UNKNOWN)],
)
async def test_a_proxys_page_is_a_status_that_says_what_it_was(http: int, code: Code) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open(("content-type", "text/html"), status=http)
        await exchange.send(b"<html><body>nginx</body></html>", end=True)

    status = await failure(script)
    assert status.code is code
    assert not status.genuine
    assert f"HTTP {http} with content-type 'text/html'" in status.message
    assert "ignite.endpoint" in status.message


async def test_a_proxys_retry_after_is_heard() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open(("content-type", "text/html"), ("retry-after", "12"), status=503, end=True)

    assert (await failure(script)).retry_after_s == 12.0


async def test_a_redirect_is_not_followed() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open(("location", "http://127.0.0.1:1/"), status=302, end=True)

    assert "HTTP 302" in (await failure(script)).message


async def test_html_inside_a_grpc_answer_ends_the_stream_after_the_lines_before_it() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.send(frame(line("before")) + b"<html>gateway timeout</html>")
        await exchange.reset.wait()

    chunks, status = await outcome(script)
    assert texts(chunks) == ["before"]
    assert status is not None
    assert status.code is Code.INTERNAL
    assert "not gRPC framing" in status.message


# ---- messages ----


async def test_messages_that_are_compressed_are_read() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open(("content-type", "application/grpc"), ("grpc-encoding", "gzip"))
        await exchange.send(packed(gzip.compress(line("packed"))) + frame(line("plain")))
        await exchange.close()

    chunks, status = await outcome(script)
    assert (texts(chunks), status) == (["packed", "plain"], None)


async def test_a_bomb_and_garbage_are_counted_and_the_stream_goes_on() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(line("before"))
        await exchange.send(packed(zlib.compress(b"\0" * (MAX_MESSAGE + 1))))
        await exchange.messages(b"\xff\xff\xff\xff", line("after"))
        await exchange.close()

    chunks, status = await outcome(script)
    assert (texts(chunks), status) == (["before", "after"], None)
    assert sum(chunk.undecodable for chunk in chunks) == 2


async def test_a_line_of_10_mib_is_kept_whole_and_one_above_16_mib_is_counted() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(line("x" * 10 * 2**20), line("y" * 17 * 2**20), line("after"))
        await exchange.close()

    chunks, status = await outcome(script)
    assert status is None
    assert [len(text) for text in texts(chunks)] == [10 * 2**20, 5]
    assert sum(chunk.undecodable for chunk in chunks) == 1


async def test_text_that_is_not_utf8_comes_as_its_bytes() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(line("before"), line("") + b"\x22\x04caf\xe9", line("after"))

    chunks, status = await outcome(script)
    assert (texts(chunks), status) == (["before", b"caf\xe9", "after"], None)


async def test_lines_of_another_replica_are_named_and_left_out() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(line("mine"), line("theirs", replica_id="other"))

    chunks, _ = await outcome(script)
    assert texts(chunks) == ["mine"]
    assert {name for chunk in chunks for name in chunk.others} == {"other"}


async def test_events_that_cannot_be_decoded_are_counted_and_the_stream_goes_on() -> None:
    async def script(exchange: Exchange) -> None:
        event = pb.AppEvent(timestamp_ms=1, reason="Pulled").SerializeToString()
        await exchange.answer(event, b"\xff\xff", event)

    async with (
        H2Server(serving(StreamAppEvents=script)) as server,
        platform_of(server) as platform,
        platform.stream_events(APP) as stream,
    ):
        pages = [page async for page in stream]
    assert [event.reason for page in pages for event in page.events] == ["Pulled", "Pulled"]
    assert sum(page.undecodable for page in pages) == 1


async def test_leaving_the_context_cancels_the_stream_at_the_server() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(line("first"))
        await exchange.reset.wait()

    async with H2Server(serving(StreamAppLogs=script)) as server, platform_of(server) as platform:
        async with platform.stream_logs(APP, POD) as stream:
            assert (await anext(aiter(stream))).lines == ["first"]
        await server.exchanges[-1].reset.wait()


async def test_an_error_of_the_readers_own_is_not_taken_for_the_platforms() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(line("first"))
        await exchange.reset.wait()

    async with H2Server(serving(StreamAppLogs=script)) as server, platform_of(server) as platform:
        for error in (OSError("no space left on device"), TimeoutError()):
            with pytest.raises(type(error)) as raised:
                async with platform.stream_logs(APP, POD) as stream:
                    async for _ in stream:
                        raise error
            assert raised.value is error
