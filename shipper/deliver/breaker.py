"""What is known about a sink's health, and when it may be tried: healthy, failing or parked.

    healthy ──an attempt fails──▶ failing ──an attempt that began since is delivered──▶ healthy
       └──────the sink parks────▶ parked  ──────────────────────────────────────────────┘

Several attempts may be in flight when a sink goes down. What they say about it later is old news: only an attempt that
began after the last change counts, so that five failures in flight are one failure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum

from shipper.deliver.retry import Backoff, Draw, wish_s


class State(StrEnum):
    """The values are the label values of the series `sink_state`."""

    HEALTHY = "healthy"
    FAILING = "failing"
    PARKED = "parked"


class News(Enum):
    """What is worth telling people."""

    FAILS = "fails"
    PARKED = "parked"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Pace:
    """How attempts are paced. `tell_again_after` failures in a row are told even shortly after a recovery."""

    backoff: Backoff = field(default_factory=Backoff)
    parked_s: float = 60.0
    tell_again_after: int = 3


@dataclass(frozen=True, slots=True)
class Breaker:
    """A sink's health. Times are the event loop's seconds.

    `since`: when the state's episode began (failing and parked are one episode). `gate`: no attempt before this time.
    `failures`: the exponent of the backoff, kept over short recoveries. `attempts`: failed attempts in the episode.
    """

    pace: Pace = field(default_factory=Pace)
    state: State = State.HEALTHY
    since: float = -math.inf
    changed_at: float = -math.inf
    delivered_at: float = -math.inf
    gate: float = -math.inf
    failures: int = 0
    attempts: int = 0
    told: frozenset[News] = frozenset()

    @property
    def healthy(self) -> bool:
        return self.state is State.HEALTHY

    def failed(self, started: float, now: float, draw: Draw, after_s: float | None = None) -> Breaker:
        """After a Retry of an attempt that began at `started`."""
        if started < self.changed_at:
            gate = max(self.gate, now + wish_s(after_s)) if after_s is not None else self.gate
            return self if self.healthy else replace(self, attempts=self.attempts + 1, gate=gate)
        backoff = self.pace.backoff
        failures = (0 if self._long_healthy(now) else self.failures) + 1
        return replace(
            self,
            state=State.FAILING,
            since=now if self.healthy else self.since,
            changed_at=now,
            gate=now + backoff.delay_s(failures, draw, after_s),
            failures=failures,
            attempts=self.attempts + 1,
            told=self.told if self.told or not self._worth_telling(now) else frozenset({News.FAILS}),
        )

    def parked(self, started: float, now: float) -> Breaker:
        """After a Parked of an attempt that began at `started`."""
        if started < self.changed_at and self.state is not State.FAILING:
            return self if self.healthy else replace(self, attempts=self.attempts + 1)
        return replace(
            self,
            state=State.PARKED,
            since=now if self.healthy else self.since,
            changed_at=now,
            gate=now + self.pace.parked_s,
            attempts=self.attempts + 1,
            told=self.told | {News.PARKED},
        )

    def delivered(self, started: float, now: float) -> Breaker:
        """After a Delivered of an attempt that began at `started`."""
        if self.healthy or started < self.changed_at:
            return replace(self, delivered_at=now)
        return replace(
            self,
            state=State.HEALTHY,
            since=now,
            changed_at=now,
            delivered_at=now,
            gate=-math.inf,
            attempts=0,
            told=frozenset(),
        )

    def at_once(self) -> Breaker:
        """The same, but the next attempt may begin now."""
        return replace(self, gate=-math.inf)

    def _long_healthy(self, now: float) -> bool:
        return self.healthy and now - self.since >= self.pace.backoff.healthy_s

    def _worth_telling(self, now: float) -> bool:
        """The first failure after a healthy minute, further ones only if they go on: a lone 503 is no news."""
        return self._long_healthy(now) or self.attempts + 1 >= self.pace.tell_again_after


def news(before: Breaker, after: Breaker) -> News | None:
    """What is to be told about the step from one to the other."""
    if after.healthy:
        return News.RECOVERED if before.told and not before.healthy else None
    fresh = after.told - before.told
    return News.PARKED if News.PARKED in fresh else News.FAILS if fresh else None
