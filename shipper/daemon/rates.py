"""How many records a second each subscription brings, seen from one look to the next. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LEAST_S: Final = 2.0  # between two samples: a rate over less jumps about
STALE_S: Final = 120.0  # a rate since a look so long ago is none of now


@dataclass(frozen=True, slots=True)
class Baseline:
    """What had been taken so many seconds ago, by the key of each subscription."""

    counts: Mapping[str, int]
    seconds: float

    def rate(self, key: str, count: int) -> float | None:
        """Records a second since; None for a subscription that was not there."""
        before = self.counts.get(key)
        return None if before is None else max(0.0, (count - before) / self.seconds)


class Rates:
    """Two samples of all counts. Times are of any one clock, in seconds.

    Nothing is kept of a subscription beyond its key and its count, and that only until the next look but one.
    """

    __slots__ = ("_before", "_before_at", "_last", "_last_at")

    def __init__(self) -> None:
        self._before: Mapping[str, int] = {}
        self._last: Mapping[str, int] = {}
        self._before_at = self._last_at = float("-inf")

    def baseline(self, now: float) -> Baseline:
        """The younger sample that is old enough; without one, a baseline that has nothing."""
        recent = now - self._last_at < LEAST_S
        counts, at = (self._before, self._before_at) if recent else (self._last, self._last_at)
        return Baseline(counts, now - at) if now - at < STALE_S else Baseline({}, 1.0)

    def sample(self, counts: Mapping[str, int], now: float) -> None:
        """All counts as they are now."""
        if now - self._last_at >= LEAST_S:
            self._before, self._before_at = self._last, self._last_at
            self._last, self._last_at = counts, now
