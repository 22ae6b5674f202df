"""The frames of a damaged file: each is saved if its bytes are whole, by its row or, where that is gone, without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from shipper.buffer.damaged import DamagedFile
from shipper.buffer.database import Damaged, Database
from shipper.buffer.index import FrameRow
from shipper.buffer.losses import Loss
from shipper.buffer.quota import pages_for
from shipper.buffer.reading import checked
from shipper.buffer.rebuilding import rebuilt
from shipper.buffer.routing import Router
from shipper.buffer.schema import (
    FRAME_COLUMNS,
    PARTITION_COLUMNS,
    PIECES_OF_FRAME,
    PIECES_PER_FRAME,
    pieces_of,
)
from shipper.buffer.writing import Plan, frame_row, partition_row, stage, write_rows
from shipper.model import Partition


@dataclass(slots=True)
class FrameSalvage:
    """`run` it once. `reroute`: what frames were for is not known, so sinks get what they would get now.

    Afterwards `losses` are the frames that are known to be lost, `complete` is False if there may be others,
    `partitions` are all that were found, and `written` the numbers of those that have frames in the target.
    """

    source: DamagedFile
    target: Database
    router: Router
    reroute: bool
    now_ms: int
    frames: int = 0
    records: int = 0
    complete: bool = True
    losses: list[Loss] = field(default_factory=list)
    partitions: dict[int, Partition] = field(default_factory=dict)
    written: set[int] = field(default_factory=set)
    _numbers: dict[Partition, int] = field(default_factory=dict)
    _seen: set[int] = field(default_factory=set)
    _plan: Plan = field(default_factory=Plan)
    _pages: int = 0

    def run(self) -> None:
        """Write everything that is whole into the target."""
        self.partitions = dict(self._readable_partitions())
        for row in self._readable_rows():
            self._by_row(row)
        for frame_id in self._without_row():
            self._by_bytes(frame_id)
        self._flush()
        if {"frames", "pieces"} <= self.source.torn:
            self.complete = False  # a frame may have lost both its row and its bytes

    # ---- reading ----

    def _readable_partitions(self) -> Iterator[tuple[int, Partition]]:
        for values in self.source.each("partitions", PARTITION_COLUMNS):
            try:
                yield partition_row(values)
            except Damaged:
                self.source.torn.add("partitions")

    def _readable_rows(self) -> Iterator[FrameRow]:
        for values in self.source.each("frames", FRAME_COLUMNS):
            try:
                row = frame_row(values)
            except Damaged:
                self.source.torn.add("frames")
                continue
            if row.id not in self._seen:
                self._seen.add(row.id)
                yield row

    def _without_row(self) -> Iterator[int]:
        """Frames of which there are bytes alone, but for those of a commit that did not end."""
        last = max([*self._seen, *(seq for _, seq in self.source.sequences("frames"))], default=None)
        for number, _ in self.source.each("pieces", "id, 1"):
            frame_id = number // PIECES_PER_FRAME
            if frame_id not in self._seen and (last is None or frame_id <= last):
                self._seen.add(frame_id)
                yield frame_id

    def _pieces(self, frame_id: int) -> list[bytes]:
        return [piece for (piece,) in self.source.get(PIECES_OF_FRAME, pieces_of(frame_id))]

    # ---- judging ----

    def _by_row(self, row: FrameRow) -> None:
        data = checked(row, self._pieces(row.id))
        partition = self.partitions.get(row.partition_id)
        if partition is None and data is not None:
            found = rebuilt(row.id, data, self.now_ms)
            partition = found[1] if found else None
        if partition is None:
            self.complete = False
            return
        self.partitions[row.partition_id] = partition
        if data is None:
            self.losses.append(Loss(partition, 0, row.records, row.first_ms, row.last_ms))
            return
        if self.reroute:
            row = replace(row, sinks=self._takers(partition))
        self._add(row, data)

    def _by_bytes(self, frame_id: int) -> None:
        pieces = self._pieces(frame_id)
        if not all(type(piece) is bytes for piece in pieces):
            self.complete = False
            return
        data = b"".join(pieces)
        found = rebuilt(frame_id, data, self.now_ms)
        if found is None:
            self.complete = False
            return
        row, partition = found
        number = self._number(partition)
        self._add(replace(row, partition_id=number, sinks=self._takers(partition)), data)

    def _takers(self, partition: Partition) -> int:
        """The sinks that get it; all, where that is none: it was some sink's when it was committed."""
        return self.router.bits(partition) or self.router.all_bits

    def _number(self, partition: Partition) -> int:
        if not self._numbers:
            self._numbers = {one: number for number, one in self.partitions.items()}
        if partition not in self._numbers:
            known = [*self.partitions, *(seq for _, seq in self.source.sequences("partitions"))]
            self._numbers[partition] = max(known, default=0) + 1
            self.partitions[self._numbers[partition]] = partition
        return self._numbers[partition]

    # ---- writing ----

    def _add(self, row: FrameRow, data: bytes) -> None:
        size = pages_for([row.size])
        if self._plan.rows and self._pages + size > self.target.quota.stage_pages:
            self._flush()
        self._plan.rows.append(row)
        self._plan.data.append(data)
        self._pages += size
        if row.partition_id not in self.written:
            self._plan.partitions[row.partition_id] = self.partitions[row.partition_id]
            self.written.add(row.partition_id)

    def _flush(self) -> None:
        """Write what is gathered; where `max_size` has become smaller than what there is, it is lost."""
        plan, self._plan, self._pages = self._plan, Plan(), 0
        if not plan.rows:
            return
        pages = replace(self.target.pages(), frames=self.frames)
        if plan.need(pages).new > self.target.quota.room(pages):
            self.written -= plan.partitions.keys()
            for row in plan.rows:
                where = self.partitions[row.partition_id]
                self.losses.append(Loss(where, 0, row.records, row.first_ms, row.last_ms))
            return
        stage(self.target, plan)
        with self.target.transaction(plan.need_of_rows(pages)):
            write_rows(self.target, plan)
        self.frames += len(plan.rows)
        self.records += sum(row.records for row in plan.rows)
