"""The calls of drafts and builds over gRPC, against servers that answer badly."""

from __future__ import annotations

import asyncio
import gzip
import struct

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from shipper.ignite.framing import MAX_MESSAGE, frame
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.ignite.port import Builds
from shipper.ignite.status import CallFailed, Code
from shipper.model import App
from tests.servers.h2_platform import APP, described, platform_of, serving
from tests.servers.h2_server import Exchange, H2Server, Script

TEXT = b"Step 1/8: FROM python:3.12-slim\n"


async def read(builds: Builds, build_id: str, app: App = APP) -> tuple[bytes, bool]:
    async with builds.get_build_log(app, build_id) as log:
        data = b"".join([piece async for piece in log])
        return data, log.found


def answering(*messages: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(*messages)

    return script


async def failure(build_id: str = "bld_1", **scripts: Script) -> CallFailed:
    async with H2Server(serving(**scripts)) as server, platform_of(server) as platform:
        with pytest.raises(CallFailed) as failed:
            await read(platform.builds, build_id)
    return failed.value


async def test_a_build_service_in_a_form_that_is_not_understood_is_one_that_is_not_offered() -> None:
    file = FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    rows = next(message for message in file.message_type if message.name == "ListBuildsResponse")
    rows.field.remove(next(field for field in rows.field if field.name == "builds"))
    scripts = {"ServerReflectionInfo": answering(described(file))}
    async with H2Server(serving(**scripts)) as server, platform_of(server) as platform:
        with pytest.raises(CallFailed) as failed:
            await platform.builds.list_builds()
    assert (
        str(failed.value) == "UNIMPLEMENTED: the server has no method dodil.ignite.v1.BuildService/ListBuilds"
    )


async def test_rows_that_cannot_be_show_that_guessed_numbers_do_not_fit() -> None:
    async def no_reflection(exchange: Exchange) -> None:
        await exchange.refuse(12)

    page = pb.ListBuildsResponse(builds=[{"name": "no id at all"}]).SerializeToString()
    scripts = serving(ServerReflectionInfo=no_reflection, ListBuilds=answering(page))
    async with H2Server(scripts) as server, platform_of(server) as platform:
        with pytest.raises(CallFailed, match="the guessed field numbers do not fit") as failed:
            await platform.builds.list_builds()
    assert failed.value.status.code is Code.UNIMPLEMENTED


# ---- a log of any size ----


async def test_a_log_larger_than_any_message_may_be_is_read_in_pieces() -> None:
    line = b"compiling module number 123456789 of the standard library\n"
    big = line * (MAX_MESSAGE // len(line) + 1)

    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.send(frame(pb.GetBuildLogResponse(log=big, found=True).SerializeToString()))
        await exchange.close()

    async with H2Server(serving(GetBuildLog=script)) as server, platform_of(server) as platform:
        async with platform.builds.get_build_log(APP, "bld_1") as log:
            sizes = [len(piece) async for piece in log]
        assert log.found
    assert sum(sizes) == len(big)
    assert max(sizes) < 2 * 1024 * 1024


async def test_a_compressed_log_is_unpacked_in_pieces() -> None:
    message = pb.GetBuildLogResponse(log=b"a" * 50_000_000, found=True).SerializeToString()
    packed = gzip.compress(message)

    async def script(exchange: Exchange) -> None:
        await exchange.open(("content-type", "application/grpc"), ("grpc-encoding", "gzip"))
        await exchange.send(struct.pack(">BI", 1, len(packed)) + packed)
        await exchange.close()

    async with H2Server(serving(GetBuildLog=script)) as server, platform_of(server) as platform:
        size = 0
        async with platform.builds.get_build_log(APP, "bld_1") as log:
            async for piece in log:
                assert len(piece) <= 256 * 1024
                size += len(piece)
    assert size == 50_000_000


@pytest.mark.parametrize(
    ("messages", "code", "words"),
    [
        ((), Code.INTERNAL, "0 messages"),
        ((b"", b""), Code.INTERNAL, "more than one message"),
        ((b"\x0b",), Code.INTERNAL, "wire type 3"),
        ((b"\x08\x01",), Code.INTERNAL, "field 1 of wire type 0"),
        ((b"\xff" * 12,), Code.INTERNAL, "an integer that does not end"),
        ((b"\x0a\x05abc",), Code.UNAVAILABLE, "in the middle of a build log"),
        ((b"\x0a\x01a\x0a\x01b",), Code.INTERNAL, "comes twice"),
    ],
)
async def test_an_answer_that_is_no_build_log_fails(
    messages: tuple[bytes, ...], code: Code, words: str
) -> None:
    error = await failure(GetBuildLog=answering(*messages))
    assert error.status.code is code
    assert words in str(error)


async def test_a_status_after_the_log_counts_more_than_the_log() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(pb.GetBuildLogResponse(log=TEXT, found=True).SerializeToString())
        await exchange.close(7, "no")

    assert str(await failure(GetBuildLog=script)) == "PERMISSION_DENIED: no"


async def test_a_log_that_breaks_off_is_unavailable() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.send(frame(pb.GetBuildLogResponse(log=TEXT, found=True).SerializeToString())[:-9])
        await exchange.rst(2)

    assert (await failure(GetBuildLog=script)).status.code is Code.INTERNAL


async def test_a_field_that_says_it_was_found_is_not_needed_where_there_is_a_log() -> None:
    message = pb.GetBuildLogResponse(log=TEXT).SerializeToString()
    async with H2Server(serving(GetBuildLog=answering(message))) as server, platform_of(server) as platform:
        assert await read(platform.builds, "bld_1") == (TEXT, True)


async def test_a_server_that_goes_silent_in_the_middle_of_a_log_is_left() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.send(frame(pb.GetBuildLogResponse(log=TEXT, found=True).SerializeToString())[:-9])
        await exchange.reset.wait()

    async with H2Server(serving(GetBuildLog=script)) as server, platform_of(server) as platform:
        async with asyncio.timeout(5):
            with pytest.raises(CallFailed) as failed:
                async with platform.builds.get_build_log(APP, "bld_1") as log:
                    log.silence_s = 0.05  # type: ignore[attr-defined]
                    async for _ in log:
                        pass
    assert failed.value.status.code is Code.DEADLINE_EXCEEDED
