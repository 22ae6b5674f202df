"""Collection goes over to another platform: streams are drained, cursors carry on, nothing is lost or taken twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from shipper.collect.intake import Intake
from shipper.config.settings import Settings
from shipper.daemon.collecting import ASKED, CONNECTED, Collecting, Connection
from shipper.errors import BufferFull, BufferUnavailable
from shipper.ignite.auth import FixedToken
from shipper.ignite.exchangeable import ExchangeableTokens
from shipper.ignite.status import Code
from shipper.model import Codec, StoredCursor
from shipper.telemetry.health import Readiness
from tests.fakes.collection import wall, wall_ms
from tests.fakes.durable import FakeDurable
from tests.fakes.meter import FakeMeter
from tests.fakes.platform import ORG, FakePlatform
from tests.virtual_time import virtual_time


def settings(include: Sequence[str] = ("*",), organization: str = ORG) -> Settings:
    ignite = {"endpoint": "grpc://localhost:1", "organization": organization, "auth": {"type": "none"}}
    return Settings.model_validate(
        {
            "ignite": ignite,
            "apps": {"include": include},
            "collect": {"events": "false", "builds": "false"},
            "sinks": {"debug": {"type": "stdout"}},
        }
    )


class Platform(FakePlatform):
    """Several of these are several ways to the same apps."""

    builds = None

    def __init__(self, like: FakePlatform | None = None) -> None:
        super().__init__(wall_ms)
        self.closed = 0
        if like is not None:
            self.apps, self.printed, self.happened = like.apps, like.printed, like.happened

    async def aclose(self) -> None:
        self.closed += 1


@dataclass
class Durable(FakeDurable):
    """`refusals` are raised by the next questions for cursors."""

    refusals: list[Exception] = field(default_factory=list)

    async def cursors(self) -> list[StoredCursor]:  # type: ignore[override]
        if self.refusals:
            raise self.refusals.pop(0)
        return super().cursors()


def connection(platform: Platform) -> Connection:
    return Connection(platform, ExchangeableTokens(FixedToken("token")))  # type: ignore[arg-type]


@dataclass
class House:
    platform: Platform
    durable: Durable
    collecting: Collecting
    readiness: Readiness

    def other(self) -> Platform:
        """Another way to the same apps, taken from now on."""
        platform = Platform(self.platform)
        self.collecting.begin_anew(settings(), connection(platform))
        return platform

    async def until(self, condition: Any, within_s: float = 60.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.01)

    async def caught_up(self) -> None:
        await self.until(lambda: self.durable.log_lines >= len(self.platform.printed))


@asynccontextmanager
async def house() -> AsyncIterator[House]:
    platform, durable, meter = Platform(), Durable(wall_ms), FakeMeter()
    intake = Intake(durable, Codec.NONE, meter, clock=wall)
    readiness = Readiness({CONNECTED: ASKED})
    it = Collecting(
        settings(), connection(platform), durable, intake, meter, readiness, await durable.cursors()
    )  # type: ignore[arg-type]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(intake.run()), group.create_task(it.run())]
        try:
            yield House(platform, durable, it, readiness)
        finally:
            for task in tasks:
                task.cancel()
    await it.aclose()


@virtual_time
async def test_another_platform_takes_over_where_the_streams_were() -> None:
    """The old connections are closed when nothing uses them any more."""
    async with house() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print(*(f"line {n}" for n in range(500)))
        await it.caught_up()
        for turn in range(5):
            replica.print(f"just before {turn}")
            other = it.other()
            replica.print(f"just after {turn}")
            await it.until(lambda other=other: other.calls["StreamAppLogs"] == 1)
            await it.caught_up()
            assert it.collecting.connection.platform is other
            assert other.closed == 0
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.reasons() == []
        assert it.platform.closed == 1


@virtual_time
async def test_of_many_platforms_at_once_only_the_last_is_asked() -> None:
    async with house() as it:
        it.platform.app("checkout").start("checkout-1").print("one")
        await it.caught_up()
        others = [it.other() for _ in range(5)]
        await it.until(lambda: others[-1].calls["StreamAppLogs"] == 1)
        await it.until(lambda: all(one.closed == 1 for one in others[:-1]))
        assert [sum(one.calls.values()) for one in others[:-1]] == [0] * 4
        assert others[-1].closed == 0


@virtual_time
async def test_readiness_follows_the_platform() -> None:
    async with house() as it:
        await it.until(lambda: it.readiness.ready)
        other = Platform(it.platform)
        refusal = other.refuse("ListApps", Code.UNAVAILABLE)
        it.collecting.begin_anew(settings(), connection(other))
        await it.until(lambda: not it.readiness.ready)
        assert "was changed" in it.readiness.reasons()[CONNECTED]
        refusal.lift()
        await it.until(lambda: it.readiness.ready)


@virtual_time
async def test_a_selection_during_the_change_is_the_new_collectors() -> None:
    """An organization's apps are chosen by the selection that came last."""
    async with house() as it:
        for name in ("checkout", "billing"):
            it.platform.app(name).start(f"{name}-1").print(name)
        await it.caught_up()
        other = it.other()
        it.collecting.select(settings(["billing"]))
        await it.until(lambda: other.calls["StreamAppLogs"] == 1)
        await asyncio.sleep(30)
        assert set(it.collecting.collector.watches) == {"billing"}
        it.collecting.select(settings(["checkout"]))
        await it.until(lambda: set(it.collecting.collector.watches) == {"checkout"})


@virtual_time
async def test_a_buffer_that_takes_nothing_delays_the_change_and_loses_nothing() -> None:
    """The new streams are opened when what the old ones brought is committed."""
    async with house() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        await it.until(lambda: it.platform.calls["StreamAppLogs"] == 1)
        it.durable.troubles = [BufferFull("full")]
        it.durable.refusals = [BufferUnavailable("no")] * 3
        replica.print("does not fit")
        await asyncio.sleep(1)
        other = it.other()
        await asyncio.sleep(60)
        assert other.calls["StreamAppLogs"] == 0
        it.durable.space.set()
        await it.until(lambda: other.calls["StreamAppLogs"] == 1)
        replica.print("fits")
        await it.caught_up()
        assert it.durable.counter() == Counter(it.platform.printed)


@virtual_time
async def test_tokens_are_exchanged_without_touching_a_stream() -> None:
    async with house() as it:
        it.platform.app("checkout").start("checkout-1").print("one")
        await it.caught_up()
        await it.collecting.exchange_tokens(FixedToken("new")).aclose()
        assert await it.collecting.connection.tokens.token() == "new"
        await asyncio.sleep(60)
        assert it.platform.calls["StreamAppLogs"] == 1


@virtual_time
async def test_what_makes_collecting_impossible_is_raised() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with house() as it:

            async def broken() -> list[str]:
                raise RuntimeError("a bug")

            it.platform.list_apps = broken  # type: ignore[method-assign]
            await asyncio.sleep(60)
    assert raised.group_contains(RuntimeError, match="a bug")
