"""How long Sentry is left alone."""

from __future__ import annotations

import pytest

from shipper.sinks.sentry.envelope import ERROR_CATEGORIES, LOG_CATEGORIES
from shipper.sinks.sentry.limits import ALL, HEADER, Limit, RateLimits, parse

NOW = 1000.0
LATE = pytest.approx


@pytest.mark.parametrize(
    ("header", "limits"),
    [
        ("60:error:organization", [Limit(60.0, ("error",))]),
        ("2700:default;error;security:organization", [Limit(2700.0, ("default", "error", "security"))]),
        (
            "2.5:log_item:key:quota, 60:transaction:key",
            [Limit(2.5, ("log_item",)), Limit(60, ("transaction",))],
        ),
        ("60::organization, 2700::organization", [Limit(60, (ALL,)), Limit(2700, (ALL,))]),
        ("60", []),
        ("60:", [Limit(60, (ALL,))]),
        (
            " 60 : error ; default : key ,  , 5:log_byte:key",
            [Limit(60, ("error", "default")), Limit(5, ("log_byte",))],
        ),
        ("2700:metric_bucket:organization:quota_exceeded:custom", [Limit(2700, ("metric_bucket",))]),
        ("soon:error:key, -1:error:key, nan:error:key, inf:error:key, 7:error:key", [Limit(7, ("error",))]),
        ("86400:transaction;span:organization", [Limit(86400, ("transaction", "span"))]),
        ("1e12:error:key", [Limit(40 * 86400, ("error",))]),
        ("", []),
        (",,,", []),
    ],
)
def test_the_header_is_read_as_the_contract_has_it(header: str, limits: list[Limit]) -> None:
    assert parse(header) == limits


@pytest.mark.parametrize(
    ("status", "headers", "errors_s", "logs_s"),
    [
        (200, {}, 0, 0),
        (200, {HEADER: "5.5:log_item:key"}, 0, 5.5),
        (200, {HEADER.lower(): "5:log_byte:key"}, 0, 5),
        (200, {HEADER: "5:error:key"}, 5, 0),
        (200, {HEADER: "5:default:key"}, 5, 0),
        (200, {HEADER: "5::key"}, 5, 5),
        (200, {HEADER: "86400:transaction;span:organization"}, 0, 0),
        (200, {"Retry-After": "30"}, 0, 0),
        (429, {}, 60, 60),
        (429, {"Retry-After": "30"}, 30, 30),
        (429, {"Retry-After": "30", HEADER: "7:log_item:key"}, 0, 7),
        (429, {HEADER: "7:log_item:key, 9:log_byte:key, 8:log_item:key"}, 0, 9),
    ],
)
def test_each_category_waits_for_its_own_longest_limit(
    status: int, headers: dict[str, str], errors_s: float, logs_s: float
) -> None:
    limits = RateLimits()
    limits.learn(status, headers, LOG_CATEGORIES, NOW)
    assert limits.wait_s(ERROR_CATEGORIES, NOW) == LATE(errors_s)
    assert limits.wait_s(LOG_CATEGORIES, NOW) == LATE(logs_s)


def test_a_429_whose_header_is_about_something_else_still_holds_what_was_refused() -> None:
    limits = RateLimits()
    limits.learn(429, {HEADER: "86400:transaction:organization"}, ERROR_CATEGORIES, NOW)
    assert limits.wait_s(ERROR_CATEGORIES, NOW) == 60
    assert limits.wait_s(LOG_CATEGORIES, NOW) == 0


def test_a_shorter_limit_that_comes_later_does_not_shorten_a_longer_one() -> None:
    limits = RateLimits()
    limits.learn(429, {HEADER: "100:error:key"}, ERROR_CATEGORIES, NOW)
    limits.learn(429, {HEADER: "5:error:key"}, ERROR_CATEGORIES, NOW + 10)
    assert limits.wait_s(ERROR_CATEGORIES, NOW + 10) == 90


def test_a_limit_ends_by_itself() -> None:
    limits = RateLimits()
    limits.learn(429, {HEADER: "100:error:key"}, ERROR_CATEGORIES, NOW)
    assert limits.wait_s(ERROR_CATEGORIES, NOW + 100) == 0
