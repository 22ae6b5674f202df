"""What a job in the buffer's thread has to tell the event loop when its transaction is through."""

from __future__ import annotations

from dataclasses import dataclass, field

from shipper.model import Gap


@dataclass(slots=True)
class Notes:
    """Counts for the meter, losses, sinks that got something to do, and whether room was sought in vain or made.

    Told whether the job's caller still waits or not.
    """

    counts: list[tuple[str, int, tuple[str, ...]]] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    arrivals: set[str] = field(default_factory=set)
    full: bool = False
    freed: bool = False

    def count(self, series: str, by: int, *labels: str) -> None:
        """Add to a counter."""
        self.counts.append((series, by, labels))
