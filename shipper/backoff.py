"""Full-jitter exponential backoff as a value: how long to wait before the next attempt.

Full jitter (a uniform draw between zero and the exponential bound) spreads reconnects of many subscriptions best:
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

FIRST_S: Final = 0.1  # a blip costs a tenth of a second
LONGEST_S: Final = 30.0  # an outage costs two attempts a minute
HEALTHY_S: Final = 60.0  # what lasted a minute was healthy: the next failure starts anew


@dataclass(slots=True)
class Backoff:
    """Counts failures in a row and draws waits in seconds. `rng` is injected so that tests and seeds repeat."""

    rng: random.Random = field(default_factory=random.Random)
    first_s: float = FIRST_S
    longest_s: float = LONGEST_S
    failures: int = 0

    def next_wait(self, healthy_for_s: float = 0.0) -> float:
        """The wait before the next attempt, in seconds, after an attempt that was healthy for `healthy_for_s`."""
        if healthy_for_s >= HEALTHY_S:
            self.failures = 0
        bound = min(self.longest_s, self.first_s * 2 ** min(self.failures, 30))
        self.failures += 1
        return self.rng.uniform(0.0, bound)

    def reset(self) -> None:
        """Forget the failures."""
        self.failures = 0
