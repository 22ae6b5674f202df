"""A sink's health follows only from attempts that began after the last change."""

from __future__ import annotations

from shipper.deliver.breaker import Breaker, News, State, news


def half() -> float:
    return 0.5


def test_a_new_sink_is_healthy_and_may_be_tried_at_once() -> None:
    breaker = Breaker()
    assert breaker.healthy
    assert breaker.gate < 0


def test_the_first_failure_closes_the_gate_for_the_backoff_and_is_told() -> None:
    after = Breaker().failed(started=99.0, now=100.0, draw=half)
    assert (after.state, after.gate, after.attempts) == (State.FAILING, 100.05, 1)
    assert news(Breaker(), after) is News.FAILS


def test_failures_that_were_in_flight_together_are_one_failure() -> None:
    first = Breaker().failed(started=99.0, now=100.0, draw=half)
    second = first.failed(started=99.1, now=100.2, draw=half)
    assert (second.failures, second.gate, second.attempts) == (1, first.gate, 2)
    assert news(first, second) is None


def test_a_wish_from_an_attempt_in_flight_still_moves_the_gate() -> None:
    first = Breaker().failed(started=99.0, now=100.0, draw=half)
    assert first.failed(started=99.1, now=100.2, draw=half, after_s=5.0).gate == 105.2


def test_a_success_that_began_before_the_failure_is_no_recovery() -> None:
    failing = Breaker().failed(started=99.0, now=100.0, draw=half)
    assert failing.delivered(started=99.5, now=100.5).state is State.FAILING


def test_a_delivered_probe_is_a_recovery_and_tells_how_long_it_was() -> None:
    failing = Breaker().failed(started=99.0, now=100.0, draw=half)
    after = failing.delivered(started=101.0, now=102.0)
    assert after.healthy
    assert news(failing, after) is News.RECOVERED
    assert failing.since == 100.0


def test_a_failure_that_began_before_the_recovery_changes_nothing() -> None:
    healthy = Breaker().failed(99.0, 100.0, half).delivered(101.0, 102.0)
    assert healthy.failed(started=98.0, now=103.0, draw=half) is healthy
    assert healthy.parked(started=98.0, now=103.0) is healthy


def test_the_backoff_goes_on_growing_over_a_short_recovery() -> None:
    again = (
        Breaker()
        .failed(99.0, 100.0, half)
        .failed(101.0, 102.0, half)
        .delivered(103.0, 104.0)
        .failed(105.0, 106.0, half)
    )
    assert again.failures == 3


def test_the_backoff_starts_again_after_a_healthy_minute() -> None:
    again = (
        Breaker()
        .failed(99.0, 100.0, half)
        .failed(101.0, 102.0, half)
        .delivered(103.0, 104.0)
        .failed(163.0, 164.0, half)
    )
    assert again.failures == 1


def test_a_minute_without_an_attempt_is_not_a_healthy_minute() -> None:
    again = Breaker().failed(99.0, 100.0, half).failed(700.0, 1300.0, half)
    assert again.failures == 2


def test_a_lone_failure_shortly_after_a_recovery_is_not_told_but_lasting_ones_are() -> None:
    healthy = Breaker().failed(99.0, 100.0, half).delivered(101.0, 102.0)
    first = healthy.failed(103.0, 104.0, half)
    second = first.failed(105.0, 106.0, half)
    third = second.failed(107.0, 108.0, half)
    assert [news(healthy, first), news(first, second), news(second, third)] == [None, None, News.FAILS]
    assert news(first, first.delivered(105.0, 106.0)) is None


def test_parked_is_told_once_and_probed_each_minute() -> None:
    parked = Breaker().parked(started=99.0, now=100.0)
    again = parked.parked(started=160.0, now=161.0)
    assert (parked.state, parked.gate, again.gate) == (State.PARKED, 160.0, 221.0)
    assert news(Breaker(), parked) is News.PARKED
    assert news(parked, again) is None


def test_a_failing_sink_that_parks_is_told_as_parked() -> None:
    failing = Breaker().failed(99.0, 100.0, half)
    assert news(failing, failing.parked(101.0, 102.0)) is News.PARKED


def test_a_parked_sink_that_cannot_be_reached_is_still_the_same_episode() -> None:
    parked = Breaker().parked(99.0, 100.0)
    failing = parked.failed(160.0, 161.0, half)
    parked_again = failing.parked(162.0, 163.0)
    assert news(parked, failing) is None
    assert news(failing, parked_again) is None
    assert parked_again.since == 100.0
    assert news(parked_again, parked_again.delivered(164.0, 165.0)) is News.RECOVERED
