"""What every part of one collector shares: ports, clocks and limits, passed once; and what last went wrong."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from shipper.backoff import Backoff
from shipper.collect.habits import Habits
from shipper.collect.intake import Intake
from shipper.collect.offers import Offers
from shipper.collect.states import States
from shipper.ignite.port import Builds, Platform
from shipper.ignite.status import OK, Action, Code, Status
from shipper.meter import Meter

PARKED_S: Final = 60.0  # how often something refused is tried again: a person mends it in minutes at best
AT_MOST_S: Final = 300.0  # a server's wish to wait longer is one it cannot mean


@dataclass(slots=True)
class Trouble:
    """The last answer of the platform that was a failure, and when it came (Unix ms)."""

    status: Status = OK
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Context:
    """Ports and clocks. `clock` is wall time in seconds; durations come from the loop's clock. Without the port
    `builds` nothing of builds is collected.
    """

    platform: Platform
    intake: Intake
    meter: Meter
    states: States
    clock: Callable[[], float] = time.time
    rng: random.Random = field(default_factory=random.Random)
    parked_s: float = PARKED_S
    habits: Habits = field(default_factory=Habits)
    trouble: Trouble = field(default_factory=Trouble)
    builds: Builds | None = None
    offers: Offers = field(default_factory=Offers)

    def now_ms(self) -> int:
        return int(self.clock() * 1000)

    def backoff(self) -> Backoff:
        return Backoff(self.rng)

    def wait_for(self, status: Status, backoff: Backoff, healthy_for_s: float = 0.0) -> float:
        """Seconds until the next attempt after `status`: the table of `ignite.status` as times."""
        if status.code is not Code.OK:
            self.trouble.status, self.trouble.at_ms = status, self.now_ms()
        wait = backoff.next_wait(healthy_for_s)
        if status.action in (Action.PARK, Action.STOP):
            return self.rng.uniform(0.75, 1.25) * self.parked_s
        if status.retry_after_s is not None:
            return min(AT_MOST_S, max(status.retry_after_s, min(wait, 1.0)))
        return wait
