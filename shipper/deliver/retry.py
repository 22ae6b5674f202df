"""How long a sink is left alone after a failure: full jitter, and never shorter than the destination's own wish."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from shipper.backoff import Draw, FullJitter

__all__ = ["LONGEST_WISH_S", "Backoff", "Draw", "wish_s"]

LONGEST_WISH_S: Final = 3600.0
"""A destination's own wish is honoured up to this: a broken header must not stop delivery for days."""


@dataclass(frozen=True, slots=True)
class Backoff(FullJitter):
    """Full jitter that honours a wish."""

    def delay_s(self, failures: int, draw: Draw, after_s: float | None = None) -> float:
        """The wait before the next attempt; never shorter than the destination's own wish `after_s`."""
        return max(self.wait_s(failures, draw), wish_s(after_s))


def wish_s(after_s: float | None) -> float:
    """A destination's wish as a wait that can be kept."""
    if after_s is None or math.isnan(after_s):
        return 0.0
    return min(max(after_s, 0.0), LONGEST_WISH_S)
