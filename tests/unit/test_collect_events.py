"""An app's events: the stream and GetAppEvents together bring each once, and what cannot be known is a gap."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from shipper.collect.ledger import KEPT_MS, MOST, EventLedger
from shipper.collect.states import State
from shipper.ignite.port import Event, EventPage
from shipper.ignite.status import Code
from shipper.model import GapReason, Kind, StoredCursor
from tests.fakes.collection import Collection, collecting
from tests.virtual_time import virtual_time


def seen(it: Collection) -> Counter[tuple[str, str, int, int]]:
    return Counter(
        (event["reason"], event["replica_id"], event["timestamp_ms"], event["count"])
        for event in it.durable.events()
    )


def happened(it: Collection) -> Counter[tuple[str, str, int, int]]:
    return Counter(
        (event.reason, event.replica_id, event.timestamp_ms, event.count) for event in it.platform.happened
    )


@virtual_time
async def test_each_connect_is_paired_with_get_app_events_after_the_stream_is_open() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        app.start("checkout-1")
        app.event("Pulled", "checkout-1")
        await it.until(lambda: len(it.durable.events()) == 1)
        for turn in range(1, 6):
            for pipe in app.event_streams:
                pipe.cut()
            app.event("Unhealthy", "checkout-1", count=turn, streamed=False)
            await it.until(lambda turn=turn: len(it.durable.events()) == 1 + turn)
        calls = [method for _, method, _ in it.platform.log if "Events" in method]
        assert calls == ["StreamAppEvents", "GetAppEvents"] * 6
        assert seen(it) == happened(it)


@virtual_time
async def test_an_event_that_happens_while_the_stream_is_being_opened_is_not_lost() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        it.platform.delay("StreamAppEvents", 0.5)
        it.platform.delay("GetAppEvents", 0.05)
        await it.until(lambda: it.platform.calls["StreamAppEvents"] == 1)
        for n in range(12):
            app.event(f"Event{n}", "checkout-1")
            await asyncio.sleep(0.1)
        await it.until(lambda: len(it.durable.events()) == 12, 5)
        assert seen(it) == happened(it)


@virtual_time
async def test_a_repeated_event_with_a_higher_count_is_a_new_record() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        app.start("checkout-1")
        await asyncio.sleep(5)
        for count in range(1, 8):
            app.event("BackOff", "checkout-1", count=count)
            await asyncio.sleep(30)
        assert [event["count"] for event in it.durable.events()] == [1, 2, 3, 4, 5, 6, 7]
        assert it.durable.gaps() == []


@virtual_time
async def test_the_same_event_seen_twice_is_one_record_also_after_a_restart() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        await asyncio.sleep(5)
        event = app.event("OOMKilling", "checkout-1")
        for pipe in app.event_streams:
            pipe.feed(EventPage((event, event)))
        await asyncio.sleep(200)
        await it.restart()
        await asyncio.sleep(200)
        assert seen(it) == happened(it)
        assert it.meter.counts["duplicates_suppressed_total", "events"] > 5


@virtual_time
async def test_two_events_of_one_millisecond_that_differ_are_two() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        await asyncio.sleep(5)
        app.event("Killing", "checkout-1")
        app.event("Killing", "checkout-2")
        await it.until(lambda: len(it.durable.events()) == 2)


@virtual_time
async def test_a_killed_daemon_repeats_no_event_and_loses_none() -> None:
    it = Collection(events=True)
    it.start()
    app = it.platform.app("checkout")
    for n in range(60):
        app.event(f"Event{n}", "checkout-1")
        await asyncio.sleep(0.05 * (n % 7))
        if n % 5 == 0:
            await it.restart()
    await asyncio.sleep(5)
    await it.stop()
    assert seen(it) == happened(it)


@virtual_time
async def test_a_dead_stream_of_events_is_replaced_within_a_minute() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        await asyncio.sleep(5)
        (pipe,) = app.event_streams
        pipe.stall()
        app.event("OOMKilling", "checkout-1")
        assert await it.until(lambda: len(it.durable.events()) == 1, 60) < 60
        await asyncio.sleep(5)
        assert it.reconnects("stalled", "events") == 1
        app.event("Killing", "checkout-1")
        assert await it.until(lambda: len(it.durable.events()) == 2, 60) < 1
        assert seen(it) == happened(it)


@virtual_time
async def test_a_silent_stream_of_events_is_left_alone() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        app.event("Pulled", "checkout-1")
        await asyncio.sleep(3600)
        assert it.platform.calls["StreamAppEvents"] == 1
        assert it.states.count(Kind.EVENTS, State.LIVE) == 1


@virtual_time
async def test_a_truncated_answer_that_does_not_reach_back_is_a_gap() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        app.event("Pulled", "checkout-1")
        await it.until(lambda: len(it.durable.events()) == 1)
        refusal = it.platform.refuse("StreamAppEvents", Code.UNAVAILABLE)
        it.platform.refuse("GetAppEvents", Code.UNAVAILABLE, times=4)
        for pipe in app.event_streams:
            pipe.cut()
        await asyncio.sleep(0.5)
        lost = app.event("Lost", "checkout-1")
        await asyncio.sleep(1)
        kept = app.event("Kept", "checkout-1")
        app.events = [kept]
        app.events_truncated = True
        refusal.lift()
        await it.until(lambda: len(it.durable.events()) == 2)
        await asyncio.sleep(120)
        (gap,) = it.durable.gaps()
        assert (gap["reason"], gap["stream_kind"]) == (GapReason.TRUNCATED, "events")
        assert gap["from_ms"] <= lost.timestamp_ms <= gap["to_ms"] == kept.timestamp_ms


@virtual_time
async def test_a_truncated_answer_that_reaches_back_is_none() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        app.start("checkout-1")
        await asyncio.sleep(5)
        for n in range(5):
            app.event(f"Event{n}", "checkout-1")
        await it.until(lambda: len(it.durable.events()) == 5)
        app.events_truncated = True
        for _ in range(5):
            for pipe in app.event_streams:
                pipe.cut()
            await asyncio.sleep(60)
        assert seen(it) == happened(it)
        assert it.durable.gaps() == []


@virtual_time
async def test_an_answer_that_is_cut_at_its_new_end_is_a_gap() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        app.start("checkout-1")
        await asyncio.sleep(5)
        for n in range(5):
            app.event(f"Event{n}", "checkout-1")
            await asyncio.sleep(1)
        for pipe in app.event_streams:
            pipe.cut()
        lost = app.event("Lost", "checkout-1")
        app.events, app.events_truncated = app.events[:3], True
        await asyncio.sleep(120)
        (gap,) = it.durable.gaps()
        assert gap["from_ms"] <= lost.timestamp_ms <= gap["to_ms"]


@virtual_time
async def test_a_first_answer_that_is_truncated_is_a_gap() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        app.event("Kept", "checkout-1")
        app.events_truncated = True
        await asyncio.sleep(120)
        assert it.durable.reasons() == [GapReason.TRUNCATED]


@virtual_time
async def test_events_that_cannot_be_decoded_are_a_gap_and_the_stream_goes_on() -> None:
    async with collecting(events=True) as it:
        app = it.platform.app("checkout")
        await asyncio.sleep(5)
        (pipe,) = app.event_streams
        pipe.feed(EventPage((), undecodable=2))
        app.event("Killing", "checkout-1")
        await it.until(lambda: len(it.durable.events()) == 1)
        (gap,) = it.durable.gaps()
        assert (gap["reason"], gap["lost"], gap["stream_kind"]) == (GapReason.UNDECODABLE, 2, "events")
        assert app.event_streams == [pipe]


@virtual_time
async def test_events_are_followed_where_get_app_events_is_not_offered() -> None:
    async with collecting(events=True) as it:
        it.platform.refuse("GetAppEvents", Code.UNIMPLEMENTED)
        app = it.platform.app("checkout")
        await asyncio.sleep(10)
        for n in range(20):
            app.event(f"Event{n}", "checkout-1")
            await asyncio.sleep(20)
        assert it.platform.calls["StreamAppEvents"] == 1
        assert seen(it) == happened(it)


@virtual_time
async def test_events_are_asked_for_where_the_stream_is_not_offered() -> None:
    async with collecting(events=True) as it:
        it.platform.refuse("StreamAppEvents", Code.UNIMPLEMENTED)
        app = it.platform.app("checkout")
        await asyncio.sleep(10)
        for n in range(20):
            app.event(f"Event{n}", "checkout-1")
            await asyncio.sleep(20)
        await asyncio.sleep(80)
        assert seen(it) == happened(it)


@pytest.mark.parametrize("call", ["StreamAppEvents", "GetAppEvents"])
def test_either_call_of_events_that_is_not_offered_is_said_once_and_tried_again_each_hour(
    call: str, caplog: pytest.LogCaptureFixture
) -> None:
    @virtual_time
    async def body() -> None:
        async with collecting(events=True) as it:
            no = it.platform.refuse(call, Code.UNIMPLEMENTED)
            app = it.platform.app("checkout")
            await asyncio.sleep(10)
            for n in range(100):
                app.event(f"Event{n}", "checkout-1")
                await asyncio.sleep(90)
            await asyncio.sleep(50)
            assert seen(it) == happened(it)
            assert 3 <= it.platform.calls[call] <= 4
            assert sum(f"{call} is not offered" in record.message for record in caplog.records) == 1
            assert list(it.collector.context.offers.refused) == [call]
            assert it.states.count(Kind.EVENTS, State.LIVE) == 1
            no.lift()
            await asyncio.sleep(4000)
            assert not it.collector.context.offers.refused
            asked = it.platform.calls["GetAppEvents"]
            app.event("Again", "checkout-1")
            await asyncio.sleep(600)
            assert seen(it) == happened(it)
            assert it.platform.calls["GetAppEvents"] > asked
            assert it.states.count(Kind.EVENTS, State.LIVE) == 1

    body()


@virtual_time
async def test_without_both_calls_events_are_parked_and_each_is_tried_again_each_hour(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with collecting(events=True) as it:
        calls = ("StreamAppEvents", "GetAppEvents")
        refusals = [it.platform.refuse(call, Code.UNIMPLEMENTED) for call in calls]
        app = it.platform.app("checkout")
        await asyncio.sleep(2.5 * 3600)
        for call in calls:
            assert 3 <= it.platform.calls[call] <= 4
            assert sum(f"{call} is not offered" in record.message for record in caplog.records) == 1
        assert it.states.count(Kind.EVENTS, State.PARKED) == 1
        refusals[1].lift()
        await asyncio.sleep(4000)
        app.event("Again", "checkout-1")
        await asyncio.sleep(60)
        assert seen(it) == happened(it)
        assert it.states.count(Kind.EVENTS, State.LIVE) == 1


@pytest.mark.parametrize("call", ["StreamAppEvents", "GetAppEvents"])
def test_a_denial_of_events_that_no_server_signed_is_believed_at_the_second_time(call: str) -> None:
    @virtual_time
    async def body() -> None:
        async with collecting(events=True) as it:
            it.platform.refuse(call, Code.UNIMPLEMENTED, times=1, genuine=False)
            app = it.platform.app("checkout")
            await asyncio.sleep(60)
            assert not it.collector.context.offers.refused
            it.platform.refuse(call, Code.UNIMPLEMENTED, genuine=False)
            for pipe in app.event_streams:
                pipe.cut()
            await asyncio.sleep(60)
            assert list(it.collector.context.offers.refused) == [call]

    body()


@virtual_time
async def test_where_the_stream_is_not_offered_and_the_rest_not_allowed_it_is_tried_each_minute() -> None:
    async with collecting(events=True) as it:
        it.platform.refuse("StreamAppEvents", Code.UNIMPLEMENTED)
        no = it.platform.refuse("GetAppEvents", Code.PERMISSION_DENIED)
        app = it.platform.app("checkout")
        await asyncio.sleep(1800)
        assert 25 <= it.platform.calls["GetAppEvents"] <= 45
        assert it.platform.calls["StreamAppEvents"] == 1
        assert it.states.count(Kind.EVENTS, State.PARKED) == 1
        no.lift()
        await asyncio.sleep(90)
        app.event("Again", "checkout-1")
        await asyncio.sleep(60)
        assert seen(it) == happened(it)


@virtual_time
async def test_refused_events_are_parked_and_said_once() -> None:
    async with collecting(events=True) as it:
        it.platform.refuse("StreamAppEvents", Code.PERMISSION_DENIED)
        it.platform.refuse("GetAppEvents", Code.PERMISSION_DENIED)
        it.platform.app("checkout")
        await asyncio.sleep(1800)
        assert 25 <= it.platform.calls["StreamAppEvents"] <= 45
        assert it.states.count(Kind.EVENTS, State.PARKED) == 1


def event(n: int, time: int = 0) -> Event:
    return Event(time, "KIND", "Reason", f"message {n}", "checkout-1", 1, "Normal")


def test_a_ledger_is_bounded_and_forgets_first_what_was_shown_longest_ago() -> None:
    ledger = EventLedger("k")
    for n in range(MOST):
        assert ledger.take(event(n), now_ms=n)
    for n in range(100):
        assert not ledger.take(event(n), now_ms=MOST)
    for n in range(MOST, MOST + 10):
        assert ledger.take(event(n), now_ms=MOST)
    assert not ledger.take(event(5), now_ms=MOST)
    assert len(ledger.write().state) < 17 * MOST


def test_a_ledger_forgets_what_the_platform_no_longer_shows_and_survives_being_stored() -> None:
    ledger = EventLedger("k", since=-5)
    ledger.take(event(1, time=-(2**63)), now_ms=0)
    ledger.take(event(2, time=2**63 - 1), now_ms=KEPT_MS)
    write = ledger.write()
    again = EventLedger.load(StoredCursor("k", write.state, (), 0))
    again.forget_unseen(KEPT_MS + 1)
    assert (again.newest, again.since) == (2**63 - 1, -5)
    assert again.knows_any([event(2, time=2**63 - 1)])
    assert not again.knows_any([event(1, time=-(2**63))])
