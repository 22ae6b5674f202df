"""Full-jitter exponential backoff as a value: how long to wait before the next attempt.

Full jitter (a uniform draw between zero and the exponential ceiling) spreads reconnects of many clients best:
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

Draw = Callable[[], float]
"""A source of uniform numbers in [0, 1)."""


@dataclass(frozen=True, slots=True)
class FullJitter:
    """Ceilings double from `first_s` to `cap_s`. What lasted `healthy_s` was healthy: the next failure starts anew.

    The defaults: a blip costs a tenth of a second, an outage two attempts a minute.
    """

    first_s: float = 0.1
    cap_s: float = 30.0
    healthy_s: float = 60.0

    def ceiling_s(self, failures: int) -> float:
        """The longest wait after that many failures in a row (1 is the first)."""
        doublings = min(max(failures - 1, 0), 64)
        return min(self.cap_s, self.first_s * 2.0**doublings)

    def wait_s(self, failures: int, draw: Draw) -> float:
        """The wait before the next attempt."""
        return draw() * self.ceiling_s(failures)


@dataclass(slots=True)
class Backoff:
    """Counts failures in a row and draws waits in seconds. `rng` is injected so that tests and seeds repeat."""

    rng: random.Random = field(default_factory=random.Random)
    jitter: FullJitter = field(default_factory=FullJitter)
    failures: int = 0

    def next_wait(self, healthy_for_s: float = 0.0) -> float:
        """The wait before the next attempt, in seconds, after an attempt that was healthy for `healthy_for_s`."""
        if healthy_for_s >= self.jitter.healthy_s:
            self.failures = 0
        self.failures += 1
        return self.jitter.wait_s(self.failures, self.rng.random)

    def reset(self) -> None:
        """Forget the failures."""
        self.failures = 0
