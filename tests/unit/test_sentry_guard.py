"""How many issues an app may make in an hour."""

from __future__ import annotations

import logging

import pytest

from shipper.model import App
from shipper.sinks.sentry.guard import Guard

APP, OTHER = App("acme-corp", "checkout"), App("acme-corp", "billing")
ONE, TWO = ("one",), ("two",)


def admitted(guard: Guard, count: int, *, app: App = APP, hour: int = 1, issue: tuple[str, ...] = ONE) -> int:
    return sum(guard.admits(app, hour, issue, f"{app} {hour} {issue} {n}") for n in range(count))


def test_a_crash_loop_takes_half_of_an_apps_hour_and_leaves_the_rest_to_other_failures() -> None:
    guard = Guard("errors", 10)
    assert admitted(guard, 100) == 5
    assert admitted(guard, 100, issue=TWO) == 5
    assert admitted(guard, 100, issue=("three",)) == 0


def test_apps_and_hours_have_their_own_shares() -> None:
    guard = Guard("errors", 10)
    assert admitted(guard, 100) == admitted(guard, 100, app=OTHER) == admitted(guard, 100, hour=2) == 5


def test_what_was_admitted_stays_admitted_and_what_was_not_stays_out() -> None:
    guard = Guard("errors", 10)
    first = [guard.admits(APP, 1, ONE, str(n)) for n in range(20)]
    assert [guard.admits(APP, 1, ONE, str(n)) for n in range(20)] == first


def test_one_issue_an_hour_is_one() -> None:
    guard = Guard("errors", 1)
    assert admitted(guard, 5) == 1
    assert admitted(guard, 5, issue=TWO) == 0


def test_a_share_that_is_used_up_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard("errors", 2)
    with caplog.at_level(logging.WARNING, "shipper.sinks"):
        admitted(guard, 100)
    assert len(caplog.records) == 1
    assert caplog.records[0].app == "acme-corp/checkout"  # type: ignore[attr-defined]


def test_memory_is_bounded_whatever_comes() -> None:
    guard = Guard("errors", 3)
    for number in range(5000):
        assert guard.admits(APP, number, ONE, str(number))
    for number in range(20_000):
        guard.delivered(str(number))
    assert len(guard._shares) <= 1024
    assert len(guard._delivered) <= 10_000
    assert guard.has_delivered("19999")
    assert not guard.has_delivered("0")
