"""What the buffer knows of its frames without asking the disk: a mirror of the tables in sums, one row a
partition and sink.

Written by the buffer's thread after each transaction, read by the event loop: `stats` takes the lock that
writing takes. Its size is bounded by the partitions that have undelivered frames, not by the frames.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace

from shipper.buffer.slots import Slot, Slots
from shipper.buffer.values import BufferStats, LetterTotals, OpenPartition
from shipper.model import Batch, Codec, Partition


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A frame as it is stored, without its bytes. `sinks` are the bits of the slots it was routed to."""

    id: int
    partition_id: int
    codec: Codec
    records: int
    first_ms: int
    last_ms: int
    size: int
    crc: int
    sinks: int
    committed_ms: int


@dataclass(frozen=True, slots=True)
class Open:
    """The unsealed frames of one partition for one sink."""

    codec: Codec
    frames: int
    records: int
    size: int
    committed_ms: int

    def plus(self, row: FrameRow) -> Open:
        """With one frame more, which is younger than the others."""
        return replace(
            self, frames=self.frames + 1, records=self.records + row.records, size=self.size + row.size
        )


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed batch and the range of frames that are its members."""

    batch: Batch
    slot: int
    partition_id: int
    frames: int
    first_frame: int
    last_frame: int
    committed_ms: int

    def holds(self, frame_id: int) -> bool:
        """Whether a frame of the batch's partition is one of its members."""
        return self.first_frame <= frame_id <= self.last_frame


def opened(row: FrameRow) -> Open:
    """The first unsealed frame of a partition."""
    return Open(row.codec, 1, row.records, row.size, row.committed_ms)


class Index:
    """See the module. Methods that change it are called after the transaction that they mirror has ended well."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self._lock = threading.Lock()
        self._partitions: dict[int, Partition] = {}
        self._ids: dict[Partition, int] = {}
        self._live: dict[int, int] = {}  # frames by partition
        self._frames = 0
        self._open: dict[int, dict[int, Open]] = {slot.number: {} for slot in slots}
        self._sealed: dict[int, dict[int, Sealed]] = {slot.number: {} for slot in slots}
        self._batches: dict[int, dict[int, Sealed]] = {}  # the same by partition
        self._through: dict[tuple[int, int], int] = {}
        self._backlog: dict[int, int] = {slot.number: 0 for slot in slots}
        self._held: dict[int, dict[Partition, tuple[int, int]]] = {slot.number: {} for slot in slots}
        self._letters: dict[str, LetterTotals] = {}

    # ---- reading, by the buffer's thread ----

    def id_of(self, partition: Partition) -> int | None:
        """The row of a partition that has frames."""
        return self._ids.get(partition)

    def partition(self, partition_id: int) -> Partition:
        """The partition of a row."""
        return self._partitions[partition_id]

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return self._frames

    def live(self, partition_id: int) -> int:
        """How many frames the partition has."""
        return self._live.get(partition_id, 0)

    def through(self, slot: Slot, partition_id: int) -> int:
        """The last frame of the partition that is sealed for the sink, or not its own."""
        return max(self._through.get((slot.number, partition_id), 0), slot.from_frame - 1)

    def open_of(self, slot: Slot, partition_id: int) -> Open | None:
        """The sums of the partition's unsealed frames."""
        return self._open[slot.number].get(partition_id)

    def sealed(self, slot: Slot) -> list[Sealed]:
        """The sink's batches in the order of sealing."""
        return sorted(self._sealed[slot.number].values(), key=lambda one: one.batch.batch_id)

    def batch(self, slot: Slot, batch_id: int) -> Sealed | None:
        """A batch that is sealed and not settled."""
        return self._sealed[slot.number].get(batch_id)

    def batches_of(self, partition_id: int) -> list[Sealed]:
        """Every sink's batches of the partition."""
        return list(self._batches.get(partition_id, {}).values())

    def all_batches(self) -> list[Sealed]:
        """Every sink's batches, those with the oldest frames first."""
        every = (one for batches in self._batches.values() for one in batches.values())
        return sorted(every, key=lambda one: (one.first_frame, one.slot))

    def needed_by(self, row: FrameRow) -> int:
        """The bits of the sinks that are still to get the frame."""
        bits = 0
        for slot in self.slots:
            if not row.sinks & slot.bit or row.id < slot.from_frame:
                continue
            if row.id > self.through(slot, row.partition_id) or any(
                one.slot == slot.number and one.holds(row.id) for one in self.batches_of(row.partition_id)
            ):
                bits |= slot.bit
        return bits

    # ---- mirroring ----

    def serve(self, slots: Slots) -> None:
        """The sinks are these from now on; what is known of others is forgotten."""
        numbers = {slot.number for slot in slots}
        with self._lock:
            for gone in self._backlog.keys() - numbers:
                del self._open[gone], self._sealed[gone], self._backlog[gone], self._held[gone]
            for new in numbers - self._backlog.keys():
                self._open[new], self._sealed[new], self._backlog[new], self._held[new] = {}, {}, 0, {}
            self._through = {key: last for key, last in self._through.items() if key[0] in numbers}
            for partition_id, batches in list(self._batches.items()):
                kept = {number: one for number, one in batches.items() if one.slot in numbers}
                if kept:
                    self._batches[partition_id] = kept
                else:
                    del self._batches[partition_id]
            self.slots = slots

    def backlog(self, slot: Slot) -> tuple[int, int, int]:
        """What the sink is still to get: frames, their bytes, and records, with those that its pipeline holds."""
        open_, sealed = self._open[slot.number].values(), self._sealed[slot.number].values()
        frames = sum(one.frames for one in open_) + sum(one.frames for one in sealed)
        size = sum(one.size for one in open_) + sum(one.batch.size for one in sealed)
        return frames, size, self._backlog[slot.number]

    def know(self, partitions: dict[int, Partition]) -> None:
        """Partitions were given rows."""
        with self._lock:
            self._partitions.update(partitions)
            self._ids.update({partition: number for number, partition in partitions.items()})

    def add(self, rows: list[FrameRow]) -> None:
        """Frames were committed, younger than all others."""
        with self._lock:
            for row in rows:
                self._frames += 1
                self._live[row.partition_id] = self._live.get(row.partition_id, 0) + 1
                for slot in self.slots:
                    if row.sinks & slot.bit and row.id > self.through(slot, row.partition_id):
                        partitions = self._open[slot.number]
                        known = partitions.get(row.partition_id)
                        partitions[row.partition_id] = known.plus(row) if known else opened(row)
                        self._backlog[slot.number] += row.records

    def set_through(self, slot: int, partition_id: int, frame_id: int) -> None:
        """Frames up to this one are sealed for the sink."""
        with self._lock:
            self._through[slot, partition_id] = frame_id

    def set_open(self, slot: Slot, partition_id: int, rest: Open | None) -> None:
        """The partition's unsealed frames are these."""
        with self._lock:
            partitions = self._open[slot.number]
            known = partitions.pop(partition_id, None)
            if rest is not None:
                partitions[partition_id] = rest
            self._backlog[slot.number] += (rest.records if rest else 0) - (known.records if known else 0)

    def add_batch(self, sealed: Sealed) -> None:
        """A batch was sealed, or changed."""
        with self._lock:
            known = self._sealed[sealed.slot].get(sealed.batch.batch_id)
            self._sealed[sealed.slot][sealed.batch.batch_id] = sealed
            self._batches.setdefault(sealed.partition_id, {})[sealed.batch.batch_id] = sealed
            self._backlog[sealed.slot] += sealed.batch.records - (known.batch.records if known else 0)

    def remove_batch(self, sealed: Sealed) -> None:
        """A batch was settled or given up."""
        with self._lock:
            del self._sealed[sealed.slot][sealed.batch.batch_id]
            del self._batches[sealed.partition_id][sealed.batch.batch_id]
            if not self._batches[sealed.partition_id]:
                del self._batches[sealed.partition_id]
            self._backlog[sealed.slot] -= sealed.batch.records

    def remove_frames(self, counts: dict[int, int]) -> None:
        """So many frames of these partitions were deleted; a partition without frames was deleted too."""
        with self._lock:
            for partition_id, count in counts.items():
                self._frames -= count
                self._live[partition_id] -= count
                if not self._live[partition_id]:
                    del self._live[partition_id]
                    del self._ids[self._partitions.pop(partition_id)]
                    for slot in self.slots:
                        self._through.pop((slot.number, partition_id), None)

    def set_held(self, slot: int, partition: Partition, records: int, since_ms: int) -> None:
        """The sink's pipeline holds back so many records of the partition, since then."""
        with self._lock:
            before, _ = self._held[slot].pop(partition, (0, 0))
            if records:
                self._held[slot][partition] = (records, since_ms)
            self._backlog[slot] += records - before

    def set_letters(self, totals: dict[str, LetterTotals]) -> None:
        """The sinks' dead letters are so many."""
        with self._lock:
            self._letters = totals

    # ---- reading, by the event loop ----

    def open_partitions(self, slot: Slot) -> list[OpenPartition]:
        """The sink's partitions with unsealed frames."""
        with self._lock:
            return [
                OpenPartition(
                    self._partitions[number], one.codec, one.frames, one.records, one.size, one.committed_ms
                )
                for number, one in self._open[slot.number].items()
            ]

    def stats(self, used: int, limit: int, disk: int) -> BufferStats:
        """The sums, with sizes in bytes that the caller knows."""
        with self._lock:
            oldest = {slot.name: min(self._times(slot), default=None) for slot in self.slots}
            return BufferStats(
                bytes=used,
                limit_bytes=limit,
                disk_bytes=disk,
                frames=self._frames,
                oldest_committed_ms={name: ms for name, ms in oldest.items() if ms is not None},
                backlog_records={slot.name: self._backlog[slot.number] for slot in self.slots},
                dead_letters=dict(self._letters),
            )

    def _times(self, slot: Slot) -> Iterator[int]:
        yield from (one.committed_ms for one in self._open[slot.number].values())
        yield from (one.committed_ms for one in self._sealed[slot.number].values())
        yield from (since_ms for _, since_ms in self._held[slot.number].values())
