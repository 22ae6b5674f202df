"""What a sink's pipeline holds back of each partition, and when it is to be let out.

The open end of a stack trace waits for the lines that may follow. When nothing of its partition waits in the buffer
and `hold_s` has passed, it goes as it is: as a batch without frames, so that everything that is true of batches (their
order, backing off, draining) is true of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from shipper.model import Batch, Carried, Codec, Partition

HELD: Final = 0
"""The id of batches without frames; those of the buffer are positive."""
SILENT_S: Final = 3600.0
"""What a partition's pipeline remembers without holding records (counts of a throttle) is forgotten after so long."""


@dataclass(frozen=True, slots=True)
class _Group:
    carried: Carried
    due_at: float


class Held:
    """One sink's. Times are the event loop's seconds."""

    def __init__(self, sink: str) -> None:
        self._sink = sink
        self._groups: dict[Partition, _Group] = {}  # with records
        self._silent: dict[Partition, _Group] = {}  # without

    def load(self, stored: Iterable[tuple[Carried, float]], *, now: float, now_ms: float) -> None:
        """Take over what the buffer has, each with its `hold_s`. A wall clock that was set back postpones nothing for
        longer than `hold_s`.
        """
        for carried, hold_s in stored:
            age_s = max((now_ms - carried.since_ms) / 1000, 0.0)
            self.put(carried, hold_s - age_s, now=now)

    def put(self, carried: Carried, hold_s: float, *, now: float) -> None:
        """This is what the partition's pipeline holds from now on."""
        partition = carried.partition
        self._groups.pop(partition, None)
        self._silent.pop(partition, None)
        if carried.records > 0:
            self._groups[partition] = _Group(carried, now + hold_s)
        elif carried.state:
            self._silent[partition] = _Group(carried, now + SILENT_S)

    def state(self, partition: Partition) -> bytes:
        """What the partition's next batch begins with; empty if there is nothing."""
        group = self._groups.get(partition) or self._silent.get(partition)
        return group.carried.state if group else b""

    def due(self, busy: Callable[[Partition], bool]) -> tuple[float, Partition] | None:
        """What is to be let out first, and when; `busy` says of which partitions more is to come before."""
        free = ((one.due_at, place, partition) for place, (partition, one) in enumerate(self._groups.items()))
        first = min((one for one in free if not busy(one[2])), default=None)
        return None if first is None else (first[0], first[2])

    def silent(self, now: float, busy: Callable[[Partition], bool]) -> Iterator[Carried]:
        """What may be forgotten: nothing came for long."""
        for partition, one in list(self._silent.items()):
            if one.due_at <= now and not busy(partition):
                yield one.carried

    def batch(self, partition: Partition) -> Batch:
        """The held records as a batch without frames."""
        carried = self._groups[partition].carried
        return Batch(
            batch_id=HELD,
            sink=self._sink,
            partition=partition,
            name="held",
            codec=Codec.NONE,
            records=carried.records,
            size=0,
            first_ms=carried.since_ms,
            last_ms=carried.since_ms,
        )
