"""Counts of the last day by the minute are those of a list of all events, within a minute."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from shipper.telemetry.prometheus import PrometheusMeter
from shipper.telemetry.recent import DAY_S, MINUTE_S, Recent


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_nothing_that_was_counted_is_forgotten_before_its_time_and_nothing_stays_after_it() -> None:
    clock = Clock(1000.0)
    recent = Recent(clock)
    recent(3, ("rotated",))
    clock.now += 899
    recent(1, ("restarted",))
    assert recent.within(900) == {("rotated",): 3, ("restarted",): 1}
    clock.now += 61
    assert recent.within(900) == {("restarted",): 1}
    assert recent.within(DAY_S) == {("rotated",): 3, ("restarted",): 1}
    clock.now += DAY_S + 60
    assert recent.within(DAY_S) == {}
    assert recent.totals() == {("rotated",): 3, ("restarted",): 1}


@given(
    st.lists(st.tuples(st.floats(0, 100_000), st.integers(1, 50), st.sampled_from("ab")), max_size=40),
    st.sampled_from([60.0, 900.0, DAY_S]),
)
def test_a_window_has_all_of_its_events_and_none_that_is_a_minute_older(
    steps: list[tuple[float, int, str]], seconds: float
) -> None:
    clock = Clock(12_345.6)
    recent = Recent(clock)
    events: list[tuple[float, int]] = []
    for wait, by, label in steps:
        clock.now += wait
        recent(by, (label,))
        events.append((clock.now, by))
        counted = sum(recent.within(seconds).values())
        newer = sum(by for at, by in events if at > clock.now - seconds + MINUTE_S)
        older = sum(by for at, by in events if at >= clock.now - seconds - MINUTE_S)
        assert newer <= counted <= older
    assert sum(recent.totals().values()) == sum(by for _, by in events)


def test_a_clock_that_goes_back_loses_nothing() -> None:
    clock = Clock(100_000.0)
    recent = Recent(clock)
    recent(1, ("a",))
    clock.now -= 50_000
    recent(1, ("a",))
    assert recent.within(900) == {("a",): 2}


def test_label_sets_beyond_a_bound_are_counted_together() -> None:
    recent = Recent(Clock())
    for number in range(1000):
        recent(1, (f"sink-{number}", "sampled"))
    totals = recent.totals()
    assert len(totals) == 201
    assert totals["_other", "_other"] == 800


def test_a_rate_is_over_the_last_minute_or_two_and_over_less_after_a_start() -> None:
    clock = Clock(6000.0)
    recent = Recent(clock)
    recent(100, ("logs",))
    clock.now += 10
    assert recent.per_second() == 10
    clock.now += 80
    recent(50, ("logs",))
    assert recent.per_second() == 150 / 90
    clock.now += 600
    assert recent.per_second() == 0


def test_a_meter_tells_who_wants_to_hear_and_threads_may_count() -> None:
    gaps = Recent()
    meter = PrometheusMeter(heard={"gaps_total": gaps})

    def count() -> None:
        for _ in range(500):
            meter.count("gaps_total", 2, "rotated")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    meter.count("gaps_total", 0, "restarted")
    assert gaps.totals() == {("rotated",): 4000}


def test_sinks_that_are_added_later_have_their_series_from_then_on() -> None:
    meter = PrometheusMeter(sinks=["archive"])
    meter.count("records_delivered_total", 5, "archive", "logs")
    meter.know(["archive", "search"])
    page = meter.render()[0].decode()
    assert 'shipper_records_delivered_total{kind="gaps",sink="search"} 0.0' in page
    assert 'shipper_records_delivered_total{kind="logs",sink="archive"} 5.0' in page


def test_the_series_of_the_configured_sinks_do_not_use_up_the_room_for_others() -> None:
    sinks = [f"sink-{number}" for number in range(100)]
    meter = PrometheusMeter(sinks=sinks)
    meter.count("records_dropped_total", 1, "sink-99", "late")
    page = meter.render()[0].decode()
    assert "_other" not in page
    assert 'shipper_records_dropped_total{reason="late",sink="sink-99"} 1.0' in page
