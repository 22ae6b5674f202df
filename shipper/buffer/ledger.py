"""The books of an open buffer: the file, its mirror in memory, and the steps that every change of frames is
made of.

A change is made in three steps: plan it, write it within a transaction, and take it over into memory once
the transaction has ended well. Nothing is read from the file after a transaction, so a change that is
durable never looks like a failure.
"""

from __future__ import annotations

import logging
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from shipper.archive.layout import batch_name
from shipper.buffer.carried import CarriedTable
from shipper.buffer.cursors import CursorTable
from shipper.buffer.database import Damaged, Database
from shipper.buffer.index import FrameRow, Index, Open, Sealed
from shipper.buffer.letter_rows import LetterTable
from shipper.buffer.losses import Loss, Routed, by_partition, gaps_of, routed_gaps
from shipper.buffer.notes import Notes
from shipper.buffer.quota import Need, Pages, need_of_deletion
from shipper.buffer.routing import Router
from shipper.buffer.schema import (
    DELETE_BATCH,
    DELETE_FRAME,
    DELETE_PARTITION,
    DELETE_PIECES,
    DELETE_PROGRESS,
    INSERT_BATCH,
    pieces_of,
)
from shipper.buffer.slots import Slot, Slots
from shipper.buffer.values import Dropped, WhenFull
from shipper.buffer.writing import Plan, pieces, write_pieces, write_rows
from shipper.model import Batch, Codec, Gap, GapReason, Kind, Partition, Unrouted

log = logging.getLogger("shipper.buffer")


@dataclass(slots=True)
class Garbage:
    """Frames that are stored though no sink needs them: between which numbers they lie, and how many they are at most.

    `sweeping` is what is left of the stretch that is being swept.
    """

    window: tuple[int, int] | None = None
    frames: int = 0
    size: int = 0
    sweeping: tuple[int, int] | None = None

    def add(self, first: int, last: int, frames: int, size: int) -> None:
        """Some of the frames between these numbers are garbage now."""
        self.window = (
            (min(first, self.window[0]), max(last, self.window[1])) if self.window else (first, last)
        )
        self.frames += frames
        self.size += size


@dataclass(slots=True)
class Removal:
    """Frames and batches that were deleted within a transaction, and what remains open in their partitions."""

    frames: dict[int, int] = field(default_factory=dict)
    batches: list[Sealed] = field(default_factory=list)
    open: list[tuple[Slot, int, Open | None]] = field(default_factory=list)


@dataclass(slots=True)
class Ledger:
    """One open buffer file. Used by the buffer's thread alone, but for `index`, which says what else may be."""

    database: Database
    index: Index
    slots: Slots
    router: Router
    cursors: CursorTable
    carried: CarriedTable
    letters: LetterTable
    when_full: WhenFull
    clock: Callable[[], float]
    codec: Codec
    buffer_id: str
    next_frame: int
    next_batch: int
    next_partition: int
    notes: Notes = field(default_factory=Notes)
    garbage: Garbage = field(default_factory=Garbage)
    said_unrouted: bool = False
    room_wanted: bool = False  # a commit did not fit, and none has since
    staged: bool = False  # there may be pieces without a frame

    def now_ms(self) -> int:
        """Wall time."""
        return int(self.clock() * 1000)

    def pages(self) -> Pages:
        """How large the file's content is."""
        quota, pages = self.database.quota, self.database.pages()
        aside = quota.carried.pages_aside(self.carried.stored)
        aside += quota.letters.pages_aside(self.letters.stored)
        return Pages(pages.count, pages.free, self.index.frames, aside)

    # ---- inserting ----

    def plan(self, routed: Sequence[Routed], now_ms: int) -> Plan:
        """Give numbers to the frames that a sink gets and, where needed, to their partitions."""
        plan = Plan()
        numbers: dict[Partition, int] = {}
        stored = [one for one in routed if one.bits]
        for one in routed if len(stored) < len(routed) else ():
            if not one.bits:
                partition = one.frame.partition
                plan.unrouted[partition.kind, self.router.why_none(partition)] += one.frame.records
        for frame_id, one in enumerate(stored, self.next_frame):
            frame = one.frame
            number = self.index.id_of(frame.partition) or numbers.get(frame.partition)
            if number is None:
                number = numbers[frame.partition] = self.next_partition + len(numbers)
                plan.partitions[number] = frame.partition
            plan.data.append(frame.data)
            plan.rows.append(
                FrameRow(
                    id=frame_id,
                    partition_id=number,
                    codec=frame.codec,
                    records=frame.records,
                    first_ms=frame.first_ms,
                    last_ms=frame.last_ms,
                    size=len(frame.data),
                    crc=zlib.crc32(frame.data),
                    sinks=one.bits,
                    committed_ms=now_ms,
                )
            )
        return plan

    def write(self, plan: Plan) -> None:
        """Insert everything that was planned."""
        write_pieces(self.database, pieces(plan))
        write_rows(self.database, plan)

    def took(self, plan: Plan) -> None:
        """The planned frames are durable."""
        if plan.unrouted:
            self._count_unrouted(plan.unrouted)
        if not plan.rows:
            return
        self.next_frame = plan.rows[-1].id + 1
        self.next_partition = max([self.next_partition - 1, *plan.partitions]) + 1
        self.index.know(plan.partitions)
        self.index.add(plan.rows)
        bits = 0
        for row in plan.rows:
            bits |= row.sinks
        self.notes.arrivals.update(self.slots.names(bits))

    def _count_unrouted(self, records: Counter[tuple[Kind, Unrouted]]) -> None:
        for (kind, why), count in records.items():
            self.notes.count("records_unrouted_total", count, kind.value, why.value)
        if (Kind.GAPS, Unrouted.NO_ROUTE) in records and not self.said_unrouted:
            self.said_unrouted = True
            log.warning(
                "no route takes these gap records: from now on such losses are counted and logged, but no sink gets "
                "a record of them (this is said once)"
            )

    # ---- deleting ----

    def deletion_need(self, rows: Sequence[FrameRow]) -> Need:
        """Upper bounds for deleting frames."""
        return need_of_deletion(len(rows), sum(row.size for row in rows), self.pages())

    def delete(
        self, rows: Sequence[FrameRow], batches: Sequence[Sealed] = (), keep: Iterable[int] = ()
    ) -> Removal:
        """Delete frames and batches within a transaction. `keep` are partitions that get frames in it."""
        counts = Counter(row.partition_id for row in rows)
        self.database.run_many(DELETE_BATCH, ((one.batch.batch_id,) for one in batches))
        self.database.run_many(DELETE_PIECES, (pieces_of(row.id) for row in rows))
        self.database.run_many(DELETE_FRAME, ((row.id,) for row in rows))
        kept = set(keep)
        empty = [
            (number,)
            for number, count in counts.items()
            if count == self.index.live(number) and number not in kept
        ]
        self.database.run_many(DELETE_PROGRESS, empty)
        self.database.run_many(DELETE_PARTITION, empty)
        return Removal(dict(counts), list(batches), list(self._still_open(rows)))

    def removed(self, removal: Removal, plan: Plan | None = None) -> None:
        """The deletion is durable, and so is what the same transaction inserted.

        The order keeps a partition that lost its last frame and got a new one.
        """
        for slot, partition_id, rest in removal.open:
            self.index.set_open(slot, partition_id, rest)
        for sealed in removal.batches:
            self.index.remove_batch(sealed)
        if plan is not None:
            self.took(plan)
        self.index.remove_frames(removal.frames)
        self.notes.freed = True

    def _still_open(self, rows: Sequence[FrameRow]) -> Iterator[tuple[Slot, int, Open | None]]:
        """What is left unsealed where unsealed frames were deleted."""
        for slot in self.slots:
            by_partition: dict[int, list[FrameRow]] = {}
            for row in rows:
                if row.sinks & slot.bit and row.id > self.index.through(slot, row.partition_id):
                    by_partition.setdefault(row.partition_id, []).append(row)
            for number, gone in by_partition.items():
                yield slot, number, self.open_without(slot, number, gone, self.index.through(slot, number))

    def open_without(
        self, slot: Slot, partition_id: int, gone: Sequence[FrameRow], through: int
    ) -> Open | None:
        """The sums of a partition's unsealed frames less some of them; what is the oldest then is looked up."""
        known = self.index.open_of(slot, partition_id)
        if known is None or known.frames <= len(gone):
            return None
        oldest = self.database.rows(
            "SELECT codec, committed_ms FROM frames WHERE partition_id = ? AND id > ? AND sinks & ? "
            "ORDER BY id LIMIT 1",
            (partition_id, through, slot.bit),
        )
        if not oldest:
            raise Damaged("frames that were committed are not there")
        ((codec, committed_ms),) = oldest
        return Open(
            codec=Codec(codec),
            frames=known.frames - len(gone),
            records=known.records - sum(row.records for row in gone),
            size=known.size - sum(row.size for row in gone),
            committed_ms=committed_ms,
        )

    # ---- batches ----

    def make_batch(self, slot: Slot, partition_id: int, rows: Sequence[FrameRow], ahead: int = 0) -> Sealed:
        """A batch of these frames, in the order of their numbers; `ahead` others get their number before it."""
        first_ms = min(row.first_ms for row in rows)
        batch = Batch(
            batch_id=self.next_batch + ahead,
            sink=slot.name,
            partition=self.index.partition(partition_id),
            name=batch_name(first_ms, self.buffer_id, rows[0].id, rows[-1].id),
            codec=rows[0].codec,
            records=sum(row.records for row in rows),
            size=sum(row.size for row in rows),
            first_ms=first_ms,
            last_ms=max(row.last_ms for row in rows),
        )
        return Sealed(
            batch, slot.number, partition_id, len(rows), rows[0].id, rows[-1].id, rows[0].committed_ms
        )

    def write_batch(self, sealed: Sealed) -> None:
        """Insert a batch."""
        batch = sealed.batch
        self.database.run(
            INSERT_BATCH,
            (
                batch.batch_id,
                sealed.slot,
                sealed.partition_id,
                batch.name,
                batch.codec.value,
                sealed.frames,
                batch.records,
                batch.size,
                batch.first_ms,
                batch.last_ms,
                sealed.first_frame,
                sealed.last_frame,
                sealed.committed_ms,
                batch.attempts,
                batch.done,
                batch.plan,
            ),
        )

    def took_batch(self, sealed: Sealed) -> None:
        """The batch is durable."""
        self.next_batch = max(self.next_batch, sealed.batch.batch_id + 1)
        self.index.add_batch(sealed)

    # ---- losses ----

    def gaps(self, losses: Iterable[Loss], reason: GapReason, detail: str) -> list[tuple[Gap, int]]:
        """The losses as gap records, noticed now."""
        return gaps_of(losses, reason, self.now_ms(), detail)

    def gap_frames(self, gaps: Iterable[tuple[Gap, int]]) -> list[Routed]:
        """Gap records as frames for the sinks that they concern."""
        return routed_gaps(gaps, self.router, self.codec)

    def lost(
        self, losses: Sequence[Loss], gaps: Sequence[tuple[Gap, int]], reason: GapReason, what: str
    ) -> tuple[Dropped, ...]:
        """Count and say a loss whose records are durable."""
        for loss in losses:
            for sink in self.slots.names(loss.bits):
                self.notes.count("records_dropped_total", loss.records or 0, sink, reason.value)
        if gaps:
            self.notes.count("gaps_total", len(gaps), reason.value)
        for gap, bits in gaps:
            self.notes.gaps.append(gap)
            log.warning(
                "%s: %s %s of %s were lost for %s",
                what,
                "an unknown number of" if gap.lost is None else gap.lost,
                gap.stream_kind.value,
                gap.app,
                ", ".join(self.slots.names(bits)) or "no sink",
                extra={"app": str(gap.app), "reason": reason.value, "lost": gap.lost},
            )
        return tuple(
            Dropped(
                loss.partition, self.slots.names(loss.bits), loss.records or 0, loss.first_ms, loss.last_ms
            )
            for loss in by_partition(losses)
        )
