"""Cursors in the buffer file: rows that a commit writes together with the frames that they cover."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from shipper.buffer.database import Database, stored_text
from shipper.buffer.quota import Need, Pages, need_of_rows
from shipper.buffer.schema import text_bytes
from shipper.model import CursorWrite, StoredCursor

_NONE: Final = sys.maxsize  # the lowest segment of a cursor that has none
_SLACK: Final = 256 * 1024


@dataclass(slots=True)
class _Known:
    """A stored cursor: its row, and a lower bound of its segments' numbers, so that most commits delete nothing."""

    id: int
    lowest: int = _NONE


@dataclass(slots=True)
class Change:
    """What memory has to take over once the transaction has ended well."""

    made: dict[str, _Known] = field(default_factory=dict)
    forgotten: set[str] = field(default_factory=set)
    lowest: list[tuple[_Known, int]] = field(default_factory=list)
    written: int = 0
    next_id: int = 0


class CursorTable:
    """The rows, and in memory which there are."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, _Known] = {}
        self._next_id = 1
        for cursor_id, key in database.rows("SELECT id, key FROM cursors"):
            self._known[stored_text(key)] = _Known(cursor_id)
            self._next_id = max(self._next_id, cursor_id + 1)
        by_id = {known.id: known for known in self._known.values()}
        for cursor_id, lowest in database.rows("SELECT cursor_id, MIN(seq) FROM segments GROUP BY cursor_id"):
            if cursor_id in by_id:
                by_id[cursor_id].lowest = lowest
        self._measured = self.stored = self._measure()

    def need(self, writes: Sequence[CursorWrite], pages: Pages) -> Need:
        """Upper bounds for writing them."""
        if not writes:
            return Need(0, 0)
        sizes = [2 * len(write.key) + len(write.state) for write in writes]
        sizes += [len(data) for write in writes for _, data in write.segments]
        return need_of_rows(sizes, self.stored, pages)

    def write(self, writes: Sequence[CursorWrite], now_ms: int) -> Change:
        """Within a transaction. A key that comes twice is written twice, in order."""
        change = Change(next_id=self._next_id)
        keys = {write.key for write in writes}
        for group in [writes] if len(keys) == len(writes) else [[write] for write in writes]:
            self._write_group(group, now_ms, change)
        return change

    def took(self, change: Change) -> None:
        """The transaction has ended well."""
        for known, lowest in change.lowest:
            known.lowest = lowest
        for key in change.forgotten:
            self._known.pop(key, None)
        self._known.update(change.made)
        self._next_id = change.next_id
        # Replaced rows are counted again, so the sum only grows; now and then it is taken anew.
        self.stored += change.written

    def measure(self) -> None:
        """Before a transaction: correct the sum of what is stored, if it has grown much."""
        if self.stored > self._measured + self._measured // 4 + _SLACK:
            self._measured = self.stored = self._measure()

    def read(self) -> list[StoredCursor]:
        """All cursors, in the order in which they were first written."""
        segments: dict[int, list[tuple[int, bytes]]] = {}
        for cursor_id, seq, data in self._database.rows(
            "SELECT cursor_id, seq, data FROM segments ORDER BY cursor_id, seq"
        ):
            segments.setdefault(cursor_id, []).append((seq, data))
        return [
            StoredCursor(stored_text(key), state, tuple(segments.get(cursor_id, ())), updated_ms)
            for cursor_id, key, state, updated_ms in self._database.rows(
                "SELECT id, key, state, updated_ms FROM cursors ORDER BY id"
            )
        ]

    def _measure(self) -> int:
        ((cursors,),) = self._database.rows("SELECT SUM(length(key) * 2 + length(state) + 64) FROM cursors")
        ((segments,),) = self._database.rows("SELECT SUM(length(data) + 64) FROM segments")
        return (cursors or 0) + (segments or 0)

    def _write_group(self, writes: Sequence[CursorWrite], now_ms: int, change: Change) -> None:
        made: list[tuple[int, bytes, bytes, int]] = []
        updated: list[tuple[bytes, int, int]] = []
        segments: list[tuple[int, int, bytes]] = []
        forgotten: list[tuple[int]] = []
        dropped: list[tuple[int, int]] = []
        for write in writes:
            key = write.key
            known = change.made.get(key) or (None if key in change.forgotten else self._known.get(key))
            if write.delete:
                if known is not None:
                    forgotten.append((known.id,))
                    change.forgotten.add(key)
                    change.made.pop(key, None)
                continue
            if known is None:
                known = change.made[key] = _Known(change.next_id)
                change.next_id += 1
                made.append((known.id, text_bytes(key), write.state, now_ms))
            else:
                updated.append((write.state, now_ms, known.id))
            lowest = known.lowest
            for seq, data in write.segments:
                segments.append((known.id, seq, data))
                lowest = min(lowest, seq)
            if lowest < write.drop_below:
                dropped.append((known.id, write.drop_below))
                lowest = write.drop_below
            if lowest != known.lowest:
                change.lowest.append((known, lowest))
        self._execute(forgotten, made, updated, segments, dropped)
        change.written += sum(len(row[2]) + 64 for row in made) + sum(len(row[2]) + 64 for row in segments)

    def _execute(
        self,
        forgotten: list[tuple[int]],
        made: list[tuple[int, bytes, bytes, int]],
        updated: list[tuple[bytes, int, int]],
        segments: list[tuple[int, int, bytes]],
        dropped: list[tuple[int, int]],
    ) -> None:
        for sql, rows in (
            ("DELETE FROM cursors WHERE id = ?", forgotten),
            ("DELETE FROM segments WHERE cursor_id = ?", forgotten),
            ("INSERT INTO cursors (id, key, state, updated_ms) VALUES (?, ?, ?, ?)", made),
            ("UPDATE cursors SET state = ?, updated_ms = ? WHERE id = ?", updated),
            ("INSERT OR REPLACE INTO segments (cursor_id, seq, data) VALUES (?, ?, ?)", segments),
            ("DELETE FROM segments WHERE cursor_id = ? AND seq < ?", dropped),
        ):
            if rows:
                self._database.run_many(sql, rows)
