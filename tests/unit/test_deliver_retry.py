"""The backoff is a pure function: exponential ceilings, full jitter, the destination's wish."""

from __future__ import annotations

import math

import pytest

from shipper.deliver.retry import LONGEST_WISH_S, Backoff


def test_ceilings_double_from_100_ms_to_30_s() -> None:
    backoff = Backoff()
    assert [backoff.ceiling_s(n) for n in (1, 2, 3, 9, 10, 1000)] == [0.1, 0.2, 0.4, 25.6, 30.0, 30.0]


@pytest.mark.parametrize("failures", [-1, 0, 1, 10**9])
def test_any_number_of_failures_gives_a_wait_within_the_ceiling(failures: int) -> None:
    backoff = Backoff()
    assert 0 <= backoff.delay_s(failures, lambda: 0.999) <= 30.0


def test_the_wait_is_a_uniform_draw_below_the_ceiling() -> None:
    backoff = Backoff()
    assert [backoff.delay_s(4, lambda d=draw: d) for draw in (0.0, 0.5, 0.75)] == [
        0.0,
        0.4,
        pytest.approx(0.6),
    ]


def test_the_destinations_wish_is_never_undercut() -> None:
    assert Backoff().delay_s(1, lambda: 0.5, 17.0) == 17.0


@pytest.mark.parametrize(
    ("wish", "kept"), [(math.nan, 0.0), (-5.0, 0.0), (math.inf, LONGEST_WISH_S), (1e12, LONGEST_WISH_S)]
)
def test_an_absurd_wish_becomes_a_wait_that_can_be_kept(wish: float, kept: float) -> None:
    assert Backoff().delay_s(1, lambda: 0.0, wish) == kept
