"""One sink's view of the buffer: which batches are sealed, which partitions are open, and when each is due.

The view is a copy that is refreshed now and then. It may be a second old: what it does not know yet cannot be due.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count

from shipper.deliver.port import OpenPartition
from shipper.model import Batch, Partition


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """When a partition's frames become a batch: the oldest is `max_age_s` seconds old, or they are `max_size` bytes."""

    max_age_s: float
    max_size: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """An open partition: when it is due by age, and when it is due. Both are the event loop's seconds."""

    records: int
    size: int
    oldest_committed_ms: int
    aged_at: float
    due_at: float


@dataclass(slots=True, eq=False)
class Sealed:
    """A sealed batch and what its attempts came to.

    `stuck` counts the failures that were its own and not the sink's; after one it waits until `not_before`. `given_up`:
    it is not tried again in this run.
    """

    batch: Batch
    failures: int = 0
    stuck: int = 0
    failed_at: float = -math.inf
    not_before: float = -math.inf
    in_flight: bool = False
    given_up: bool = False


class Backlog:
    """Batches leave a partition in the order of sealing, one at a time; partitions do not wait for one another."""

    def __init__(self, policy: BatchPolicy) -> None:
        self._policy = policy
        self._lanes: dict[Partition, deque[Sealed]] = {}
        self._open: dict[Partition, Waiting] = {}
        self._heap: list[tuple[float, int, Partition]] = []  # by due_at; what no longer holds is skipped
        self._order = count()  # between equal times: first come, first served

    def load_sealed(self, batches: Iterable[Batch]) -> None:
        """Take over what the buffer has sealed, while nothing is in flight. What attempts came to is kept."""
        known = {one.batch.batch_id: one for lane in self._lanes.values() for one in lane}
        self._lanes = {}
        for batch in batches:
            one = known.get(batch.batch_id) or Sealed(batch)
            one.batch = batch
            self._lanes.setdefault(batch.partition, deque()).append(one)
        self._rebuild()

    def load_open(self, partitions: Iterable[OpenPartition], *, now: float, now_ms: float) -> None:
        """Replace what is known of the open partitions."""
        before = self._open
        self._open = {
            one.partition: waiting(
                one, self._policy, now=now, now_ms=now_ms, before=before.get(one.partition)
            )
            for one in partitions
            if one.records > 0
        }
        self._rebuild()

    def everything_is_due(self) -> None:
        """From the next `load_open` on, age and size no longer matter."""
        self._policy = replace(self._policy, max_age_s=0.0)

    def took(self, batch: Batch) -> Sealed:
        """A batch was sealed: its frames are no longer open."""
        sealed = Sealed(batch)
        self._lanes.setdefault(batch.partition, deque()).append(sealed)
        left = self._open.pop(batch.partition, None)
        if left is not None and left.records > batch.records:
            size = max(left.size - batch.size, 0)
            due_at = left.due_at if size >= self._policy.max_size else left.aged_at
            rest = replace(left, records=left.records - batch.records, size=size, due_at=due_at)
            self._open[batch.partition] = rest
        return sealed

    def nothing_to_seal(self, partition: Partition) -> None:
        """The partition turned out to have no frames."""
        self._open.pop(partition, None)

    def settled(self, sealed: Sealed) -> None:
        """The batch is gone: delivered, rejected, or no longer what the buffer has."""
        partition = sealed.batch.partition
        lane = self._lanes[partition]
        lane.remove(sealed)
        if lane:
            return
        del self._lanes[partition]
        if partition in self._open:
            heapq.heappush(self._heap, (self._open[partition].due_at, next(self._order), partition))

    def has(self, partition: Partition) -> bool:
        """Whether anything of the partition waits, as far as is known, or is under way."""
        return partition in self._lanes or partition in self._open

    def candidates(self) -> Iterator[Sealed]:
        """The first batch of each partition that may be sent; partitions in the order of their first sealing."""
        for lane in self._lanes.values():
            if not (lane[0].in_flight or lane[0].given_up):
                yield lane[0]

    def due(self) -> tuple[float, Partition] | None:
        """The open partition that is due first and has no sealed batch under way, with its time."""
        while self._heap:
            due_at, _, partition = self._heap[0]
            known = self._open.get(partition)
            if known is not None and known.due_at == due_at and partition not in self._lanes:
                return due_at, partition
            heapq.heappop(self._heap)
        return None

    @property
    def sealed_count(self) -> int:
        return sum(len(lane) for lane in self._lanes.values())

    def stuck(self, failures: int) -> int:
        """How many batches failed that often by themselves."""
        return sum(one.stuck >= failures for lane in self._lanes.values() for one in lane)

    def _rebuild(self) -> None:
        free = (partition for partition in self._open if partition not in self._lanes)
        self._heap = [(self._open[partition].due_at, next(self._order), partition) for partition in free]
        heapq.heapify(self._heap)


def waiting(
    partition: OpenPartition, policy: BatchPolicy, *, now: float, now_ms: float, before: Waiting | None = None
) -> Waiting:
    """When an open partition is due, seen at `now` on the loop's clock and `now_ms` on the wall's.

    The wall clock may jump: an age is never negative, and what was promised earlier for the same frames is kept.
    """
    age_s = min(max((now_ms - partition.oldest_committed_ms) / 1000, 0.0), policy.max_age_s)
    aged_at = now + policy.max_age_s - age_s
    if before is not None and before.oldest_committed_ms == partition.oldest_committed_ms:
        aged_at = min(aged_at, before.aged_at)
    full = partition.size >= policy.max_size
    due_at = min(aged_at, now) if full else aged_at
    if full and before is not None and before.due_at < due_at:
        due_at = before.due_at
    return Waiting(partition.records, partition.size, partition.oldest_committed_ms, aged_at, due_at)
