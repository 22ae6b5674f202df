"""What pipelines hold back, and dead letters, of a damaged file: each row is saved if it and its bytes are whole.

A pipeline begins anew where its state is lost; the records that were held in it are a loss, and so is a letter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from shipper.buffer.carried import CarriedRow, carried_row, insert_carried, is_state_of
from shipper.buffer.carrying import span_ms
from shipper.buffer.damaged import DamagedFile
from shipper.buffer.database import Damaged, Database, Row
from shipper.buffer.letter_rows import LetterRow, insert_letter, letter_of, letter_row
from shipper.buffer.losses import Loss
from shipper.buffer.quota import PAGE_SIZE, Share, need_of_rows
from shipper.buffer.schema import CARRIED_COLUMNS, LETTER_COLUMNS

_AS_ONE: Final = 500  # rows written in one transaction

_Insert = Callable[[], None]


@dataclass(slots=True)
class RowSalvage:
    """`run` it once. Afterwards `losses` are what is known to be lost, `complete` is False if there may be more."""

    source: DamagedFile
    target: Database
    losses: list[Loss] = field(default_factory=list)
    complete: bool = True
    _seen: set[int] = field(default_factory=set)
    _pending: list[tuple[int, _Insert]] = field(default_factory=list)
    _stored: int = 0

    def run(self) -> None:
        """Write everything that is whole into the target; a file of version 1 has none of it."""
        if self.source.is_of_version_1:
            return
        quota = self.target.quota
        self._table("carried", f"{CARRIED_COLUMNS}, state", quota.carried, self._carried)
        self._table("letters", f"{LETTER_COLUMNS}, reason, record", quota.letters, self._letter)

    def _table(self, table: str, columns: str, share: Share, save: Callable[[Row, Share], None]) -> None:
        self._seen, self._stored = set(), 0
        for values in self.source.each(table, columns):
            if values[0] in self._seen:
                continue
            self._seen.add(values[0])
            try:
                save(values, share)
            except Damaged:
                self.complete = False
        self._flush()
        # A table that never had a row cannot have lost one.
        if table in self.source.torn and self.source.sequences(table):
            self.complete = False

    # ---- judging ----

    def _carried(self, values: Row, share: Share) -> None:
        row, state = carried_row(values[:-1]), values[-1]
        if is_state_of(row, state) and self._fits(row, share):
            self._add(row.size, lambda: insert_carried(self.target, row, state))
        elif row.records:
            self.losses.append(Loss(row.partition, 0, row.records, *span_ms(row.partition)))

    def _letter(self, values: Row, share: Share) -> None:
        row = letter_row(values[:-2])
        reason, record = values[-2:]
        try:
            letter_of(row, reason, record)
        except Damaged:
            fits = False
        else:
            fits = self._fits(row, share)
        if fits:
            self._add(row.size, lambda: insert_letter(self.target, row, reason, record))
        else:
            self.losses.append(Loss(row.partition, 0, 1, row.timestamp_ms, row.timestamp_ms))

    # ---- writing ----

    def _fits(self, row: CarriedRow | LetterRow, share: Share) -> bool:
        """Whether there is room for it; where `max_size` has become smaller, not all of them may have any."""
        pending = sum(size for size, _ in self._pending)
        allowed = self.target.quota.allowed(share, self._stored, self.target.pages())
        return self._stored + pending + row.size <= allowed

    def _add(self, size: int, insert: Callable[[], Any]) -> None:
        pending = sum(size for size, _ in self._pending)
        full = pending + size > self.target.quota.stage_pages * PAGE_SIZE or len(self._pending) >= _AS_ONE
        if self._pending and full:
            self._flush()
        self._pending.append((size, insert))

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        if not pending:
            return
        sizes = [size for size, _ in pending]
        with self.target.transaction(need_of_rows(sizes, self._stored, self.target.pages())):
            for _, insert in pending:
                insert()
        self._stored += sum(sizes)
