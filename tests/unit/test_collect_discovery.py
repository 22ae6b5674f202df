"""Which apps and replicas there are: listings that are late, wrong, denied, and names that come from elsewhere."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from shipper.collect.collector import Selection
from shipper.collect.watch import AppWatch
from shipper.ignite.status import Code
from shipper.model import GapReason
from tests.fakes.collection import Collection, collecting
from tests.fakes.platform import chunk_of
from tests.virtual_time import settle, virtual_time


@pytest.mark.parametrize(
    ("include", "exclude", "chosen"),
    [
        (["*"], [], {"checkout", "checkout-eu", "Billing", "a[b]"}),
        (["checkout*"], ["*-eu"], {"checkout"}),
        (["billing"], [], {"billing"}),
        (["?illing"], [], {"Billing"}),
        (["*"], ["*"], set()),
        ([], [], set()),
        (["a[[]b]"], [], {"a[b]"}),
        (["checkout", "*-eu"], ["checkout"], {"checkout-eu"}),
    ],
)
def test_globs_and_exact_names_choose_apps_and_case_matters(
    include: list[str], exclude: list[str], chosen: set[str]
) -> None:
    selection = Selection("acme-corp", include, exclude)
    there = ["checkout", "checkout-eu", "Billing", "a[b]"]
    assert selection.choose(there) | selection.exact() == chosen


@virtual_time
async def test_exact_names_need_no_list_of_apps() -> None:
    async with collecting(include=["checkout"]) as it:
        it.platform.refuse("ListApps", Code.PERMISSION_DENIED)
        it.platform.app("checkout").start("checkout-1").print("one")
        it.platform.app("other").start("other-1").print("not asked for")
        await it.until(lambda: it.durable.texts() == ["one"])
        assert it.platform.calls["ListApps"] == 0
        assert it.collector.ready.is_set()


@virtual_time
async def test_exact_names_are_collected_while_the_list_of_apps_is_refused() -> None:
    async with collecting(include=["checkout", "billing-*"]) as it:
        refusal = it.platform.refuse("ListApps", Code.PERMISSION_DENIED)
        it.platform.app("checkout").start("checkout-1").print("one")
        it.platform.app("billing-eu").start("billing-1").print("two")
        await it.until(lambda: it.durable.texts() == ["one"])
        assert not it.collector.ready.is_set()
        await asyncio.sleep(600)
        assert it.platform.calls["ListApps"] <= 15
        refusal.lift()
        await it.caught_up()
        assert it.collector.ready.is_set()


@virtual_time
async def test_new_apps_and_new_replicas_are_found_within_two_polls() -> None:
    async with collecting() as it:
        await asyncio.sleep(60)
        it.platform.app("checkout").start("checkout-1").print("one")
        assert await it.caught_up() < 13
        it.platform.app("checkout").start("checkout-2").print("two")
        assert await it.caught_up() < 7


@virtual_time
async def test_an_app_that_disappears_and_returns_repeats_nothing() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        replica = app.start("checkout-1")
        replica.print(*(f"line {i}" for i in range(300)))
        for count in range(1, 4):
            app.event("Unhealthy", "checkout-1", count=count)
        await it.caught_up()
        taken_events = it.durable.events()
        del it.platform.apps["checkout"]
        await it.until(lambda: not it.collector.watches, 120)
        await asyncio.sleep(60)
        it.platform.apps["checkout"] = app
        await it.until(lambda: bool(it.collector.watches), 60)
        replica.print("back again")
        await it.caught_up()
        await asyncio.sleep(120)
        assert it.durable.counter() == Counter(it.platform.printed)
        assert it.durable.events() == taken_events


@virtual_time
async def test_an_app_that_is_missing_from_a_list_while_its_replicas_print_is_not_gone() -> None:
    async with collecting() as it:
        app = it.platform.app("checkout")
        app.start("checkout-1").print("one")
        await it.caught_up()
        app.listed = False
        for i in range(60):
            app.replicas["checkout-1"].print(f"line {i}")
            await asyncio.sleep(1)
        app.start("checkout-2").print("a new replica too")
        assert await it.caught_up() < 10
        assert it.platform.calls["StreamAppLogs"] == 2
        app.listed = True
        await asyncio.sleep(30)
        app.replicas["checkout-1"].print("still")
        await it.caught_up()
        assert it.durable.counter() == Counter(it.platform.printed)


@virtual_time
async def test_an_app_that_was_taken_from_us_is_let_go() -> None:
    async with collecting() as it:
        app = it.platform.app("checkout")
        app.start("checkout-1").print("one")
        await it.caught_up()
        app.listed = False
        for method in ("ListAppReplicas", "StreamAppLogs", "GetAppLogs"):
            it.platform.refuse(method, Code.PERMISSION_DENIED, app="checkout")
        app.replicas["checkout-1"].cut(Code.PERMISSION_DENIED)
        await it.until(lambda: not it.collector.watches, 400)


@virtual_time
async def test_an_app_of_an_earlier_run_that_is_gone_is_closed() -> None:
    it = Collection()
    it.start()
    it.platform.app("checkout").start("checkout-1").print("one")
    await it.caught_up()
    await it.stop()
    del it.platform.apps["checkout"]
    it.start()
    await it.until(lambda: GapReason.REPLICA_GONE in it.durable.reasons())
    await it.until(lambda: not it.collector.watches, 60)
    await it.stop()
    assert len(it.durable.gaps()) == 1


@virtual_time
async def test_an_app_whose_listing_is_denied_is_parked_while_the_others_go_on() -> None:
    async with collecting(events=True) as it:
        refusals = [
            it.platform.refuse(method, Code.PERMISSION_DENIED, app="secret")
            for method in ("ListAppReplicas", "GetAppEvents", "StreamAppEvents")
        ]
        it.platform.app("secret").start("secret-1").print("hidden")
        checkout = it.platform.app("checkout").start("checkout-1")
        for i in range(100):
            checkout.print(f"line {i}")
            await asyncio.sleep(6)
        await it.until(lambda: len(it.durable.lines()) == 100)
        polls = [at for at, method, app in it.platform.log if (method, app) == ("ListAppReplicas", "secret")]
        assert 8 <= len(polls) <= 15
        for refusal in refusals:
            refusal.lift()
        assert await it.caught_up() < 80


@virtual_time
async def test_one_failing_app_does_not_delay_the_others() -> None:
    async with collecting() as it:
        it.platform.refuse("ListAppReplicas", Code.INTERNAL, app="broken")
        it.platform.delay("ListAppReplicas", 9.0, app="slow")
        for name in ("broken", "slow", "checkout"):
            it.platform.app(name)
        await asyncio.sleep(30)
        it.platform.app("checkout").start("checkout-1").print("one")
        assert await it.caught_up() < 7


@virtual_time
async def test_a_line_that_names_an_unknown_replica_polls_at_once() -> None:
    async with collecting() as it:
        app = it.platform.app("checkout")
        replica = app.start("checkout-1")
        replica.print("one")
        await it.caught_up()
        await asyncio.sleep(0.5)
        app.start("checkout-2").print("two")
        replica.streams[0].feed(chunk_of([], others=["checkout-2"]))
        assert await it.caught_up() < 0.6


@virtual_time
async def test_an_event_that_names_an_unknown_replica_polls_at_once() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        await asyncio.sleep(12)
        app.start("checkout-1").print("one")
        app.event("Scheduled", "checkout-1")
        assert await it.caught_up() < 0.8


@virtual_time
async def test_a_burst_of_events_asks_for_a_few_listings() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        await asyncio.sleep(12)
        before = it.platform.calls["ListAppReplicas"]
        for n in range(500):
            app.event("Scheduled", f"checkout-{n}")
            await asyncio.sleep(0.002)
        assert it.platform.calls["ListAppReplicas"] - before <= 7


@virtual_time
async def test_a_replica_that_only_events_name_is_a_gap_once() -> None:
    it = Collection(events=True)
    app = it.platform.app("checkout")
    app.start("checkout-web-1")
    it.start()
    await asyncio.sleep(12)
    event = app.event("Scheduled", "checkout-brief")
    app.event("Killing", "checkout-brief")
    app.event("SuccessfulCreate", "checkout-web")  # of the ReplicaSet
    app.event("ScaledToZero", "checkout")
    for _ in range(3):
        await asyncio.sleep(150)
        await it.restart()
    await it.stop()
    (gap,) = it.durable.gaps()
    assert gap["reason"] == GapReason.REPLICA_UNSEEN
    assert gap["replica_id"] == "checkout-brief"
    assert gap["from_ms"] == event.timestamp_ms


@virtual_time
async def test_the_gap_of_a_replica_that_only_events_name_holds_what_it_printed_after_its_first_event() -> (
    None
):
    it = Collection(events=True)
    app = it.platform.app("checkout")
    it.start()
    await asyncio.sleep(12)
    app.event("Scheduled", "checkout-brief")
    await asyncio.sleep(30)
    last = app.event("Killing", "checkout-brief")
    await asyncio.sleep(180)
    await it.stop()
    (gap,) = it.durable.gaps()
    assert gap["reason"] == GapReason.REPLICA_UNSEEN
    assert gap["from_ms"] < last.timestamp_ms <= gap["to_ms"]


@virtual_time
async def test_a_replica_that_only_events_name_is_not_forgotten_by_a_restart() -> None:
    it = Collection(events=True)
    app = it.platform.app("checkout")
    it.start()
    await asyncio.sleep(12)
    app.event("Scheduled", "checkout-brief")
    await asyncio.sleep(30)
    await it.restart()
    await asyncio.sleep(180)
    await it.stop()
    assert it.durable.reasons() == [GapReason.REPLICA_UNSEEN]


@virtual_time
async def test_replicas_that_came_and_went_while_nobody_ran_are_gaps_where_events_name_them() -> None:
    it = Collection(events=True)
    app = it.platform.app("checkout")
    app.event("Scheduled", "checkout-before-our-time")
    it.start()
    await asyncio.sleep(12)
    await it.kill()
    app.event("Scheduled", "checkout-brief")
    it.start()
    await asyncio.sleep(200)
    await it.stop()
    assert [gap["replica_id"] for gap in it.durable.gaps()] == ["checkout-brief"]


@virtual_time
async def test_a_replica_that_a_killed_run_had_listed_and_not_stored_is_a_gap_where_events_name_it() -> None:
    it = Collection(events=True)
    app = it.platform.app("checkout")
    it.start()
    await asyncio.sleep(12)
    app.event("Started", "checkout-brief")
    replica = app.start("checkout-brief")
    (lost,) = replica.print("nobody stored this")
    await it.until(lambda: it.subscription("checkout-brief") is not None)
    await it.kill()
    replica.gone()
    it.start()
    await asyncio.sleep(200)
    await it.stop()
    (gap,) = it.durable.gaps()
    assert gap["replica_id"] == "checkout-brief"
    assert gap["from_ms"] <= lost.time <= gap["to_ms"]


@virtual_time
async def test_a_replica_that_is_listed_late_is_no_gap() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        await asyncio.sleep(12)
        app.event("Scheduled", "checkout-1")
        await asyncio.sleep(100)
        app.start("checkout-1").print("after the image was pulled")
        await it.caught_up()
        await asyncio.sleep(100)
        assert it.durable.gaps() == []


@virtual_time
async def test_a_replica_that_is_gone_is_not_unseen() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        replica = app.start("checkout-1")
        replica.print("one")
        await it.caught_up()
        replica.gone()
        await asyncio.sleep(20)
        app.event("Killing", "checkout-1")
        polls = it.platform.calls["ListAppReplicas"]
        await asyncio.sleep(300)
        assert it.platform.calls["ListAppReplicas"] - polls < 80
        assert it.durable.gaps() == []


@virtual_time
async def test_a_failing_listing_is_tried_again_and_streams_go_on_meanwhile() -> None:
    async with collecting() as it:
        replica = it.platform.app("checkout").start("checkout-1")
        replica.print("one")
        await it.caught_up()
        refusal = it.platform.refuse("ListAppReplicas", Code.UNAVAILABLE)
        for i in range(60):
            replica.print(f"line {i}")
            await asyncio.sleep(2)
        assert await it.caught_up() < 1
        refusal.lift()
        it.platform.app("checkout").start("checkout-2").print("new")
        assert await it.caught_up() < 10
        assert it.meter.counts["polls_total", "failed"] > 10


@virtual_time
async def test_the_gauge_of_replicas_follows_the_listing() -> None:
    async with collecting(include=["checkout"]) as it:
        app = it.platform.app("checkout")
        app.start("checkout-1")
        app.start("checkout-2")
        await it.until(lambda: it.meter.levels.get(("replicas", "acme-corp/checkout")) == 2)
        app.replicas["checkout-1"].gone()
        await it.until(lambda: it.meter.levels.get(("replicas", "acme-corp/checkout")) == 1)


@virtual_time
async def test_looking_at_an_app_that_is_over_returns_at_once() -> None:
    it = Collection()
    it.start()
    it.platform.app("checkout")
    await it.until(lambda: bool(it.collector.watches))
    watch: AppWatch = it.collector.watches["checkout"]
    waiting = asyncio.get_running_loop().create_task(watch.look())
    del it.platform.apps["checkout"]
    await it.until(lambda: not it.collector.watches, 60)
    await settle()
    assert waiting.done()
    async with asyncio.timeout(1):
        await watch.look()
    await it.stop()
