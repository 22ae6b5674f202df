"""Saving what can be read of a damaged buffer file into a new one.

Cursors come first: without them the platform's whole history would be taken again. Then frames whose
checksum holds, and what sinks have done with them. Where it cannot be known what a sink has, it gets the
frame again: rather twice than never.

What is lost is written into the new file as rows of `losses`, exact where the frame's row could be read. If
more may be missing than can be counted, each app that is known gets a gap without a count; if no app is
known, the gap is of the app "" of the organization "", which no real one can be.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from shipper.buffer.cursors import CursorTable
from shipper.buffer.damaged import DamagedFile
from shipper.buffer.database import Damaged, Database, stored_text
from shipper.buffer.index import FrameRow
from shipper.buffer.loading import loss_values, partition_of
from shipper.buffer.losses import Loss, gaps_of
from shipper.buffer.quota import Need, pages_for
from shipper.buffer.reading import checked
from shipper.buffer.schema import (
    BATCH_COLUMNS,
    FRAME_COLUMNS,
    INSERT_BATCH,
    INSERT_LOSS,
    PIECES_OF_FRAME,
    SET_PROGRESS,
    pieces_of,
    text_bytes,
)
from shipper.buffer.slots import Slots, assign
from shipper.buffer.values import Sinks
from shipper.buffer.writing import Plan, frame_row, stage, write_rows
from shipper.model import CursorWrite, GapReason, Kind, Partition

_UNKNOWN: Final = Partition(Kind.LOGS, "", "", 0)


@dataclass(slots=True)
class Saved:
    """What a salvage came to. `complete`: every loss is counted."""

    cursors: int = 0
    frames: int = 0
    records: int = 0
    lost_records: int = 0
    complete: bool = True


@dataclass(slots=True)
class Salvage:
    """One salvage: `run` it once."""

    source: DamagedFile
    target: Database
    sinks: Sinks
    now_ms: int
    saved: Saved = field(default_factory=Saved)
    _partitions: dict[int, Partition] = field(default_factory=dict)
    _written: set[int] = field(default_factory=set)
    _losses: list[Loss] = field(default_factory=list)
    _plan: Plan = field(default_factory=Plan)
    _pages: int = 0

    def run(self) -> Saved:
        """Fill the target. Raises BufferUnavailable if the disk refuses; then the target is of no use."""
        self._cursors()
        routes = self._routes()
        self._partitions = dict(self._readable_partitions())
        for row in self._readable_frames():
            self._frame(row, routes)
        self._flush()
        if routes is None and not self.source.torn & {"progress", "batches"}:
            self._sealing()
        self._sequences()
        self._record()
        return self.saved

    # ---- cursors ----

    def _cursors(self) -> None:
        segments: dict[int, list[tuple[int, bytes]]] = {}
        for cursor_id, seq, data in self.source.each("segments", "cursor_id, seq, data", 2):
            if isinstance(seq, int) and isinstance(data, bytes):
                segments.setdefault(cursor_id, []).append((seq, data))
        table = CursorTable(self.target)
        for cursor_id, key, state, updated_ms in self.source.each("cursors", "id, key, state, updated_ms"):
            try:
                write = CursorWrite(stored_text(key), state, tuple(sorted(segments.get(cursor_id, ()))))
            except Damaged:
                self.source.torn.add("cursors")
                continue
            if not isinstance(state, bytes) or not isinstance(updated_ms, int):
                self.source.torn.add("cursors")
                continue
            with self.target.transaction(table.need([write], self.target.pages())):
                change = table.write([write], updated_ms)
            table.took(change)
            self.saved.cursors += 1

    # ---- frames ----

    def _routes(self) -> Slots | None:
        """Copy the sinks' slots. If they are not all known, the configured sinks get everything that there
        is.
        """
        stored: dict[str, tuple[int, int]] = {}
        for slot, name, from_frame in self.source.each("sinks", "slot, name, from_frame"):
            if isinstance(from_frame, int) and isinstance(name, bytes):
                stored[stored_text(name)] = (slot, from_frame)
        known = bool(stored) and "sinks" not in self.source.torn
        slots = assign(self.sinks, {}, 1)
        if not known:
            stored = {slot.name: (slot.number, slot.from_frame) for slot in slots}
        with self.target.transaction(Need(2, 64)):
            self.target.run_many(
                "INSERT INTO sinks (slot, name, from_frame) VALUES (?, ?, ?)",
                ((slot, text_bytes(name), from_frame) for name, (slot, from_frame) in stored.items()),
            )
        return None if known else slots

    def _readable_partitions(self) -> Iterator[tuple[int, Partition]]:
        for number, *values in self.source.each("partitions", "id, kind, organization, app, hour"):
            try:
                yield number, partition_of(values)
            except Damaged:
                self.source.torn.add("partitions")

    def _readable_frames(self) -> Iterator[FrameRow]:
        for values in self.source.each("frames", FRAME_COLUMNS):
            try:
                row = frame_row(values)
            except Damaged:
                self.source.torn.add("frames")
                continue
            if row.partition_id in self._partitions:
                yield row
            else:
                self.source.torn.add("partitions")

    def _frame(self, row: FrameRow, routes: Slots | None) -> None:
        data = checked(row, [piece for (piece,) in self.source.get(PIECES_OF_FRAME, pieces_of(row.id))])
        partition = self._partitions[row.partition_id]
        if data is None:
            self._losses.append(Loss(partition, 0, row.records, row.first_ms, row.last_ms))
            return
        if routes is not None:
            row = replace(row, sinks=routes.takers(partition.kind))
        size = pages_for([row.size])
        if self._plan.rows and self._pages + size > self.target.quota.stage_pages:
            self._flush()
        self._plan.rows.append(row)
        self._plan.data.append(data)
        self._pages += size
        if row.partition_id not in self._written:
            self._plan.partitions[row.partition_id] = partition
            self._written.add(row.partition_id)

    def _flush(self) -> None:
        """Write what is gathered, or count it as lost where `max_size` has become smaller than what there
        is.
        """
        plan, self._plan, self._pages = self._plan, Plan(), 0
        if not plan.rows:
            return
        pages = replace(self.target.pages(), frames=self.saved.frames)
        if plan.need(pages).new > self.target.quota.room(pages):
            self._written -= plan.partitions.keys()
            for row in plan.rows:
                partition = self._partitions[row.partition_id]
                self._losses.append(Loss(partition, 0, row.records, row.first_ms, row.last_ms))
            return
        stage(self.target, plan)
        with self.target.transaction(plan.need_of_rows(pages)):
            write_rows(self.target, plan)
        self.saved.frames += len(plan.rows)
        self.saved.records += sum(row.records for row in plan.rows)

    # ---- what sinks have done ----

    def _sealing(self) -> None:
        progress = [
            row
            for row in self.source.each("progress", "slot, partition_id, sealed_through", 2)
            if row[1] in self._written
        ]
        batches = [row for row in self.source.each("batches", BATCH_COLUMNS) if row[2] in self._written]
        if self.source.torn & {"progress", "batches"}:
            return  # half of it would pass sealed frames off as acknowledged
        dirty = len(progress) // 64 + len(batches) // 8 + 64
        with self.target.transaction(Need(dirty, dirty)):
            self.target.run_many(SET_PROGRESS, progress)
            self.target.run_many(INSERT_BATCH, batches)

    def _sequences(self) -> None:
        """Go on with numbers that were never used, as far as that can be known."""
        for name, seq in self.source.get("SELECT name, seq FROM sqlite_sequence"):
            if name in ("frames", "partitions", "batches") and isinstance(seq, int):
                with self.target.transaction(Need(2, 32)):
                    self.target.run(
                        "INSERT INTO sqlite_sequence (name, seq) SELECT ?, 0 "
                        "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?)",
                        (name, name),
                    )
                    self.target.run(
                        "UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = ?", (seq, name)
                    )

    # ---- losses ----

    def _record(self) -> None:
        self.saved.lost_records = sum(loss.records or 0 for loss in self._losses)
        self.saved.complete = not self.source.torn & {"frames", "partitions"}
        reason, now_ms = GapReason.BUFFER_CORRUPT, self.now_ms
        gaps = gaps_of(self._losses, reason, now_ms, "the buffer file was damaged")
        if not self.saved.complete:
            suspects = [one for one in self._partitions.values() if one.kind is not Kind.GAPS]
            unknown = [Loss(one, 0, None, 0, now_ms) for one in suspects or [_UNKNOWN]]
            gaps += gaps_of(unknown, reason, now_ms, "the buffer file was damaged, more may be missing")
        with self.target.transaction(Need(len(gaps) // 16 + 2, len(gaps) // 16 + 16)):
            self.target.run_many(INSERT_LOSS, (loss_values(gap) for gap, _ in gaps))


def nothing_saved(target: Database, now_ms: int) -> Saved:
    """The successor of a file of which nothing can be used: empty, but for the loss."""
    unknown = [Loss(_UNKNOWN, 0, None, 0, now_ms)]
    gaps = gaps_of(
        unknown, GapReason.BUFFER_CORRUPT, now_ms, "the buffer file was damaged, nothing could be read"
    )
    with target.transaction(Need(2, 16)):
        target.run_many(INSERT_LOSS, (loss_values(gap) for gap, _ in gaps))
    return Saved(complete=False)
