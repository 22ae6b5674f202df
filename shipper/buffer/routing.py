"""Routing: which sinks a partition's records are for, decided when they are committed."""

from __future__ import annotations

from typing import Final

from shipper.buffer.slots import Slots
from shipper.buffer.values import Route
from shipper.model import Kind, Partition, Unrouted

_REMEMBERED: Final = 20_000  # partitions; an hour of some thousand apps


class Router:
    """Asks once for each partition. Frames that are stored keep the answer that they were committed with.

    Names that are no sinks of the buffer count for nothing, and so do sinks that are retired or do not take the kind.
    """

    def __init__(self, slots: Slots, route: Route | None) -> None:
        self._slots = slots
        self._route = route
        self._takers = {kind: slots.takers(kind) for kind in Kind}
        self._known: dict[Partition, int] = {}
        self._unrouted: dict[Partition, Unrouted] = {}

    @property
    def all_bits(self) -> int:
        """The bits of every sink that takes something."""
        return self._slots.everyone

    def bits_of_gaps(self, partition: Partition, losers: int) -> int:
        """Who gets the record of a loss: of the sinks that lost something, those that the partition is for.

        Where all of them are retired, the others are told: a record of it must be somewhere.
        """
        bits = self.bits(partition)
        return bits if losers and not losers & self.all_bits else bits & losers

    def bits(self, partition: Partition) -> int:
        """The bits of the sinks that get the partition's records; 0 if no sink does."""
        if self._route is None:
            return self._takers[partition.kind]
        bits = self._known.get(partition)
        if bits is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
                self._unrouted.clear()
            bits = self._known[partition] = self._ask(partition, self._route)
        return bits

    def why_none(self, partition: Partition) -> Unrouted:
        """Why no sink gets the partition's records, where `bits` are 0."""
        return self._unrouted.get(partition, Unrouted.NO_ROUTE)

    def _ask(self, partition: Partition, route: Route) -> int:
        answer = route(partition)
        if isinstance(answer, Unrouted):
            self._unrouted[partition] = answer
            return 0
        return self._takers[partition.kind] & self._slots.bits(answer)
