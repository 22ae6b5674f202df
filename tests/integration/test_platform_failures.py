"""How calls and streams fail, over each transport: the same status, whatever carries it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

import pytest

from shipper.emulator import Scenario
from shipper.ignite.auth import ClientCredentials
from shipper.ignite.status import Action, CallFailed, Code, Status
from shipper.ignite.token_endpoint import TokenEndpoint
from shipper.model import App
from tests.integration.test_platform_conformance import every_stream, every_way, take
from tests.servers.ways import Reached, Way, reached

APP = App("acme-corp", "checkout")
REFUSALS = [code for code in Code if code is not Code.OK]


async def failure(call: Awaitable[object]) -> Status:
    with pytest.raises(CallFailed) as failed:
        async with asyncio.timeout(10):
            await call
    return failed.value.status


async def opened(at: Reached, replica_id: str) -> None:
    async with at.platform.stream_logs(APP, replica_id) as stream:
        await anext(stream)


# ---- statuses ----


@every_way
async def test_each_status_is_itself_for_calls_and_streams(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        for code in REFUSALS:
            fault = at.ignite.faults.refuse("*", code.name, message="for a reason")
            for status in (
                await failure(at.platform.list_replicas(APP)),
                await failure(opened(at, pod.replica_id)),
            ):
                assert status.code is code
                assert status.message.endswith("for a reason")
                assert status.genuine
            fault.lift()


@every_way
async def test_what_is_not_there_is_not_found(way: Way) -> None:
    async with reached(way) as at:
        at.ignite.app(APP.name)
        status = await failure(at.platform.list_replicas(App("acme-corp", "nobody")))
        assert (status.code, status.action) == (Code.NOT_FOUND, Action.GONE)
        assert "app nobody not found" in status.message
        assert (await failure(opened(at, "nobody"))).code is Code.NOT_FOUND


@every_way
async def test_a_call_that_is_not_offered_is_unimplemented_and_the_others_are_well(way: Way) -> None:
    async with reached(way, Scenario(builds=False)) as at:
        at.ignite.app(APP.name)
        status = await failure(at.platform.builds.get_draft(APP))
        assert (status.code, status.action) == (Code.UNIMPLEMENTED, Action.STOP)
        assert await at.platform.list_replicas(APP) == []


@every_way
async def test_a_server_that_says_when_to_come_back_is_heard(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        for name, code in (
            ("RESOURCE_EXHAUSTED", Code.RESOURCE_EXHAUSTED),
            ("UNAVAILABLE", Code.UNAVAILABLE),
        ):
            at.ignite.faults.refuse("*", name, times=2, retry_after_s=7)
            for call in (at.platform.list_replicas(APP), opened(at, pod.replica_id)):
                status = await failure(call)
                assert (status.code, status.action, status.retry_after_s) == (code, Action.WAIT, 7.0)


@every_way
async def test_a_call_that_is_not_answered_ends_with_its_deadline(way: Way) -> None:
    async with reached(way, call_timeout_s=0.2) as at:
        at.ignite.app(APP.name)
        await at.platform.list_replicas(APP)
        at.ignite.faults.delay("ListAppReplicas", 60)
        began = time.monotonic()
        status = await failure(at.platform.list_replicas(APP))
        assert (status.code, status.action) == (Code.DEADLINE_EXCEEDED, Action.RETRY)
        assert time.monotonic() - began < 2


# ---- tokens ----


@every_way
@pytest.mark.parametrize("streaming", [False, True], ids=["call", "stream"])
async def test_a_token_that_is_refused_is_replaced_and_the_next_attempt_succeeds(
    way: Way, streaming: bool
) -> None:
    async with reached(way, Scenario(token="", token_endpoint=True), auth=None) as at:
        account = at.ignite.tokens
        tokens = ClientCredentials(
            TokenEndpoint(at.ignite.token_url, account.client_id, account.client_secret)
        )
        at.platform._calls.tokens = at.platform._streams.tokens = tokens
        pod = at.ignite.app(APP.name).start_replica()
        pod.print("hello")
        assert len(await at.platform.list_replicas(APP)) == 1
        at.ignite.tokens.revoke()
        status = await failure(opened(at, pod.replica_id) if streaming else at.platform.list_replicas(APP))
        assert (status.code, status.action) == (Code.UNAUTHENTICATED, Action.REAUTHENTICATE)
        await opened(at, pod.replica_id)
        assert account.requests == 2
        await tokens.aclose()


@every_stream
async def test_a_stream_that_ends_with_its_token_is_opened_again_with_another(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        pod.print("hello")
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            await take(stream, 1)
            at.ignite.faults.cut(status="UNAUTHENTICATED", message="the token has expired")
            status = await failure(anext(stream))
        # Not every form can say why; HTTP/2 says INTERNAL_ERROR for a stream that breaks.
        assert status.code in (Code.UNAUTHENTICATED, Code.UNAVAILABLE, Code.INTERNAL)
        await opened(at, pod.replica_id)


# ---- what breaks ----


@every_stream
async def test_a_stream_that_is_cut_brings_what_came_before_and_says_that_it_was_cut(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        for number in range(100):
            pod.print(str(number))
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            rows = await take(stream, 100)
            assert [row[2] for row in rows] == [str(number) for number in range(100)]
            at.ignite.faults.cut(status="UNAVAILABLE", message="the gateway restarts")
            status = await failure(anext(stream))
        assert (status.code, status.action) in (
            (Code.UNAVAILABLE, Action.WAIT),
            (Code.INTERNAL, Action.RETRY),  # HTTP/2 says INTERNAL_ERROR for a stream that breaks
        )


@every_way
async def test_a_server_that_dies_cuts_its_streams_and_is_used_again_when_it_is_back(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        pod.print("hello")
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            await take(stream, 1)
            at.relay.cut()
            assert (await failure(anext(stream))).code is Code.UNAVAILABLE
        await opened(at, pod.replica_id)
        assert len(await at.platform.list_replicas(APP)) == 1


@every_way
async def test_where_nobody_listens_calls_and_streams_are_unavailable(way: Way) -> None:
    async with reached(way) as at:
        at.relay.close()
        for call in (at.platform.list_replicas(APP), opened(at, "pod-1")):
            status = await failure(call)
            assert (status.code, status.action) == (Code.UNAVAILABLE, Action.WAIT)
            assert not status.genuine


@every_way
async def test_a_connection_that_is_dead_without_a_word_is_left_after_two_calls(way: Way) -> None:
    async with reached(way, call_timeout_s=0.3) as at:
        at.ignite.app(APP.name)
        await at.platform.list_replicas(APP)
        at.relay.freeze()
        statuses: list[Status] = []
        async with asyncio.timeout(5):
            while len(statuses) < 5:
                try:
                    await at.platform.list_replicas(APP)
                    break
                except CallFailed as failed:
                    statuses.append(failed.status)
        assert len(statuses) <= 2
        assert {status.code for status in statuses} <= {Code.DEADLINE_EXCEEDED}


@every_way
async def test_a_stream_on_a_dead_connection_can_be_left_and_another_opened(way: Way) -> None:
    async with reached(way) as at:
        at.platform._streams.patience_s = 0.2
        pod = at.ignite.app(APP.name).start_replica()
        pod.print("hello")
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            await take(stream, 1)
            at.relay.freeze()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await anext(stream)
        async with asyncio.timeout(5):
            await opened(at, pod.replica_id)


@every_way
async def test_a_call_that_is_cancelled_leaves_the_connections_usable(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        pod.print("hello")
        at.ignite.faults.delay("ListAppReplicas", 60, times=5)
        calls = [asyncio.create_task(at.platform.list_replicas(APP)) for _ in range(5)]
        await at.ignite.calls.until_made("ListAppReplicas", 5)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        assert all(call.cancelled() for call in calls)
        assert len(await at.platform.list_replicas(APP)) == 1
        await opened(at, pod.replica_id)


@every_way
async def test_closing_ends_what_is_under_way_and_refuses_the_rest(way: Way) -> None:
    async with reached(way) as at:
        pod = at.ignite.app(APP.name).start_replica()
        pod.print("hello")
        async with at.platform.stream_logs(APP, pod.replica_id) as stream:
            await take(stream, 1)
            await at.platform.aclose()
            assert (await failure(anext(stream))).code is Code.UNAVAILABLE
        assert (await failure(at.platform.list_replicas(APP))).code is Code.CANCELLED
