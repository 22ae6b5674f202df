"""Unary calls: pages, cursors that do not end, answers of the wrong shape, extra headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from shipper import __version__
from shipper.config.platform import IgniteSettings
from shipper.emulator import Emulator, Scenario
from shipper.ignite.connect import connect
from shipper.ignite.framing import MAX_MESSAGE
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.ignite.status import CallFailed, Code
from shipper.model import App
from tests.servers.h2_platform import APP, NOW, POD, described, platform_of, serving, settings_for
from tests.servers.h2_server import Exchange, H2Server, Script


def answering(*messages: bytes) -> Script:
    async def script(exchange: Exchange) -> None:
        await exchange.answer(*messages)

    return script


async def failure(call: Callable[[GrpcPlatform], Awaitable[object]], **scripts: Script) -> CallFailed:
    async with H2Server(serving(**scripts)) as server, platform_of(server) as platform:
        with pytest.raises(CallFailed) as failed:
            await call(platform)
    return failed.value


async def test_all_pages_of_the_apps_are_read() -> None:
    async with Emulator(Scenario(page_size=7)) as ignite:
        names = sorted(f"app-{number:03}" for number in range(50))
        for name in names:
            ignite.app(name)
        auth = {"type": "token", "token": ignite.scenario.token}
        settings = {"endpoint": ignite.endpoint, "organization": ignite.scenario.organization, "auth": auth}
        platform = connect(IgniteSettings.model_validate(settings))
        assert await platform.list_apps() == names
        assert ignite.calls.made["ListApps"] == 8
        await platform.aclose()


async def test_a_cursor_that_comes_again_ends_the_listing_with_an_error() -> None:
    page = pb.ListAppsResponse(apps=[{"name": "a"}], next_cursor="again").SerializeToString()
    error = await failure(lambda platform: platform.list_apps(), ListApps=answering(page))
    assert "does not end" in str(error)


async def test_a_method_that_the_server_lacks_is_unimplemented_and_named() -> None:
    file = FileDescriptorProto.FromString(pb.DESCRIPTOR.serialized_pb)
    del file.service[0].method[0]
    error = await failure(
        lambda platform: platform.list_apps(), ServerReflectionInfo=answering(described(file))
    )
    assert str(error) == "UNIMPLEMENTED: the server has no method dodil.ignite.v1.ComputeService/ListApps"


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ((), "answered 0 messages"),
        ((b"", b""), "answered 2 messages"),
        ((b"\xff\xff",), "cannot be decoded"),
        ((b"x" * (MAX_MESSAGE + 1),), "too large or damaged"),
    ],
)
async def test_an_answer_of_the_wrong_shape_is_internal(messages: tuple[bytes, ...], words: str) -> None:
    error = await failure(lambda platform: platform.list_replicas(APP), ListAppReplicas=answering(*messages))
    assert error.status.code is Code.INTERNAL
    assert words in str(error)


async def test_a_status_after_the_message_counts_more_than_the_message() -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(b"")
        await exchange.close(14, "going down")

    error = await failure(lambda platform: platform.list_replicas(APP), ListAppReplicas=script)
    assert str(error) == "UNAVAILABLE: going down"


async def test_a_page_with_text_that_is_not_utf8_is_read() -> None:
    good = pb.LogLine(timestamp_ms=NOW, replica_id=POD, stream=1, line="good").SerializeToString()
    bad = pb.LogLine(timestamp_ms=NOW, replica_id=POD, stream=1).SerializeToString() + b"\x22\x04caf\xe9"
    rows = b"".join(b"\x0a" + bytes([len(row)]) + row for row in (good, bad))
    async with (
        H2Server(serving(GetAppLogs=answering(rows + b"\x10\x01"))) as server,
        platform_of(server) as platform,
    ):
        page = await platform.get_logs(APP, POD)
    assert page.chunk.lines == ["good", b"caf\xe9"]
    assert page.truncated


async def test_names_of_every_kind_arrive_as_they_are() -> None:
    names = ["a/b", "..", "%2F", "größe 🚀", "x" * 300, 'quo"te', "-"]

    async def script(exchange: Exchange) -> None:
        asked = pb.ListAppReplicasRequest.FromString(exchange.message)
        await exchange.answer(
            pb.ListAppReplicasResponse(replicas=[{"replica_id": asked.app_name}]).SerializeToString()
        )

    async with H2Server(serving(ListAppReplicas=script)) as server, platform_of(server) as platform:
        for name in names:
            assert [each.replica_id for each in await platform.list_replicas(App("acme-corp", name))] == [
                name
            ]


async def test_every_request_has_the_headers_of_grpc_and_those_of_the_configuration() -> None:
    async with H2Server(serving(ListAppReplicas=answering(b""))) as server:
        settings = settings_for(
            server.address, auth={"type": "token", "token": "t0ken"}, headers={"x-organization-name": "acme"}
        )
        platform = connect(settings)
        await platform.list_replicas(APP)
        await platform.aclose()
    assert len(server.exchanges) == 2
    for exchange in server.exchanges:
        assert exchange.headers[":method"] == "POST"
        assert exchange.headers["content-type"] == "application/grpc"
        assert exchange.headers["te"] == "trailers"
        assert exchange.headers["authorization"] == "Bearer t0ken"
        assert exchange.headers["x-organization-name"] == "acme"
        assert exchange.headers["user-agent"] == f"shipper/{__version__}"
        assert exchange.headers["grpc-accept-encoding"] == "identity,gzip"
