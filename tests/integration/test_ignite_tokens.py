"""Tokens against a real token endpoint and a platform that checks them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from shipper.config.platform import IgniteSettings
from shipper.emulator import Emulator, Scenario
from shipper.ignite.auth import ClientCredentials
from shipper.ignite.connect import connect
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.status import Action, CallFailed, Code
from shipper.ignite.token_endpoint import DEFAULT_LIFETIME_S, TokenEndpoint
from shipper.model import App
from tests.fakes.meter import FakeMeter

APP = App("acme-corp", "checkout")
GUARDED = Scenario(token="", token_endpoint=True)


@asynccontextmanager
async def platform_of(
    ignite: Emulator, auth: dict[str, Any] | None = None, meter: FakeMeter | None = None
) -> AsyncIterator[GrpcPlatform]:
    """The platform with the service account that the emulator knows, unless told otherwise."""
    account = {
        "type": "client_credentials",
        "token_url": ignite.token_url,
        "client_id": ignite.tokens.client_id,
        "client_secret": ignite.tokens.client_secret,
    }
    settings = {"endpoint": ignite.endpoint, "organization": APP.organization, "auth": auth or account}
    platform = connect(IgniteSettings.model_validate(settings), meter)
    try:
        yield platform
    finally:
        await platform.aclose()


async def failure_of(platform: GrpcPlatform) -> CallFailed:
    with pytest.raises(CallFailed) as failure:
        await platform.list_replicas(APP)
    return failure.value


# ---- client credentials ----


async def test_a_hundred_calls_at_once_fetch_one_token() -> None:
    meter = FakeMeter()
    async with Emulator(GUARDED) as ignite, platform_of(ignite, meter=meter) as platform:
        ignite.app("checkout").start_replica()
        found = await asyncio.gather(*(platform.list_replicas(APP) for _ in range(100)))
        assert [len(replicas) for replicas in found] == [1] * 100
        assert ignite.tokens.requests == 1
        assert meter.counts == {("token_refreshes_total", "ok"): 1}


async def test_a_token_that_the_platform_refuses_is_replaced_once_and_calls_succeed_again() -> None:
    async with Emulator(GUARDED) as ignite, platform_of(ignite) as platform:
        ignite.app("checkout").start_replica()
        await platform.list_replicas(APP)
        ignite.tokens.revoke()
        refused = await asyncio.gather(
            *(platform.list_replicas(APP) for _ in range(20)), return_exceptions=True
        )
        statuses = [error.status for error in refused if isinstance(error, CallFailed)]
        assert len(statuses) == 20
        assert {status.action for status in statuses} == {Action.REAUTHENTICATE}
        await asyncio.gather(*(platform.list_replicas(APP) for _ in range(20)))
        assert ignite.tokens.requests == 2


async def test_a_stream_that_is_cut_for_its_token_is_opened_again_with_a_new_one() -> None:
    async with Emulator(GUARDED) as ignite, platform_of(ignite) as platform:
        pod = ignite.app("checkout").start_replica()
        pod.print("before")
        with pytest.raises(CallFailed) as cut:
            async with platform.stream_logs(APP, pod.replica_id) as stream:
                async for chunk in stream:
                    assert chunk.lines == ["before"]
                    ignite.expire_tokens(cut_streams=True)
        assert cut.value.status.code is Code.UNAUTHENTICATED
        async with platform.stream_logs(APP, pod.replica_id) as stream:
            assert (await anext(aiter(stream))).lines == ["before"]
        assert ignite.tokens.requests == 2


async def test_an_endpoint_that_refuses_the_account_is_said_with_what_to_do_and_without_the_secret() -> None:
    async with Emulator(GUARDED) as ignite:
        wrong = {
            "type": "client_credentials",
            "token_url": ignite.token_url,
            "client_id": "nobody",
            "client_secret": "wr0ng-s3cret",
        }
        async with platform_of(ignite, wrong) as platform:
            error = await failure_of(platform)
            assert error.status.code is Code.UNAUTHENTICATED
            for words in ("'nobody'", "HTTP 401 (unauthorized_client)", "ignite.auth"):
                assert words in str(error)
            assert "wr0ng-s3cret" not in str(error)
            assert ignite.tokens.requests == 1  # what is refused is not asked again at once


async def test_a_failure_that_may_pass_is_tried_a_few_times_by_itself() -> None:
    async with Emulator(GUARDED) as ignite:
        ignite.tokens.down = True
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            ignite.tokens.down = len(waits) < 3

        endpoint = TokenEndpoint(
            ignite.token_url, ignite.tokens.client_id, ignite.tokens.client_secret, sleep=sleep
        )
        assert (await endpoint()).token in ignite.tokens.issued
        assert len(waits) == 3
        assert all(0 <= wait <= 5 for wait in waits)


async def test_an_endpoint_that_stays_down_is_an_error_that_names_it_after_a_bounded_time() -> None:
    async with Emulator(GUARDED) as ignite:
        ignite.tokens.down = True
        endpoint = TokenEndpoint(ignite.token_url, "id", "s3cret", retry_for_s=0.0)
        with pytest.raises(CallFailed) as failure:
            await endpoint()
        assert failure.value.status.code is Code.UNAVAILABLE
        assert f"{ignite.token_url} answered HTTP 503" in str(failure.value)
        assert "s3cret" not in str(failure.value)
        assert "s3cret" not in repr(endpoint)


async def test_streams_and_calls_go_on_with_the_old_token_while_the_endpoint_is_down() -> None:
    now = 1000.0
    async with Emulator(GUARDED) as ignite:
        ignite.app("checkout").start_replica()
        endpoint = TokenEndpoint(
            ignite.token_url, ignite.tokens.client_id, ignite.tokens.client_secret, retry_for_s=0.0
        )
        tokens = ClientCredentials(endpoint, clock=lambda: now)
        async with platform_of(ignite) as made:
            platform = GrpcPlatform(made.base_url, made.organization, tokens, made.connect)
            await platform.list_replicas(APP)
            ignite.tokens.down = True
            for seconds in (275.0, 285.0, 295.0):  # within the last thirty of three hundred
                now = 1000.0 + seconds
                assert len(await platform.list_replicas(APP)) == 1
            now = 1300.0
            assert (await failure_of(platform)).status.code is Code.UNAVAILABLE
            ignite.tokens.down = False
            assert len(await platform.list_replicas(APP)) == 1
            await platform.aclose()


# ---- what token endpoints answer ----


@asynccontextmanager
async def answering(status: int, body: Any) -> AsyncIterator[TokenEndpoint]:
    async def answer(request: web.Request) -> web.Response:
        if isinstance(body, bytes):
            return web.Response(status=status, body=body)
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_post("/token", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield TokenEndpoint(
            f"http://127.0.0.1:{runner.addresses[0][1]}/token", "id", "s3cret", retry_for_s=0.0
        )
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("expires_in", "lifetime_s"),
    [
        (60, 60.0),
        ("90", 90.0),
        (0, DEFAULT_LIFETIME_S),
        (-1, DEFAULT_LIFETIME_S),
        (None, DEFAULT_LIFETIME_S),
        ("soon", DEFAULT_LIFETIME_S),
        (1, 1.0),
    ],
)
async def test_a_lifetime_that_says_nothing_is_five_minutes(expires_in: Any, lifetime_s: float) -> None:
    async with answering(200, {"access_token": "t", "expires_in": expires_in}) as endpoint:
        assert (await endpoint()).lifetime_s == lifetime_s
    async with answering(200, {"access_token": "t"}) as endpoint:
        assert (await endpoint()).lifetime_s == DEFAULT_LIFETIME_S


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"",
        b"[]",
        b"null",
        {},
        {"access_token": ""},
        {"access_token": 7},
        {"access_token": "two\nlines"},
    ],
)
async def test_what_is_no_token_is_unavailable_and_not_repeated(body: Any) -> None:
    async with answering(200, body) as endpoint:
        with pytest.raises(CallFailed) as failure:
            await endpoint()
        assert failure.value.status.code is Code.UNAVAILABLE
        assert "two" not in str(failure.value)


@pytest.mark.parametrize(
    ("http", "code"),
    [
        (400, Code.UNAUTHENTICATED),
        (401, Code.UNAUTHENTICATED),
        (403, Code.UNAUTHENTICATED),
        (404, Code.UNAUTHENTICATED),
        (429, Code.UNAVAILABLE),
        (302, Code.UNAVAILABLE),
        (500, Code.UNAVAILABLE),
    ],
)
async def test_what_a_person_must_mend_is_told_apart_from_what_may_pass(http: int, code: Code) -> None:
    async with answering(http, {"error": "<script>" * 10, "error_description": "s3cret"}) as endpoint:
        with pytest.raises(CallFailed) as failure:
            await endpoint()
        assert failure.value.status.code is code
        assert "script" not in str(failure.value)
        assert "s3cret" not in str(failure.value)


# ---- the other sources ----


async def test_a_token_file_that_is_renewed_is_used_from_then_on(tmp_path: Path) -> None:
    file = tmp_path / "token"
    async with Emulator(Scenario(token="first")) as ignite:
        ignite.app("checkout").start_replica()
        file.write_text("first\n")
        async with platform_of(ignite, {"type": "token_file", "path": str(file)}) as platform:
            await platform.list_replicas(APP)
            ignite.tokens.accept("second")
            assert (await failure_of(platform)).status.code is Code.UNAUTHENTICATED
            file.write_text("second\n")
            assert len(await platform.list_replicas(APP)) == 1


async def test_without_auth_no_token_is_sent() -> None:
    async with Emulator(Scenario(token=None)) as ignite, platform_of(ignite, {"type": "none"}) as platform:
        ignite.app("checkout").start_replica()
        assert len(await platform.list_replicas(APP)) == 1
        pod = next(iter(ignite.app("checkout").replicas))
        async with platform.stream_logs(APP, pod):
            (stream,) = await ignite.calls.until_open()
            assert stream.token == ""
