"""What every part of one collector shares: ports, clocks and limits, passed once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from shipper.backoff import Backoff
from shipper.collect.habits import Habits
from shipper.collect.intake import Intake
from shipper.collect.states import States
from shipper.ignite.port import Platform
from shipper.ignite.status import Action, Status
from shipper.meter import Meter

PARKED_S: Final = 60.0  # how often something refused is tried again: a person mends it in minutes at best
AT_MOST_S: Final = 300.0  # a server's wish to wait longer is one it cannot mean


@dataclass(frozen=True, slots=True)
class Context:
    """Ports and clocks. `clock` is wall time in seconds; durations come from the loop's clock."""

    platform: Platform
    intake: Intake
    meter: Meter
    states: States
    clock: Callable[[], float] = time.time
    rng: random.Random = field(default_factory=random.Random)
    parked_s: float = PARKED_S
    habits: Habits = field(default_factory=Habits)

    def now_ms(self) -> int:
        return int(self.clock() * 1000)

    def backoff(self) -> Backoff:
        return Backoff(self.rng)

    def wait_for(self, status: Status, backoff: Backoff, healthy_for_s: float = 0.0) -> float:
        """Seconds until the next attempt after `status`: the table of `ignite.status` as times."""
        wait = backoff.next_wait(healthy_for_s)
        if status.action in (Action.PARK, Action.STOP):
            return self.rng.uniform(0.75, 1.25) * self.parked_s
        if status.retry_after_s is not None:
            return min(AT_MOST_S, max(status.retry_after_s, min(wait, 1.0)))
        return wait
