"""What delivery needs from the buffer: two narrow ports that `shipper.buffer` implements."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

from shipper.model import Batch, Carried, DeadLetter, Partition


class OpenPartition(Protocol):
    """The frames of one partition that are committed and not yet sealed for a sink. `size` is compressed bytes."""

    @property
    def partition(self) -> Partition: ...
    @property
    def records(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def oldest_committed_ms(self) -> int: ...


class Stats(Protocol):
    """What the buffer holds for each sink. A sink without frames may be absent."""

    @property
    def backlog_records(self) -> Mapping[str, int]: ...
    @property
    def oldest_committed_ms(self) -> Mapping[str, int]: ...


class Supply(Protocol):
    """Where batches come from. Every coroutine may raise BufferError, and then nothing has changed."""

    def subscribe(self, sink: str) -> asyncio.Event:
        """The event that is set by every commit that brought frames for the sink; the subscriber clears it."""

    def stats(self) -> Stats:
        """From memory, at once."""

    async def open_partitions(self, sink: str) -> Sequence[OpenPartition]:
        """Every partition that has unsealed frames for the sink."""

    async def sealed(self, sink: str) -> Sequence[Batch]:
        """The batches that are sealed and not settled, in the order of sealing."""

    async def seal(self, sink: str, partition: Partition, *, max_size: int) -> Batch | None:
        """Make a batch of the oldest frames up to `max_size` (at least one frame), durable on return.

        None if the partition has none. Cancelled, it may or may not have happened; `sealed` tells.
        """


class Settlement(Protocol):
    """What becomes of batches. Every coroutine may raise BufferError, and then nothing has changed."""

    async def read(self, batch: Batch) -> Sequence[bytes] | None:
        """The batch's frames in order.

        None if they are not, or no longer, what was sealed (damaged, or given up for want of room): then `sealed` and
        `open_partitions` have to be asked again.
        """

    async def acknowledge(self, batch: Batch, carried: Carried | None = None) -> None:
        """The sink has the batch; durable on return. Idempotent.

        `carried` replaces, in the same commit, what the sink's pipeline holds of the batch's partition (an empty
        `state` forgets it); None leaves that alone.
        """

    async def reject(self, batch: Batch, reason: str) -> None:
        """The sink will never have the batch: it is forgotten, the gap recorded in the same commit, the loss counted.

        Idempotent.
        """


class Ledger(Protocol):
    """What delivery of records writes down beside batches. Every coroutine may raise BufferError, and then nothing has
    changed.
    """

    async def progressed(self, batch: Batch, done: int, plan: str) -> None:
        """The first `done` entries that `plan` makes of the batch are delivered; durable on return."""

    async def carried(self, sink: str) -> Sequence[Carried]:
        """What the sink's pipeline holds, for each partition where it holds something."""

    async def carry(self, sink: str, carried: Carried) -> None:
        """Replace what the pipeline holds of a partition; an empty `state` forgets it."""

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep refused records as dead letters. Where there is no room for more, the oldest of all are forgotten,
        counted and recorded as gaps in the same commit.
        """


class Outbox(Supply, Settlement, Ledger, Protocol):
    """The buffer as delivery sees it."""
