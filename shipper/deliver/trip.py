"""One attempt to bring a batch's records to their sink: what it has come to so far."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from shipper.deliver.courier import Doubtful, Interrupted, Load
from shipper.deliver.doubt import Trial
from shipper.deliver.parcels import Parcels
from shipper.entry import Entry
from shipper.model import DeadLetter
from shipper.sinks.port import Delivered, Parcel, Parked, Rejected, Retry
from shipper.transform.port import Pass

End = Delivered | Retry | Rejected | Parked | Doubtful | Interrupted


@dataclass(slots=True)
class Packing:
    """Entries that are being packed; `base` is the first one's place in the batch."""

    base: int
    entries: list[Entry]
    parcels: Iterator[Parcel]


@dataclass(slots=True, eq=False)
class Trip:
    """The state of an attempt. `saved` is the progress that is written down, `singles` the records that were refused
    by themselves since the sink's acceptance number `acceptances`. `broken`: shipper is at fault; start anew.
    """

    load: Load
    began: float
    parcels: Parcels
    trial: Trial
    step: Pass
    slices: Iterator[bytes]
    fed: int = 0
    packing: Packing | None = None
    all_fed: bool = False
    end: End | None = None
    decided: float = 0.0
    moved: bool = False
    singles: int = 0
    acceptances: int = 0
    broken: bool = False
    saved: int = 0
    saved_at: float = 0.0
    letters: list[DeadLetter] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def complete(self) -> bool:
        """Whether every entry of the batch was packed."""
        return self.all_fed and self.packing is None

    def ends(self, end: End, began: float) -> None:
        """Something was answered that ends the attempt. The worst of several counts, and the longest wish."""
        if self.end is None or _rank(end) > _rank(self.end):
            self.end, self.decided = end, began
        self.changed.set()


def _rank(end: End) -> tuple[int, float]:
    match end:
        case Rejected() | Parked():
            return 3, 0.0
        case Retry(_, after_s):
            return 2, after_s or 0.0
        case Doubtful():
            return 1, 0.0
        case _:
            return 0, 0.0
