"""How often something happened lately: the counts of a counter's label sets by the minute, for the last day.

A scraper keeps history; whoever has none, the status page among them, asks here.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Final

Labels = tuple[str, ...]

MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0
_MINUTES: Final = 1440
_MOST: Final = 200  # label sets with a history of their own: 12 KB each
_BEYOND: Final = "_other"


class Recent:
    """Counts of one counter. Thread-safe. Nothing is kept of a label set that was never counted."""

    __slots__ = ("_began", "_clock", "_counts", "_lock", "_minute", "_totals")

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._minute = int(self._began // MINUTE_S)
        self._counts: dict[Labels, array[float]] = {}
        self._totals: dict[Labels, float] = {}
        self._lock = Lock()

    def __call__(self, by: float, labels: Labels) -> None:
        """It was counted."""
        if not by > 0:
            return
        with self._lock:
            self._go_on()
            counts = self._counts.get(labels)
            if counts is None:
                labels, counts = self._added(labels)
            counts[self._minute % _MINUTES] += by
            self._totals[labels] += by

    def totals(self) -> dict[Labels, float]:
        """Since the start."""
        with self._lock:
            return dict(self._totals)

    def within(self, seconds: float) -> dict[Labels, float]:
        """In the last so many seconds, up to a minute more: whole minutes and the one that has begun."""
        minutes = min(int(seconds // MINUTE_S) + 1, _MINUTES)
        with self._lock:
            self._go_on()
            last = [(self._minute - back) % _MINUTES for back in range(minutes)]
            sums = ((labels, sum(counts[one] for one in last)) for labels, counts in self._counts.items())
            return {labels: count for labels, count in sums if count}

    def per_second(self) -> float:
        """How often it was counted a second, over the last minute or two."""
        now = self._clock()
        seconds = min(now - self._began, MINUTE_S + now % MINUTE_S)
        return sum(self.within(MINUTE_S).values()) / max(seconds, 1.0)

    def _added(self, labels: Labels) -> tuple[Labels, array[float]]:
        if len(self._counts) >= _MOST:
            labels = (_BEYOND,) * len(labels)
        counts = self._counts.setdefault(labels, array("d", bytes(8 * _MINUTES)))
        self._totals.setdefault(labels, 0.0)
        return labels, counts

    def _go_on(self) -> None:
        """Clear the minutes that have passed since the last call."""
        now = int(self._clock() // MINUTE_S)
        for minute in self._passed(now):
            for counts in self._counts.values():
                counts[minute] = 0.0
        self._minute = max(now, self._minute)

    def _passed(self, now: int) -> Iterator[int]:
        first = max(self._minute + 1, now - _MINUTES + 1)
        return (minute % _MINUTES for minute in range(first, now + 1))


@dataclass(frozen=True, slots=True)
class Counts:
    """What the status shows of lately, by the labels of each counter: gaps by reason, drops by sink and reason, ends of
    streams by kind and reason, received records by kind.
    """

    gaps: Recent = field(default_factory=Recent)
    drops: Recent = field(default_factory=Recent)
    reconnects: Recent = field(default_factory=Recent)
    received: Recent = field(default_factory=Recent)

    def heard(self) -> Mapping[str, Recent]:
        """Who is to be told of the counts of which series."""
        return {
            "gaps_total": self.gaps,
            "records_dropped_total": self.drops,
            "reconnects_total": self.reconnects,
            "records_received_total": self.received,
        }
