"""Bearer tokens over a life of hours: shared refreshes, endpoints that are down, tokens that are refused."""

from __future__ import annotations

import asyncio
import gc
import logging
from pathlib import Path

import pytest

from shipper.ignite.auth import SKEW_S, ClientCredentials, FixedToken, Grant, NoToken, TokenFile
from shipper.ignite.exchangeable import ExchangeableTokens
from shipper.ignite.status import CallFailed, Code, Status
from tests.fakes.meter import FakeMeter
from tests.virtual_time import elapsed, settle, virtual_time

LIFETIME_S = 300.0


class Endpoint:
    """Gives numbered tokens after `takes_s`; `down` raises instead."""

    def __init__(self, lifetime_s: float = LIFETIME_S, takes_s: float = 1.0) -> None:
        self.lifetime_s = lifetime_s
        self.takes_s = takes_s
        self.down = False
        self.asked = 0

    async def __call__(self) -> Grant:
        self.asked += 1
        number = self.asked
        await asyncio.sleep(self.takes_s)
        if self.down:
            raise CallFailed(Status(Code.UNAVAILABLE, "the token endpoint is down"))
        return Grant(f"token-{number}", self.lifetime_s)


def credentials(endpoint: Endpoint, meter: FakeMeter | None = None) -> ClientCredentials:
    return ClientCredentials(endpoint, asyncio.get_running_loop().time, meter)


@virtual_time
async def test_a_hundred_callers_share_one_request() -> None:
    endpoint = Endpoint()
    tokens = credentials(endpoint)
    assert set(await asyncio.gather(*(tokens.token() for _ in range(100)))) == {"token-1"}
    assert endpoint.asked == 1


@virtual_time
async def test_a_token_is_made_anew_thirty_seconds_before_it_expires_and_nobody_waits_for_it() -> None:
    endpoint = Endpoint()
    tokens = credentials(endpoint)
    await tokens.token()
    await asyncio.sleep(LIFETIME_S - SKEW_S - 2)
    assert (await tokens.token(), endpoint.asked) == ("token-1", 1)
    await asyncio.sleep(2)
    before = elapsed()
    assert [await tokens.token() for _ in range(5)] == ["token-1"] * 5
    assert elapsed() == before
    await asyncio.sleep(endpoint.takes_s + 0.1)
    assert (await tokens.token(), endpoint.asked) == ("token-2", 2)


@virtual_time
async def test_an_endpoint_that_is_down_is_felt_only_when_the_token_has_really_expired() -> None:
    endpoint = Endpoint()
    tokens = credentials(endpoint)
    await tokens.token()
    endpoint.down = True
    for _ in range(int(LIFETIME_S) - 2):
        await asyncio.sleep(1)
        assert await tokens.token() == "token-1"
    assert 3 <= endpoint.asked <= 8  # tried a few times within the skew, and not with each call
    await asyncio.sleep(1)
    with pytest.raises(CallFailed, match="is down"):
        await tokens.token()
    endpoint.down = False
    assert (await tokens.token() or "").startswith("token-")


@virtual_time
async def test_the_first_token_that_cannot_be_had_is_the_callers_failure() -> None:
    endpoint = Endpoint()
    endpoint.down = True
    tokens = credentials(endpoint)
    results = await asyncio.gather(*(tokens.token() for _ in range(10)), return_exceptions=True)
    assert {type(result) for result in results} == {CallFailed}
    assert endpoint.asked == 1


@virtual_time
async def test_a_waiter_that_is_cancelled_does_not_take_the_token_from_the_others() -> None:
    endpoint = Endpoint()
    tokens = credentials(endpoint)
    waiters = [asyncio.create_task(tokens.token()) for _ in range(3)]
    await settle()
    waiters[0].cancel()
    assert await asyncio.gather(*waiters[1:]) == ["token-1", "token-1"]
    assert waiters[0].cancelled()
    assert endpoint.asked == 1


def test_a_failure_that_nobody_waits_for_is_not_reported_as_never_retrieved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @virtual_time
    async def run() -> None:
        endpoint = Endpoint()
        endpoint.down = True
        tokens = credentials(endpoint)
        waiter = asyncio.create_task(tokens.token())
        await settle()
        waiter.cancel()
        await asyncio.sleep(2)
        del tokens, waiter
        gc.collect()

    with caplog.at_level(logging.DEBUG):
        run()
    assert "never retrieved" not in caplog.text


@virtual_time
async def test_a_refused_token_is_replaced_at_once_and_only_once_for_all_who_had_it() -> None:
    endpoint = Endpoint()
    tokens = credentials(endpoint)
    token = await tokens.token()
    assert token is not None
    for _ in range(50):
        tokens.refuse(token)
    assert set(await asyncio.gather(*(tokens.token() for _ in range(50)))) == {"token-2"}
    tokens.refuse(token)  # a straggler: the new token is not meant
    assert (await tokens.token(), endpoint.asked) == ("token-2", 2)


@virtual_time
async def test_a_platform_that_refuses_every_token_does_not_make_us_hammer_the_endpoint() -> None:
    endpoint = Endpoint(takes_s=0.01)
    tokens = credentials(endpoint)
    for _ in range(6000):
        token = await tokens.token()
        assert token is not None
        tokens.refuse(token)
        await asyncio.sleep(0.1)  # ten minutes of a call each tenth of a second
    assert endpoint.asked < 35


@pytest.mark.parametrize("lifetime_s", [4.0, 20.0, 59.0])
def test_a_short_life_is_renewed_at_its_half(lifetime_s: float) -> None:
    @virtual_time
    async def run() -> None:
        endpoint = Endpoint(lifetime_s, takes_s=0.0)
        tokens = credentials(endpoint)
        await tokens.token()
        await asyncio.sleep(lifetime_s / 2 - 0.1)
        await tokens.token()
        assert endpoint.asked == 1
        await asyncio.sleep(0.2)
        await tokens.token()
        await settle()
        assert endpoint.asked == 2

    run()


@virtual_time
async def test_refreshes_are_counted_by_outcome() -> None:
    meter, endpoint = FakeMeter(), Endpoint()
    tokens = credentials(endpoint, meter)
    await tokens.token()
    endpoint.down = True
    tokens.refuse("token-1")
    with pytest.raises(CallFailed):
        await tokens.token()
    assert meter.counts == {("token_refreshes_total", "ok"): 1, ("token_refreshes_total", "failed"): 1}


@virtual_time
async def test_closing_ends_a_refresh_that_is_under_way() -> None:
    tokens = credentials(Endpoint(takes_s=1000))
    waiter = asyncio.create_task(tokens.token())
    await settle()
    await tokens.aclose()
    with pytest.raises(CallFailed, match="closed"):
        await waiter
    assert elapsed() == 0


async def test_no_token_and_a_fixed_one_stay_what_they_are() -> None:
    fixed = FixedToken("s3cret")
    fixed.refuse("s3cret")
    assert (await NoToken().token(), await fixed.token()) == (None, "s3cret")


def test_no_token_is_in_any_repr() -> None:
    for source in (
        FixedToken("s3cret"),
        Grant("s3cret", 1),
        ClientCredentials(Endpoint(), _grant=Grant("s3cret", 1)),
    ):
        assert "s3cret" not in repr(source)


# ---- what people see ----


@virtual_time
async def test_a_source_says_how_long_its_token_is_good_and_why_there_is_no_new_one() -> None:
    endpoint = Endpoint()
    tokens = credentials(endpoint)
    assert (tokens.expires_in_s, tokens.problem) == (None, "")
    await tokens.token()
    assert tokens.expires_in_s == pytest.approx(LIFETIME_S - 1)
    endpoint.down = True
    await asyncio.sleep(LIFETIME_S + 10)
    with pytest.raises(CallFailed):
        await tokens.token()
    assert tokens.expires_in_s == 0
    assert "the token endpoint is down" in tokens.problem
    endpoint.down = False
    await tokens.token()
    assert tokens.problem == ""


async def test_a_file_without_a_token_is_refused_each_time_and_says_what_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("two words")
    tokens = TokenFile(file)
    for _ in range(3):
        with pytest.raises(CallFailed, match="something else than one token"):
            await tokens.token()
    assert "something else than one token" in tokens.problem
    file.write_text("token-1")
    assert await tokens.token() == "token-1"
    assert tokens.problem == ""


@virtual_time
async def test_a_source_is_exchanged_while_callers_wait_for_it() -> None:
    """They get a token of the new one, and what they hold of the old one is no reason to ask for another."""
    down = Endpoint(takes_s=5.0)
    down.down = True
    tokens = ExchangeableTokens(credentials(down))
    waiting = asyncio.create_task(tokens.token())
    await asyncio.sleep(1)
    await tokens.exchange(FixedToken("new")).aclose()
    assert await waiting == "new"
    assert elapsed() < 2
    tokens.refuse("old")
    assert await tokens.token() == "new"
    await tokens.aclose()


@virtual_time
async def test_a_source_that_is_not_exchanged_fails_as_it_does() -> None:
    endpoint = Endpoint()
    endpoint.down = True
    with pytest.raises(CallFailed, match="down"):
        await ExchangeableTokens(credentials(endpoint)).token()
