"""Dead letters in the buffer file: a row for each record that a sink refused for good, in the order of their burial."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from shipper.buffer.checksums import with_checksum, without_checksum
from shipper.buffer.database import Damaged, Database, Row, stored_text
from shipper.buffer.index import Index
from shipper.buffer.schema import DELETE_LETTER, INSERT_LETTER, text_bytes
from shipper.buffer.values import LetterTotals
from shipper.model import DeadLetter, Kind, Partition

_BESIDE: Final = 128  # bytes of a row beside its record, reason and names, about
_LONGEST_REASON: Final = 1000  # characters; an answer may be a whole page


@dataclass(frozen=True, slots=True)
class LetterRow:
    """A row without its texts. `size` is what it takes in the file, about; `crc` is that of reason and record."""

    id: int
    sink: str
    partition: Partition
    buried_ms: int
    timestamp_ms: int
    size: int
    crc: int


def new_letter(number: int, letter: DeadLetter) -> tuple[LetterRow, bytes]:
    """The row that keeps it, and its reason as it is stored."""
    said = letter.reason
    reason = text_bytes(said if len(said) <= _LONGEST_REASON else said[: _LONGEST_REASON - 1] + "…")
    where = letter.partition
    names = 2 * len(letter.sink + where.organization + where.app)
    row = LetterRow(
        id=number,
        sink=letter.sink,
        partition=where,
        buried_ms=letter.buried_ms,
        timestamp_ms=letter.timestamp_ms,
        size=len(letter.record) + len(reason) + names + _BESIDE,
        crc=_crc(reason, letter.record),
    )
    return row, reason


def letter_row(values: Row) -> LetterRow:
    """A row of LETTER_COLUMNS. Raises Damaged for what was never written."""
    number, sink, kind, organization, app, hour, *rest = without_checksum(values, "dead letter")
    partition = Partition(Kind(kind), stored_text(organization), stored_text(app), hour)
    return LetterRow(number, stored_text(sink), partition, *rest)


def letter_of(row: LetterRow, reason: object, record: object) -> DeadLetter:
    """The letter that was buried. Raises Damaged if these are not its texts."""
    if not isinstance(reason, bytes) or not isinstance(record, bytes) or _crc(reason, record) != row.crc:
        raise Damaged(f"dead letter {row.id} does not have its checksum")
    return DeadLetter(
        sink=row.sink,
        partition=row.partition,
        buried_ms=row.buried_ms,
        timestamp_ms=row.timestamp_ms,
        reason=stored_text(reason),
        record=record,
        letter_id=row.id,
    )


def insert_letter(database: Database, row: LetterRow, reason: bytes, record: bytes) -> None:
    """Within a transaction."""
    where = row.partition
    names = (text_bytes(where.organization), text_bytes(where.app), where.hour)
    times = (row.buried_ms, row.timestamp_ms)
    content = (text_bytes(row.sink), where.kind.value, *names, *times, row.size, row.crc)
    database.run(INSERT_LETTER, [*with_checksum(row.id, *content), reason, record])


def delete_letters(database: Database, rows: Iterable[LetterRow]) -> None:
    """Within a transaction."""
    database.run_many(DELETE_LETTER, ((row.id,) for row in rows))


class LetterTable:
    """How many letters there are, by sink: the sums in memory of what is in the file, shown in the index."""

    def __init__(self, database: Database, index: Index, next_id: int) -> None:
        self._index = index
        self._totals: dict[str, LetterTotals] = {}
        self.next_id = next_id
        for sink, letters, size in database.rows(
            "SELECT sink, COUNT(*), SUM(size) FROM letters GROUP BY sink"
        ):
            self._totals[stored_text(sink)] = LetterTotals(letters, size)
        index.set_letters(dict(self._totals))

    @property
    def stored(self) -> int:
        """Bytes of all rows, about."""
        return sum(totals.bytes for totals in self._totals.values())

    def added(self, rows: Iterable[LetterRow]) -> None:
        """These are durable."""
        for row in rows:
            self._totals[row.sink] = self._totals.get(row.sink, LetterTotals()).plus(_alone(row))
            self.next_id = max(self.next_id, row.id + 1)
        self._index.set_letters(dict(self._totals))

    def removed(self, rows: Iterable[LetterRow]) -> None:
        """These are deleted."""
        for row in rows:
            rest = self._totals[row.sink].minus(_alone(row))
            self._totals[row.sink] = rest
            if not rest.letters:
                del self._totals[row.sink]
        self._index.set_letters(dict(self._totals))


def _alone(row: LetterRow) -> LetterTotals:
    return LetterTotals(1, row.size)


def _crc(reason: bytes, record: bytes) -> int:
    return zlib.crc32(record, zlib.crc32(reason))
