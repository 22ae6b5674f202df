"""How a sink does, for people: one value that a worker makes when it is asked."""

from __future__ import annotations

import math
from dataclasses import dataclass

from shipper.deliver.breaker import Breaker, State


@dataclass(frozen=True, slots=True)
class LastWords:
    """What a sink said last: why it took something not, and when it took something (Unix ms)."""

    error: str = ""
    error_ms: float | None = None
    delivered_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What the worker is at. `stuck` counts batches that fail while others pass."""

    in_flight: int
    concurrency: int
    stuck: int
    max_age_s: float


@dataclass(frozen=True, slots=True)
class Health:
    """`for_s` is how long the state lasts (None: since the start), `again_s` when the next attempt may begin (None: at
    once).
    """

    state: State
    for_s: float | None
    again_s: float | None
    work: Work
    words: LastWords


def health(breaker: Breaker, now: float, work: Work, words: LastWords) -> Health:
    """At `now` of the event loop's clock."""
    for_s = now - breaker.since if math.isfinite(breaker.since) else None
    again_s = max(0.0, breaker.gate - now) if math.isfinite(breaker.gate) else None
    return Health(breaker.state, for_s, again_s, work, words)
