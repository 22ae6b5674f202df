"""What a worker may take: time, memory, and how often it looks."""

from __future__ import annotations

from dataclasses import dataclass, field

from shipper.deliver.breaker import Pace


@dataclass(frozen=True, slots=True)
class Limits:
    """`attempt_s`: the last resort against a request that hangs; every sink has shorter ones of its own.
    `memory`: bytes of frames that a worker holds at once; a larger batch is held alone.
    `refresh_s`: how often at most the view of the buffer is renewed; where that is much work, down to every
    `most_refresh_s`. `stuck_after`: failures of one batch among others that pass, before it is told. `grace_s`: how
    long a sink that ignores cancellation holds up a drain.
    """

    attempt_s: float = 600.0
    memory: int = 64 * 1024 * 1024
    refresh_s: float = 1.0
    most_refresh_s: float = 5.0
    levels_s: float = 5.0
    stuck_after: int = 5
    grace_s: float = 1.0
    pace: Pace = field(default_factory=Pace)
