"""What is known of batches whose attempt failed: which parcels beyond the settled beginning were accepted.

It spares a destination that says no now and then most of what would arrive twice. It is in memory alone and bounded in
records and in time, as a parcel is made for the moment: what is kept for longer is packed anew.
"""

from __future__ import annotations

from typing import Final

from shipper.deliver.parcels import Parcels

KEPT_S: Final = 300.0
KEPT_ENTRIES: Final = 8192


class Leftovers:
    """By batch. The oldest are given up first; then all that was not settled is sent again."""

    def __init__(self) -> None:
        self._kept: dict[int, Parcels] = {}

    def keep(self, batch_id: int, parcels: Parcels) -> None:
        """Remember until the next attempt."""
        self._kept[batch_id] = parcels
        while sum(kept.weight for kept in self._kept.values()) > KEPT_ENTRIES:
            del self._kept[next(iter(self._kept))]

    def take(self, batch_id: int, now: float) -> Parcels | None:
        """What was kept of the batch, if it still counts."""
        parcels = self._kept.pop(batch_id, None)
        return parcels if parcels is not None and now - parcels.since <= KEPT_S else None
