"""Whatever numbers a server has and however it tells them, it is read by name; one that does not tell is guarded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shipper.config.platform import IgniteSettings
from shipper.emulator import Emulator, Reflection, Scenario
from shipper.errors import ImplausibleAnswer
from shipper.ignite.connect import connect
from shipper.ignite.contract import ContractMismatch, Source
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.ignite.status import CallFailed, Code
from shipper.model import App
from tests.servers import h2_platform
from tests.servers.h2_platform import NOW, POD, serving
from tests.servers.h2_server import Exchange, H2Server, Script

APP = App("acme-corp", "checkout")


@asynccontextmanager
async def platform_of(ignite: Emulator, token: str | None = None) -> AsyncIterator[GrpcPlatform]:
    auth = {"type": "token", "token": token or ignite.scenario.token}
    settings = {"endpoint": ignite.endpoint, "organization": APP.organization, "auth": auth}
    platform = connect(IgniteSettings.model_validate(settings))
    try:
        yield platform
    finally:
        await platform.aclose()


async def reads_everything(ignite: Emulator, platform: GrpcPlatform) -> None:
    """Every method of the port, with values that wrong numbers would spoil."""
    pod = ignite.app("checkout").start_replica(cluster_id="worker-eu-1", node_name="ip-10-0-3-17")
    pod.print("out", ts=NOW)
    pod.print("err", ts=NOW + 1, stream="stderr")
    pod.print(b"caf\xe9", ts=NOW + 2)
    assert await platform.list_apps() == ["checkout"]
    (replica,) = await platform.list_replicas(APP)
    assert (replica.replica_id, replica.cluster_id, replica.node_name) == (
        pod.replica_id,
        "worker-eu-1",
        "ip-10-0-3-17",
    )
    assert (replica.status, replica.ready, replica.started_ms) == ("STATUS_RUNNING", True, pod.started_ms)
    page = await platform.get_logs(APP, pod.replica_id)
    assert page.chunk.lines == ["out", "err", b"caf\xe9"]
    async with platform.stream_logs(APP, pod.replica_id) as stream:
        times: list[int] = []
        streams: list[str | None] = []
        lines: list[str | bytes] = []
        async for chunk in stream:
            times += chunk.times
            streams += chunk.streams
            lines += chunk.lines
            if len(lines) == 3:
                break
    assert times == [NOW, NOW + 1, NOW + 2]
    assert streams == ["stdout", "stderr", "stdout"]
    assert lines == ["out", "err", b"caf\xe9"]
    async with platform.stream_events(APP) as events:
        await ignite.calls.until_open(method="StreamAppEvents")
        ignite.app("checkout").event("OOMKilling", "out of memory", pod.replica_id)
        (event,) = (await anext(aiter(events))).events
    assert (event.kind, event.reason, event.message, event.count, event.severity) == (
        "OOM_KILLED",
        "OOMKilling",
        "out of memory",
        1,
        "Warning",
    )
    assert "OOM_KILLED" in [event.kind for event in (await platform.get_events(APP)).events]


SERVERS = {
    "documented numbers": Scenario(),
    "all numbers differ": Scenario(renumber=7),
    "all numbers differ in another way": Scenario(renumber=8),
    "v1 alone": Scenario(renumber=1, reflection=Reflection.V1),
    "v1alpha alone": Scenario(renumber=2, reflection=Reflection.V1ALPHA),
    "imports along": Scenario(renumber=3, split_files=True),
    "imports by name": Scenario(renumber=4, split_files=True, reflection_with_imports=False),
    "line declared as bytes": Scenario(renumber=5, declare_line="bytes"),
    "compressed": Scenario(renumber=6, gzip=True),
    "reflection open to everyone": Scenario(reflection_needs_token=False),
}


@pytest.mark.parametrize("scenario", SERVERS.values(), ids=SERVERS)
async def test_a_server_is_read_by_name(scenario: Scenario, caplog: pytest.LogCaptureFixture) -> None:
    async with Emulator(scenario) as ignite, platform_of(ignite) as platform:
        await reads_everything(ignite, platform)
        assert (await platform.contract()).source is Source.REFLECTION
        assert ignite.calls.made["ServerReflectionInfo"] <= 2
        assert caplog.records == []


async def test_reflection_is_asked_with_the_token_and_a_wrong_one_is_no_reason_to_guess() -> None:
    async with Emulator() as ignite, platform_of(ignite, "wrong") as platform:
        with pytest.raises(CallFailed) as failure:
            await platform.contract()
        assert failure.value.status.code is Code.UNAUTHENTICATED


async def test_without_reflection_the_bundled_numbers_are_used_with_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Emulator(Scenario(reflection=Reflection.OFF)) as ignite, platform_of(ignite) as platform:
        await reads_everything(ignite, platform)
        assert (await platform.contract()).source is Source.BUNDLED
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "offers no gRPC reflection" in warnings[0]


@pytest.mark.parametrize("seed", range(1, 6))
async def test_a_guessed_request_that_the_server_misreads_is_said_as_the_likely_cause(seed: int) -> None:
    scenario = Scenario(reflection=Reflection.OFF, renumber=seed)
    async with Emulator(scenario) as ignite, platform_of(ignite) as platform:
        ignite.app("checkout").start_replica()
        with pytest.raises((CallFailed, ImplausibleAnswer), match=r"no (gRPC )?reflection"):
            await platform.list_replicas(APP)


# ---- guessed numbers that do not fit: the server understands the request, and its answer is garbage to us ----


async def implausible(method: str, answer: bytes) -> str:
    async def script(exchange: Exchange) -> None:
        await exchange.open()
        await exchange.messages(answer)
        await exchange.close()

    async def no_reflection(exchange: Exchange) -> None:
        await exchange.refuse(12)

    scripts: dict[str, Script] = {method: script, "ServerReflectionInfo": no_reflection}
    calls = {
        "ListApps": lambda platform: platform.list_apps(),
        "ListAppReplicas": lambda platform: platform.list_replicas(APP),
        "GetAppLogs": lambda platform: platform.get_logs(APP, POD),
        "GetAppEvents": lambda platform: platform.get_events(APP),
        "StreamAppLogs": first_lines,
        "StreamAppEvents": first_events,
    }
    async with H2Server(serving(**scripts)) as server, h2_platform.platform_of(server) as platform:
        with pytest.raises(ImplausibleAnswer) as stop:
            await calls[method](platform)
    return str(stop.value)


async def first_lines(platform: GrpcPlatform) -> None:
    async with platform.stream_logs(APP, POD) as stream:
        async for _ in stream:
            raise AssertionError("garbage was handed out")


async def first_events(platform: GrpcPlatform) -> None:
    async with platform.stream_events(APP) as stream:
        async for _ in stream:
            raise AssertionError("garbage was handed out")


def renumbered(message: bytes) -> bytes:
    """The same message as a server with other numbers sends it: what is field n there is n + 1 here."""
    return b"".join(bytes([tag + 8]) + rest for tag, rest in fields(message))


def fields(message: bytes) -> list[tuple[int, bytes]]:
    """Tags (below 16) and the bytes after them."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(message):
        tag, start = message[at], at + 1
        end = start
        while message[end] & 0x80:
            end += 1
        end += 1
        if tag & 7 == 2:
            end += message[start]
        found.append((tag, message[start:end]))
        at = end
    return found


def rows(message: bytes) -> bytes:
    return b"\x0a" + bytes([len(message)]) + message


LINE = renumbered(pb.LogLine(timestamp_ms=NOW, replica_id=POD, stream=1, line="hello").SerializeToString())
EVENT = renumbered(pb.AppEvent(timestamp_ms=NOW, kind=1, reason="OOMKilling", count=1).SerializeToString())
REPLICA = renumbered(pb.AppReplica(replica_id=POD, started_ms=NOW).SerializeToString())


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("ListAppReplicas", rows(REPLICA)),
        ("GetAppLogs", rows(LINE)),
        ("GetAppEvents", rows(EVENT)),
        ("StreamAppLogs", LINE),
        ("StreamAppEvents", EVENT),
        ("ListApps", rows(b"\x1a\x05hello")),
    ],
)
async def test_guessed_numbers_that_do_not_fit_stop_before_anything_is_handed_out(
    method: str, answer: bytes
) -> None:
    message = await implausible(method, answer)
    assert "the field numbers of the bundled .proto do not fit" in message


async def test_lines_of_no_replica_are_implausible_only_where_numbers_are_guessed() -> None:
    nameless = pb.LogLine(timestamp_ms=NOW, stream=1, line="hello").SerializeToString()
    assert "lines of no replica" in await implausible("StreamAppLogs", nameless)


# ---- servers that mean no good ----


async def test_a_page_instead_of_reflection_and_then_a_server_is_a_contract_by_reflection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    up = False

    async def behind_a_proxy(exchange: Exchange) -> None:
        if up:
            await h2_platform.Methods({"ListAppReplicas": empty})(exchange)
        else:
            await exchange.open(("content-type", "text/html"), status=404, end=True)

    async def empty(exchange: Exchange) -> None:
        await exchange.answer(b"")

    async with H2Server(behind_a_proxy) as server, h2_platform.platform_of(server) as platform:
        with pytest.raises(CallFailed):
            await platform.list_replicas(APP)
        up = True
        assert await platform.list_replicas(APP) == []
        assert (await platform.contract()).source is Source.REFLECTION


async def test_reflection_that_never_stops_sending_is_read_once_and_left() -> None:
    async def endless(exchange: Exchange) -> None:
        await exchange.open()
        while not exchange.reset.is_set():
            await exchange.messages(h2_platform.described())
            await asyncio.sleep(0)

    async with (
        H2Server(serving(ServerReflectionInfo=endless)) as server,
        h2_platform.platform_of(server) as platform,
    ):
        assert (await platform.contract()).source is Source.BUNDLED  # an answer without files tells nothing


async def test_reflection_that_is_garbage_is_tried_again_later_and_never_guessed_over() -> None:
    async def garbage(exchange: Exchange) -> None:
        await exchange.answer(b"\xff\xff\xff")

    async with (
        H2Server(serving(ServerReflectionInfo=garbage)) as server,
        h2_platform.platform_of(server) as platform,
    ):
        for _ in range(2):
            with pytest.raises(CallFailed, match="cannot be decoded"):
                await platform.contract()


async def test_a_server_of_something_else_is_said_in_plain_words() -> None:
    file = h2_platform.FileDescriptorProto(name="other.proto", package="other")

    async def other(exchange: Exchange) -> None:
        await exchange.answer(h2_platform.described(file))

    async with (
        H2Server(serving(ServerReflectionInfo=other)) as server,
        h2_platform.platform_of(server) as platform,
    ):
        with pytest.raises(ContractMismatch, match="do not declare the service"):
            await platform.contract()
