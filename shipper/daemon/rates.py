"""How many records a second each subscription brings, seen from one look to the next. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LEAST_S: Final = 2.0  # between two samples: a rate over less jumps about
STALE_S: Final = 120.0  # a rate since a look so long ago is none of now


class Rates:
    """Two samples of all counts: rates are those since the older one. Times are of any one clock, in seconds.

    Nothing is kept of a subscription beyond its key and its count, and that only until the next look but one.
    """

    __slots__ = ("_before", "_before_at", "_last", "_last_at")

    def __init__(self) -> None:
        self._before: Mapping[str, int] = {}
        self._last: Mapping[str, int] = {}
        self._before_at = self._last_at = float("-inf")

    def sample(self, counts: Mapping[str, int], now: float) -> None:
        """All counts as they are now."""
        if now - self._last_at >= LEAST_S:
            self._before, self._before_at = self._last, self._last_at
            self._last, self._last_at = counts, now

    def rate(self, key: str, count: int, now: float) -> float | None:
        """Since the older sample; None where that is too long ago, or did not have the subscription."""
        at = self._before_at if now - self._last_at < LEAST_S else self._last_at
        counts = self._before if now - self._last_at < LEAST_S else self._last
        before = counts.get(key)
        if before is None or not 0 < now - at < STALE_S:
            return None
        return max(0.0, (count - before) / (now - at))
