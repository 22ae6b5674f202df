"""Another selection while collecting: what stays is not touched, what goes ends, what comes back repeats nothing."""

from __future__ import annotations

import asyncio
from collections import Counter

from shipper.collect.states import State
from shipper.errors import BufferFull
from shipper.model import Kind
from tests.fakes.collection import Collection, collecting
from tests.virtual_time import virtual_time


def streams(it: Collection) -> int:
    return it.platform.calls["StreamAppLogs"]


@virtual_time
async def test_apps_that_stay_keep_their_streams() -> None:
    """Whatever else is selected, by globs or by names alone."""
    async with collecting(include=["shop-*"]) as it:
        for name in ("shop-1", "shop-2", "other"):
            it.platform.app(name).start(f"{name}-a").print(name)
        await it.until(lambda: it.durable.log_lines == 2)
        it.select(["*"])
        await it.caught_up()
        assert streams(it) == 3
        it.select(["shop-1", "other"])
        await it.until(lambda: set(it.collector.watches) == {"shop-1", "other"})
        it.select(["*"], ["other"])
        await it.until(lambda: set(it.collector.watches) == {"shop-1", "shop-2"})
        it.platform.app("shop-1").replicas["shop-1-a"].print("again")
        await it.caught_up()
        assert streams(it) == 4  # shop-2 came back
        assert it.platform.calls["StreamAppLogs"] == streams(it)
        assert sum(it.reconnects(reason) for reason in ("done", "retry", "gone", "stalled")) == 0


@virtual_time
async def test_an_app_that_is_no_longer_selected_is_not_read() -> None:
    async with collecting() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print("before")
        await it.caught_up()
        it.select(["*"], ["checkout"])
        await it.until(lambda: not it.collector.watches)
        replica.print("meanwhile")
        await asyncio.sleep(60)
        assert it.durable.texts() == ["before"]
        assert it.platform.calls["ListAppReplicas"] <= 3
        assert it.states.count(Kind.LOGS, State.LIVE) == 0


@virtual_time
async def test_an_app_that_is_selected_again_goes_on_where_it_was() -> None:
    """What it printed meanwhile is read, and nothing is taken twice: not even what was not committed yet."""
    async with collecting() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print(*(f"line {n}" for n in range(300)))
        await it.caught_up()
        for turn in range(3):
            replica.print(f"just before {turn}")
            await asyncio.sleep(0.01)
            it.select(["other"])
            await it.until(lambda: not it.collector.watches.keys() - {"other"})
            replica.print(f"meanwhile {turn}")
            it.select(["checkout"])
            await it.caught_up()
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.reasons() == []


@virtual_time
async def test_a_selection_does_not_wait_for_a_buffer_that_is_full() -> None:
    """Apps that go end at once; apps that come are followed as soon as there is room."""
    async with collecting(include=["checkout"]) as it:
        replica = it.platform.app("checkout").start("checkout-1")
        it.platform.app("new").start("new-1").print("new")
        await it.until(lambda: it.following("checkout-1"))
        it.durable.troubles = [BufferFull("full")]
        replica.print("does not fit")
        await asyncio.sleep(1)
        it.select(["new"])
        await it.until(lambda: set(it.collector.watches) == {"new"})
        it.durable.space.set()
        await it.caught_up()
        it.select(["new", "checkout"])
        replica.print("later")
        await it.caught_up()
        assert it.durable.counter() == Counter(it.platform.printed)


@virtual_time
async def test_many_selections_at_once_come_to_the_last() -> None:
    async with collecting() as it:
        for name in "abcd":
            it.platform.app(name).start(f"{name}-1").print(name)
        await it.caught_up()
        for _ in range(50):
            it.select(["a"])
            it.select(["b"], poll_s=1.0)
            it.select(["b", "c"])
        await it.until(lambda: set(it.collector.watches) == {"b", "c"})
        assert streams(it) == 4


@virtual_time
async def test_another_interval_applies_to_apps_that_are_followed() -> None:
    async with collecting() as it:
        it.platform.app("checkout").start("checkout-1")
        await asyncio.sleep(30)
        it.select(poll_s=60.0)
        await asyncio.sleep(10)
        before = it.platform.calls["ListAppReplicas"]
        await asyncio.sleep(600)
        assert 8 <= it.platform.calls["ListAppReplicas"] - before <= 13
        it.select(poll_s=1.0)
        it.platform.app("checkout").start("checkout-2").print("found soon")
        assert await it.caught_up() < 2


@virtual_time
async def test_events_can_be_turned_on_and_off_beside_logs() -> None:
    """The log streams are not touched, and no event comes twice."""
    async with collecting() as it:
        app = it.platform.app("checkout")
        app.start("checkout-1").print("one")
        await it.caught_up()
        it.select(events=True)
        await it.until(lambda: it.platform.calls["StreamAppEvents"] == 1)
        app.event("Unhealthy", "checkout-1")
        await it.until(lambda: len(it.durable.events()) == 1)
        it.select(events=False)
        await it.until(lambda: not app.event_streams or it.states.count(Kind.EVENTS, State.LIVE) == 0)
        app.event("Pulled", "checkout-1")
        await asyncio.sleep(30)
        assert len(it.durable.events()) == 1
        it.select(events=True)
        await it.until(lambda: len(it.durable.events()) == 2)
        assert streams(it) == 1


@virtual_time
async def test_logs_can_be_turned_off_and_on_beside_events() -> None:
    """What was printed meanwhile is read then, also by replicas that went; nothing is repeated."""
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        stays, goes = app.start("checkout-1"), app.start("checkout-2")
        for replica in (stays, goes):
            replica.print(*(f"{replica.replica_id} {n}" for n in range(50)))
        await it.caught_up()
        it.select(logs=False, events=True)
        await it.until(lambda: not list(it.collector.subscriptions()))
        stays.print("meanwhile")
        await asyncio.sleep(20)
        it.select(logs=True, events=True)
        await it.until(lambda: it.following("checkout-1"))
        await it.caught_up()
        assert it.durable.counter() == Counter(it.platform.printed)
        it.select(logs=False, events=True)
        await it.until(lambda: not list(it.collector.subscriptions()))
        goes.gone()
        await asyncio.sleep(20)
        it.select(logs=True, events=True)
        await it.until(lambda: it.following("checkout-1"))
        await asyncio.sleep(120)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.platform.calls["StreamAppEvents"] == 1
