"""Inserting frames: their rows and their bytes in pieces, in one transaction or in several bounded ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from shipper.buffer.checksums import with_checksum, without_checksum
from shipper.buffer.database import Database, Row, stored_text
from shipper.buffer.index import FrameRow
from shipper.buffer.quota import Need, Pages, need_of_frames, pages_for
from shipper.buffer.schema import (
    INSERT_FRAME,
    INSERT_PARTITION,
    INSERT_PIECE,
    PIECE_SIZE,
    pieces_of,
    text_bytes,
)
from shipper.model import Codec, Kind, Partition, Unrouted

Piece = tuple[int, memoryview]

_CODECS: Final = {codec.value: codec for codec in Codec}


@dataclass(slots=True)
class Plan:
    """Frames to insert: their rows, their bytes, and rows for partitions that have none yet.

    `unrouted` counts the records of frames that are for no sink and not inserted.
    """

    rows: list[FrameRow] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    partitions: dict[int, Partition] = field(default_factory=dict)
    unrouted: Counter[tuple[Kind, Unrouted]] = field(default_factory=Counter)

    def need(self, pages: Pages) -> Need:
        """Upper bounds for writing it."""
        touched = len({row.partition_id for row in self.rows})
        return need_of_frames([row.size for row in self.rows], touched, self.names, pages)

    def need_of_rows(self, pages: Pages) -> Need:
        """Upper bounds for writing all but the bytes."""
        return need_of_frames([0] * len(self.rows), len(self.rows), self.names, pages)

    @property
    def names(self) -> int:
        """Bytes of new partitions' rows, at most."""
        return sum(map(row_size, self.partitions.values()))


def write_pieces(database: Database, rows: Iterable[Piece]) -> None:
    """Insert bytes alone."""
    database.run_many(INSERT_PIECE, rows)


def write_rows(database: Database, plan: Plan) -> None:
    """Insert what makes the bytes into frames."""
    database.run_many(INSERT_PARTITION, (_partition_values(*item) for item in plan.partitions.items()))
    database.run_many(INSERT_FRAME, (_frame_values(row) for row in plan.rows))


def stage(database: Database, plan: Plan) -> None:
    """Insert the bytes of all frames, a bounded number of pages in each transaction."""
    for portion in _portions(plan, database.quota.stage_pages):
        sizes = [len(data) for _, data in portion]
        with database.transaction(need_of_frames(sizes, 0, 0, database.pages())):
            write_pieces(database, portion)


def _portions(plan: Plan, pages: int) -> Iterator[list[Piece]]:
    portion: list[Piece] = []
    used = 0
    for piece in pieces(plan):
        size = pages_for([len(piece[1])])
        if portion and used + size > pages:
            yield portion
            portion, used = [], 0
        portion.append(piece)
        used += size
    if portion:
        yield portion


def row_size(partition: Partition) -> int:
    """Bytes of a partition's row, at most."""
    return 64 + 4 * (len(partition.organization) + len(partition.app))


def pieces(plan: Plan) -> Iterator[tuple[int, memoryview]]:
    """The bytes of planned frames as rows."""
    for row, data in zip(plan.rows, plan.data, strict=True):
        first, _ = pieces_of(row.id)
        view = memoryview(data)
        for number, at in enumerate(range(0, max(len(data), 1), PIECE_SIZE)):
            yield first + number, view[at : at + PIECE_SIZE]


def frame_row(values: Row) -> FrameRow:
    """A row of FRAME_COLUMNS. Raises Damaged for what was never written."""
    number, partition_id, codec, *rest = without_checksum(values, "frame")
    return FrameRow(number, partition_id, _CODECS[codec], *rest)


def partition_row(values: Row) -> tuple[int, Partition]:
    """A row of PARTITION_COLUMNS. Raises Damaged for what was never written."""
    number, kind, organization, app, hour = without_checksum(values, "partition")
    return number, Partition(Kind(kind), stored_text(organization), stored_text(app), hour)


def _frame_values(row: FrameRow) -> list[object]:
    return with_checksum(
        row.id,
        row.partition_id,
        row.codec.value,
        row.records,
        row.first_ms,
        row.last_ms,
        row.size,
        row.crc,
        row.sinks,
        row.committed_ms,
    )


def _partition_values(number: int, one: Partition) -> list[object]:
    return with_checksum(number, one.kind.value, text_bytes(one.organization), text_bytes(one.app), one.hour)
