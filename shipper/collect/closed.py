"""The cursors of an app's replicas that are gone, for as long as something may name them again.

A listing that was wrong for a moment shows a replica again: its cursor then still knows its lines. Events name
replicas for an hour after their end: they were seen, and nobody missed them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from shipper.collect.cursor import Cursor
from shipper.collect.keys import Forgotten, cursor_key, parse_key
from shipper.collect.pending import Writable
from shipper.model import App, Kind, StoredCursor

WHOLE_MS: Final = 10 * 60_000  # a wrong listing is corrected within minutes; a window is kilobytes
KEPT_MS: Final = 2 * 3_600_000  # the platform remembers events for about an hour; clocks may differ


@dataclass(slots=True)
class Closed:
    """By replica_id, in the order of closing; those that closed long ago keep only their times."""

    app: App
    _whole: dict[str, StoredCursor] = field(default_factory=dict)
    _shrunk: dict[str, StoredCursor] = field(default_factory=dict)

    def __contains__(self, replica_id: str) -> bool:
        return replica_id in self._whole or replica_id in self._shrunk

    def add(self, replica_id: str, stored: StoredCursor) -> None:
        """A replica is closed, or was by an earlier run."""
        (self._whole if stored.segments else self._shrunk)[replica_id] = stored

    def close(self, replica_id: str, cursor: Cursor, now_ms: int) -> None:
        """A replica closes now."""
        write = cursor.whole()
        self.add(replica_id, StoredCursor(write.key, write.state, write.segments, now_ms))

    def seen(self, replica_id: str, now_ms: int) -> Writable:
        """A replica that nobody could subscribe to is closed before it was opened; the cursor to store."""
        cursor = Cursor(cursor_key(Kind.LOGS, self.app, replica_id), closed=True)
        self.close(replica_id, cursor, now_ms)
        return cursor

    def reopen(self, replica_id: str) -> Cursor | None:
        """The cursor of a replica that is back."""
        stored = self._whole.pop(replica_id, None) or self._shrunk.pop(replica_id, None)
        if stored is None:
            return None
        cursor = Cursor.load(stored)
        cursor.window.unsaved()  # what its former self had still to store is not in the buffer yet
        return cursor

    def tidy(self, now_ms: int) -> list[Writable]:
        """Shrink and forget what is old; what the next commit has to store of it."""
        writes: list[Writable] = []
        for replica_id, stored in _older(self._whole, now_ms - WHOLE_MS):
            del self._whole[replica_id]
            cursor = Cursor.load(stored)
            cursor.forget_lines()
            write = cursor.whole()
            self._shrunk[replica_id] = StoredCursor(write.key, write.state, (), stored.updated_ms)
            writes.append(cursor)
        for replica_id, stored in _older(self._shrunk, now_ms - KEPT_MS):
            del self._shrunk[replica_id]
            writes.append(Forgotten(stored.key))
        return writes

    def stored(self) -> list[StoredCursor]:
        """All of them, for who comes after."""
        return [*self._shrunk.values(), *self._whole.values()]


def _older(cursors: dict[str, StoredCursor], floor_ms: int) -> list[tuple[str, StoredCursor]]:
    """Those at the head that closed before `floor_ms`."""
    found: list[tuple[str, StoredCursor]] = []
    for replica_id, stored in cursors.items():
        if stored.updated_ms >= floor_ms:
            break
        found.append((replica_id, stored))
    return found


def split(
    stored: Iterable[StoredCursor], app: App
) -> tuple[dict[str, StoredCursor], Closed, StoredCursor | None]:
    """An earlier run's cursors of one app: those left open by replica_id, the closed ones, and the events' ledger."""
    left_open: dict[str, StoredCursor] = {}
    closed = Closed(app)
    ledger: StoredCursor | None = None
    for cursor in sorted(stored, key=lambda cursor: cursor.updated_ms):
        kind, _, replica_id = parse_key(cursor.key)
        if kind is Kind.EVENTS:
            ledger = cursor
        elif kind is Kind.LOGS and Cursor.is_closed(cursor):
            closed.add(replica_id, cursor)
        elif kind is Kind.LOGS:
            left_open[replica_id] = cursor
    return left_open, closed, ledger
