"""More subscriptions than a connection carries: every one receives, whether the cap is stated or found out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import h2.settings
import pytest

from shipper.config.platform import IgniteSettings
from shipper.emulator import Emulator, Scenario
from shipper.ignite.connect import connect
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.lanes import FEW, USUAL_CAP
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.ignite.status import CallFailed
from tests.servers.h2_platform import APP, Methods, line, platform_of, serving
from tests.servers.h2_server import Exchange, H2Server

SUBSCRIPTIONS = 60
CAP = 10
REFUSED_STREAM = 7


@asynccontextmanager
async def following(platform: GrpcPlatform, pods: list[str]) -> AsyncIterator[dict[str, asyncio.Event]]:
    """Keep a stream open per replica; each event is set by the replica's first line."""
    received = {pod: asyncio.Event() for pod in pods}

    async def follow(pod: str) -> None:
        async with platform.stream_logs(APP, pod) as stream:
            async for _ in stream:
                received[pod].set()

    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(follow(pod), name=f"follow {pod}") for pod in pods]
        try:
            yield received
        finally:
            for task in started:
                task.cancel()


async def all_received(received: dict[str, asyncio.Event], within_s: float = 20) -> None:
    async with asyncio.timeout(within_s):
        for event in received.values():
            await event.wait()


def pods(count: int = SUBSCRIPTIONS) -> list[str]:
    return [f"pod-{number}" for number in range(count)]


class CappedServer:
    """Carries at most CAP streams a connection without saying so; it refuses one more, or lets it wait for a place."""

    def __init__(self, *, refuses: bool) -> None:
        self.refuses = refuses
        self.carried: Counter[int] = Counter()
        self.most = 0
        self.left = asyncio.Condition()

    async def __call__(self, exchange: Exchange) -> None:
        number = exchange.connection.number
        if self.refuses and self.carried[number] >= CAP:
            await exchange.rst(REFUSED_STREAM)
            return
        async with self.left:
            await self.left.wait_for(lambda: exchange.reset.is_set() or self.carried[number] < CAP)
        if exchange.reset.is_set():
            return
        self.carried[number] += 1
        self.most = max(self.most, self.carried[number])
        try:
            if exchange.path.endswith("StreamAppLogs"):
                await hello(exchange)
            else:
                await exchange.refuse(12)
        finally:
            self.carried[number] -= 1
            async with self.left:
                self.left.notify_all()

    def methods(self) -> Methods:
        return serving(StreamAppLogs=self, Check=self)


async def hello(exchange: Exchange) -> None:
    """A stream with one line of the replica that is asked for."""
    asked = pb.StreamAppLogsRequest.FromString(exchange.message)
    await exchange.open()
    await exchange.messages(line("hello", replica_id=asked.replica_id))
    await exchange.reset.wait()


async def test_sixty_subscriptions_over_a_stated_cap_of_ten_all_receive() -> None:
    async with Emulator(Scenario(max_concurrent_streams=CAP)) as ignite:
        settings = IgniteSettings.model_validate(
            {
                "endpoint": ignite.endpoint,
                "organization": "acme-corp",
                "auth": {"type": "token", "token": ignite.scenario.token},
            }
        )
        made = connect(settings)
        platform = GrpcPlatform(made.base_url, made.organization, made.tokens, made.connect, patience_s=0.3)
        names = [ignite.app(APP.name).start_replica().replica_id for _ in range(SUBSCRIPTIONS)]
        try:
            async with following(platform, names) as received:
                for replica in ignite.app(APP.name).replicas.values():
                    replica.print("hello")
                await all_received(received)
            assert platform.lanes.cap <= CAP  # fewer where the machine was slow to answer
        finally:
            await platform.aclose()


async def test_a_cap_that_is_enforced_by_refusing_is_learned_and_all_receive() -> None:
    capped = CappedServer(refuses=True)
    async with H2Server(capped.methods()) as server, platform_of(server, patience_s=5) as platform:
        async with following(platform, pods()) as received:
            await all_received(received)
            assert platform.lanes.cap == CAP
            async with following(platform, ["pod-late"]) as late:  # goes where there is room, at once
                await all_received(late, within_s=2)
        assert capped.most == CAP


async def test_a_cap_that_is_enforced_by_not_answering_is_learned_and_all_receive() -> None:
    capped = CappedServer(refuses=False)
    async with H2Server(capped.methods()) as server, platform_of(server) as platform:
        async with following(platform, pods()) as received:
            await all_received(received)
            assert FEW <= platform.lanes.cap <= CAP  # fewer where the machine was slow to answer
        assert capped.most == CAP


async def test_a_connection_that_is_full_of_silence_costs_the_next_stream_no_more_than_the_question() -> None:
    """Nothing was heard on the connection since: it may as well be dead, so nothing is learned but to go elsewhere."""
    capped = CappedServer(refuses=False)
    async with (
        H2Server(capped.methods()) as server,
        platform_of(server) as platform,
        following(platform, pods(CAP)) as received,
    ):
        await all_received(received)
        async with following(platform, ["pod-eleven"]) as late:
            await all_received(late, within_s=5)
            assert len(platform.lanes) == 2
            assert platform.lanes.cap == USUAL_CAP


async def test_streams_that_are_only_quiet_are_left_alone() -> None:
    """Some servers send headers with the first message; they answer the question though."""
    asked = asyncio.Event()

    async def quiet(exchange: Exchange) -> None:
        await asked.wait()
        await hello(exchange)

    questions = 0

    async def check(exchange: Exchange) -> None:
        nonlocal questions
        questions += 1
        await exchange.refuse(12)
        asked.set()

    methods = serving(StreamAppLogs=quiet, Check=check)
    async with H2Server(methods) as server, platform_of(server, patience_s=0.05) as platform:
        async with following(platform, pods(20)) as received:
            await all_received(received)
            assert len(platform.lanes) == 1
            assert platform.lanes.cap == USUAL_CAP
        methods_asked = Counter(path.rpartition("/")[2] for path in server.paths())
        assert methods_asked["StreamAppLogs"] == 20  # none was opened twice
        assert methods_asked["Check"] <= 2  # one question serves all that wait


async def test_a_server_that_refuses_everywhere_is_an_error_and_no_endless_loop() -> None:
    async def refuse(exchange: Exchange) -> None:
        await exchange.rst(REFUSED_STREAM)

    async with H2Server(serving(StreamAppLogs=refuse)) as server, platform_of(server) as platform:
        with pytest.raises(CallFailed, match="refuses the stream"):
            async with platform.stream_logs(APP, "pod-1"):
                pass
        assert len(server.connections) < 30


async def test_more_streams_than_the_usual_cap_are_spread_without_waiting() -> None:
    stated = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100}
    async with (
        H2Server(serving(StreamAppLogs=hello), stated) as server,
        platform_of(server, patience_s=30) as platform,
    ):
        async with following(platform, pods(250)) as received:
            await all_received(received, within_s=10)
            assert len(platform.lanes) == 3
        assert not [path for path in server.paths() if path.endswith("Check")]  # what is stated is not asked
