"""What the sinks' pipelines hold back, in the buffer file: one row for each sink and partition that has any."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shipper.buffer.checksums import with_checksum, without_checksum
from shipper.buffer.database import Damaged, Database, Row, stored_text
from shipper.buffer.schema import CARRIED_COLUMNS, DELETE_CARRIED, INSERT_CARRIED, text_bytes
from shipper.model import Carried, Kind, Partition

_BESIDE: Final = 128  # bytes of a row beside its state and names, about


@dataclass(frozen=True, slots=True)
class CarriedRow:
    """A row without its state. `size` is what it takes in the file, about; `crc` is that of the state."""

    id: int
    sink: str
    partition: Partition
    records: int
    since_ms: int
    size: int
    crc: int


def new_row(number: int, sink: str, carried: Carried) -> CarriedRow:
    """The row that keeps it."""
    where = carried.partition
    size = len(carried.state) + 2 * len(sink + where.organization + where.app) + _BESIDE
    crc = zlib.crc32(carried.state)
    return CarriedRow(number, sink, where, carried.records, carried.since_ms, size, crc)


def carried_row(values: Row) -> CarriedRow:
    """A row of CARRIED_COLUMNS. Raises Damaged for what was never written."""
    number, sink, kind, organization, app, hour, *rest = without_checksum(values, "carried state")
    partition = Partition(Kind(kind), stored_text(organization), stored_text(app), hour)
    return CarriedRow(number, stored_text(sink), partition, *rest)


def insert_carried(database: Database, row: CarriedRow, state: bytes) -> None:
    """Within a transaction."""
    where = row.partition
    names = (text_bytes(where.organization), text_bytes(where.app), where.hour)
    content = (text_bytes(row.sink), where.kind.value, *names, row.records, row.since_ms, row.size, row.crc)
    database.run(INSERT_CARRIED, [*with_checksum(row.id, *content), state])


class CarriedTable:
    """The rows, and in memory all of them but the states; those that were written last come last."""

    def __init__(self, database: Database, next_id: int) -> None:
        self._database = database
        self._rows: dict[tuple[str, Partition], CarriedRow] = {}
        self.next_id = next_id
        self.stored = 0
        for values in database.each(f"SELECT {CARRIED_COLUMNS} FROM carried ORDER BY id"):  # noqa: S608 - our own names
            row = carried_row(values)
            self.took(None, row)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[CarriedRow]:
        return iter(self._rows.values())

    def get(self, sink: str, partition: Partition) -> CarriedRow | None:
        """What the sink's pipeline holds of the partition."""
        return self._rows.get((sink, partition))

    def replace(self, old: CarriedRow | None, new: CarriedRow | None, state: bytes) -> None:
        """Within a transaction. The old row goes first: then the new one may take its pages."""
        if old is not None:
            self._database.run(DELETE_CARRIED, (old.id,))
        if new is not None:
            insert_carried(self._database, new, state)

    def took(self, old: CarriedRow | None, new: CarriedRow | None) -> None:
        """The transaction has ended well."""
        if old is not None:
            self.stored -= old.size
            self._rows.pop((old.sink, old.partition), None)
        if new is not None:
            self.stored += new.size
            self.next_id = max(self.next_id, new.id + 1)
            self._rows[new.sink, new.partition] = new

    def read(self, row: CarriedRow) -> Carried:
        """The row with its state. Raises Damaged if that is not what was written."""
        found = self._database.rows("SELECT state FROM carried WHERE id = ?", (row.id,))
        if not found or not is_state_of(row, found[0][0]):
            raise Damaged(f"what a pipeline of {row.sink} held back cannot be read")
        return Carried(row.partition, found[0][0], row.records, row.since_ms)


def is_state_of(row: CarriedRow, state: object) -> bool:
    """Whether these are the bytes that were written."""
    return type(state) is bytes and zlib.crc32(state) == row.crc
