"""What the status remembers while nobody looks: counts of the last day, the latest gaps, when it all began."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from shipper.model import Gap
from shipper.telemetry.recent import Counts

if TYPE_CHECKING:
    from shipper.daemon.rates import Rates
    from shipper.telemetry.facts import ReloadFacts

KEPT_GAPS: Final = 100


def _now_ms() -> int:
    return int(time.time() * 1000)


@dataclass(slots=True)
class Sight:
    """Kept from the start of the daemon to its end, whatever is reloaded.

    `config_since_ms` is when the configuration in force came into force, `reload` the last attempt to replace it.
    """

    counts: Counts = field(default_factory=Counts)
    gaps: deque[Gap] = field(default_factory=lambda: deque(maxlen=KEPT_GAPS))
    started_ms: int = field(default_factory=_now_ms)
    config_file: str = ""
    config_since_ms: int = field(default_factory=_now_ms)
    reload: ReloadFacts | None = None
    rates: Rates | None = None  # made by the first look

    def reloaded(self, at_s: float, problem: str) -> None:
        """A reload was attempted; `problem` says why it was refused."""
        from shipper.telemetry.facts import ReloadFacts  # where nothing is reloaded, it is not loaded

        at_ms = int(at_s * 1000)
        self.reload = ReloadFacts(at_ms, problem)
        if not problem:
            self.config_since_ms = at_ms
