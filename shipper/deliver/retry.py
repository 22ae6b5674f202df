"""How long to wait before the next attempt: exponential backoff with full jitter.

Full jitter (a uniform draw below the exponential ceiling) spreads many clients best; see
https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

Draw = Callable[[], float]
"""A source of uniform numbers in [0, 1)."""

LONGEST_WISH_S: Final = 3600.0
"""A destination's own wish is honoured up to this: a broken header must not stop delivery for days."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Ceilings double from `first_s` to `cap_s`. After `healthy_s` seconds without a failure it starts again."""

    first_s: float = 0.1
    cap_s: float = 30.0
    healthy_s: float = 60.0

    def ceiling_s(self, failures: int) -> float:
        """The longest wait after that many failures in a row (1 is the first)."""
        doublings = min(max(failures - 1, 0), 64)
        return min(self.cap_s, self.first_s * 2.0**doublings)

    def delay_s(self, failures: int, draw: Draw, after_s: float | None = None) -> float:
        """The wait before the next attempt; never shorter than the destination's own wish `after_s`."""
        return max(draw() * self.ceiling_s(failures), wish_s(after_s))


def wish_s(after_s: float | None) -> float:
    """A destination's wish as a wait that can be kept."""
    if after_s is None or math.isnan(after_s):
        return 0.0
    return min(max(after_s, 0.0), LONGEST_WISH_S)
