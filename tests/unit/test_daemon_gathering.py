"""What the status shows is what the parts at work say at one moment: streams and apps, the worst first, in pages."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shipper.collect.states import State
from shipper.config.settings import Settings
from shipper.daemon.gathering import gather
from shipper.daemon.rates import Rates
from shipper.daemon.sight import Sight
from shipper.daemon.surveying import OVERDUE_S
from shipper.ignite.auth import ClientCredentials, FixedToken, Grant, TokenFile
from shipper.ignite.status import CallFailed, Code
from shipper.model import App, GapReason, Kind
from shipper.telemetry.facts import Facts, Query
from tests.fakes.collection import Collection, collecting, wall_ms
from tests.fakes.platform import ORG
from tests.virtual_time import virtual_time

SETTINGS = Settings.model_validate(
    {
        "ignite": {
            "endpoint": "grpc://localhost:1",
            "organization": ORG,
            "auth": {"type": "token", "token": "secret-1"},
        },
        "sinks": {"archive": {"type": "directory", "path": "/tmp/x"}},
    }
)


def daemon(it: Collection, tokens: object = None) -> Any:
    """What gathering asks of a daemon, around a collector at work."""
    stats = SimpleNamespace(
        bytes=1,
        limit_bytes=10,
        disk_bytes=2,
        frames=3,
        oldest_committed_ms={},
        backlog_records={},
        dead_letters={},
    )
    tokens = tokens or FixedToken("secret-1")
    return SimpleNamespace(
        collector=it.collector,
        collecting=SimpleNamespace(connection=SimpleNamespace(tokens=SimpleNamespace(source=tokens))),
        platform=SimpleNamespace(lanes=Lanes(), tokens=tokens),
        buffer=SimpleNamespace(stats=lambda: stats),
        intake=it.intake,
        liveness=SimpleNamespace(lag_s=0.0),
        readiness=SimpleNamespace(reasons=dict),
        workers=[],
    )


class Lanes:
    open = 5

    def __len__(self) -> int:
        return 2


def look(
    it: Collection, query: Query | None = None, sight: Sight | None = None, tokens: object = None
) -> Facts:
    return gather(daemon(it, tokens), SETTINGS, sight or Sight(), query or Query())


@virtual_time
async def test_each_replica_is_shown_with_its_stream() -> None:
    async with collecting(events=True) as it:
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print("one", "two")
        await it.caught_up()
        await asyncio.sleep(30)
        found = look(it)
        (app,) = found.collect.apps
        assert (app.app, app.replicas, dict(app.states)) == (f"{ORG}/checkout", 1, {"live": 1})
        assert [one.kind for one in app.streams] == ["events"]
        (one,) = found.collect.replicas
        (stream,) = one.streams
        assert (one.replica, stream.state, stream.taken, stream.reconnects) == ("checkout-1", "live", 2, 0)
        assert stream.newest_ms is not None
        assert 20_000 < wall_ms() - stream.since_ms < 60_000
        assert found.collect.states == {("events", "live"): 1, ("logs", "live"): 1}
        assert found.collect.overdue == 0


@virtual_time
async def test_what_needs_a_look_comes_first_and_in_pages() -> None:
    async with collecting() as it:
        for number in range(20):
            it.platform.app("checkout").start(f"checkout-{number:02}")
        await it.until(lambda: it.states.count(Kind.LOGS, State.LIVE) == 20)
        cut = it.subscription("checkout-07")
        assert cut is not None
        it.platform.refuse("StreamAppLogs", Code.PERMISSION_DENIED)
        cut.replace("test")
        await it.until(lambda: cut.state is State.PARKED)
        found = look(it, Query(limit=5)).collect
        names = [one.replica for one in found.replicas]
        assert names == ["checkout-07", "checkout-00", "checkout-01", "checkout-02", "checkout-03"]
        assert found.replicas[0].streams[0].reason == "PERMISSION_DENIED: refused on request"
        assert (found.replicas_total, found.replicas_matching) == (20, 20)
        names = [one.replica for one in look(it, Query(limit=5, offset=18)).collect.replicas]
        assert names == ["checkout-18", "checkout-19"]
        found = look(it, Query(replica="checkout-1*")).collect
        assert (found.replicas_matching, found.replicas_total) == (10, 20)
        assert look(it, Query(app="mail")).collect.replicas == []


@virtual_time
async def test_a_stream_that_cannot_be_opened_for_minutes_is_overdue_however_often_it_was_tried() -> None:
    async with collecting() as it:
        it.platform.app("checkout").start("checkout-1")
        await it.until(lambda: it.states.count(Kind.LOGS, State.LIVE) == 1)
        it.platform.refuse("StreamAppLogs", Code.UNAVAILABLE)
        cut = it.subscription("checkout-1")
        assert cut is not None
        cut.replace("test")
        await asyncio.sleep(OVERDUE_S - 20)
        assert look(it).collect.overdue == 0
        await asyncio.sleep(40)
        found = look(it)
        assert found.collect.overdue == 1
        assert found.collect.replicas[0].streams[0].reconnects > 5
        assert found.platform.error == "UNAVAILABLE: refused on request"
        assert wall_ms() - (found.platform.error_ms or 0) < 60_000
        it.platform.refusals.clear()
        await it.until(lambda: it.states.count(Kind.LOGS, State.LIVE) == 1, within_s=60)
        assert look(it).collect.overdue == 0


@virtual_time
async def test_listings_that_fail_are_told_until_they_work_again() -> None:
    async with collecting() as it:
        it.platform.app("checkout").start("checkout-1")
        await it.until(lambda: it.states.count(Kind.LOGS, State.LIVE) == 1)
        denied = it.platform.refuse("ListAppReplicas", Code.PERMISSION_DENIED)
        down = it.platform.refuse("ListApps", Code.UNAVAILABLE)
        await asyncio.sleep(10)
        found = look(it).collect
        assert (found.problem, found.refused) == ("UNAVAILABLE: refused on request", False)
        (app,) = found.unlisted
        assert (app.problem, app.refused) == ("PERMISSION_DENIED: refused on request", True)
        denied.lift()
        down.lift()
        await asyncio.sleep(120)
        found = look(it).collect
        assert (found.problem, found.unlisted) == ("", [])


@virtual_time
async def test_rates_are_those_between_two_looks() -> None:
    async with collecting() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        await it.until(lambda: it.following("checkout-1"))
        sight = Sight()
        assert look(it, sight=sight).collect.replicas[0].streams[0].rate is None
        replica.print(*(f"line {number}" for number in range(100)))
        await it.caught_up()
        await asyncio.sleep(10)
        found = look(it, sight=sight).collect
        rate = found.replicas[0].streams[0].rate
        assert rate is not None
        assert 5 < rate < 10
        assert found.apps[0].rate == rate


def test_a_rate_is_over_two_seconds_at_least_and_none_after_minutes() -> None:
    rates = Rates()

    def look(now: float, **counts: int) -> float | None:
        rate = rates.baseline(now).rate("a", counts["a"])
        rates.sample(counts, now)
        return rate

    assert look(0.0, a=100) is None
    assert look(1.0, a=150) is None
    assert look(4.0, a=300) == 50
    assert look(5.0, a=320) == 44
    assert rates.baseline(5.0).rate("b", 1) is None
    assert look(7.0, a=10) == 0, "a replica that began anew"
    assert look(500.0, a=20) is None


@virtual_time
async def test_the_token_says_how_long_it_is_good_and_why_there_is_none() -> None:
    async with collecting() as it:

        async def fetch() -> Grant:
            return Grant("token-1", 300.0)

        tokens = ClientCredentials(fetch, asyncio.get_running_loop().time)
        assert look(it, tokens=tokens).platform.token_expires_ms is None
        await tokens.token()
        found = look(it, tokens=tokens).platform
        assert found.token_expires_ms == wall_ms() + 300_000
        assert found.token_problem == ""
        file = TokenFile(Path("/nowhere/token"))
        with pytest.raises(CallFailed):
            await file.token()
        assert "cannot read the token file" in look(it, tokens=file).platform.token_problem
        it.platform.refuse("ListApps", Code.UNAUTHENTICATED)
        await asyncio.sleep(10)
        assert look(it).platform.token_problem == "UNAUTHENTICATED: refused on request"


@virtual_time
async def test_the_configuration_in_force_is_shown_without_its_secrets() -> None:
    async with collecting() as it:
        settings = look(it).config.settings
        assert settings["ignite"]["auth"] == {"type": "token", "token": "***"}
        assert "secret-1" not in json.dumps(settings)


@virtual_time
async def test_the_latest_gaps_are_kept_and_no_more() -> None:
    async with collecting() as it:
        sight = Sight()
        it.intake.noticed = sight.gaps.append
        for number in range(300):
            it.intake.gap(App(ORG, "checkout"), GapReason.ROTATED, number)
        assert [gap.from_ms for gap in look(it, sight=sight).gaps] == list(range(200, 300))
