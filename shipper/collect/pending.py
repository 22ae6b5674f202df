"""What waits for the next commit, how much it weighs, and which transactions it becomes.

Records and the cursors that cover them are one transaction, and a transaction has to fit into the buffer's log. Each
row may lie on a page of its own; of several thousand replicas that print a line each, the cursors are far more than
the lines. So what waits is closed when its cursors fill a transaction, and what comes then waits for the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from shipper.buffer import FrameDraft
from shipper.model import CursorWrite, Partition

_PER_RECORD: Final = 16  # a fingerprint, twice
_PER_ROW: Final = 12 * 1024  # it changes one page or two, of eight kilobytes, in a log of twice what may wait
_ROWS: Final = 2  # of a cursor: its state, and the fingerprints that go on
_PER_CURSOR: Final = 3 * 1024  # in memory, when it is written for its transaction


class Writable(Protocol):
    """A cursor that can be stored."""

    @property
    def key(self) -> str:
        """Names it in the buffer."""

    def write(self) -> CursorWrite:
        """What the commit has to store; marks it as stored."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What waits and gets nothing more: cursors are as they were when it was closed, whatever is taken after that.
    The first of `transactions` belongs to the records; `stored` is set when all of it is committed.
    """

    drafts: dict[Partition, FrameDraft]
    transactions: list[list[CursorWrite]]
    size: int
    stored: asyncio.Event


@dataclass(slots=True)
class Pending:
    """Records with the cursors that cover them, and cursors that only changed. `size` is what these weigh, in bytes
    of NDJSON and of what is stored beside it.
    """

    drafts: dict[Partition, FrameDraft] = field(default_factory=dict)
    size: int = 0
    stored: asyncio.Event = field(default_factory=asyncio.Event)
    _covering: dict[str, Writable] = field(default_factory=dict)
    _changed: dict[str, Writable] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.drafts or self._covering or self._changed)

    def add(self, partition: Partition, run: bytes, records: int, first_ms: int, last_ms: int) -> None:
        """Records as NDJSON, end to end."""
        draft = self.drafts.get(partition)
        if draft is None:
            self.drafts[partition] = FrameDraft([run], first_ms, last_ms, records)
        else:
            draft.add([run], first_ms, last_ms, records)
        self.size += len(run) + _PER_RECORD * records

    def cover(self, cursor: Writable) -> None:
        """This cursor counts records that were added: it is stored with them, neither before nor after."""
        if cursor.key not in self._covering:
            self._changed.pop(cursor.key, None)
            self.size += _PER_CURSOR
        self._covering[cursor.key] = cursor

    def touch(self, cursor: Writable) -> None:
        """This cursor changed."""
        (self._covering if cursor.key in self._covering else self._changed)[cursor.key] = cursor

    def filled(self, hold_at: int) -> bool:
        """Whether one transaction takes no further cursors."""
        return _ROWS * len(self._covering) >= _most_rows(hold_at)

    def close(self, hold_at: int) -> Closed:
        """The cursors as they are now, by transaction: those that cover records go with the frames.

        What only changed goes with them too as long as there is room, since it may have been told by a record.
        """
        first = [cursor.write() for cursor in self._covering.values()]
        changed = [cursor.write() for cursor in self._changed.values()]
        groups = list(_grouped(first, changed, _most_rows(hold_at)))
        return Closed(self.drafts, groups, self.size, self.stored)


def _most_rows(hold_at: int) -> int:
    return max(1, hold_at // _PER_ROW)


def _grouped(group: list[CursorWrite], more: list[CursorWrite], most: int) -> Iterator[list[CursorWrite]]:
    rows = sum(map(_rows, group))
    for write in more:
        if rows and rows + _rows(write) > most:
            yield group
            group, rows = [], 0
        group.append(write)
        rows += _rows(write)
    yield group


def _rows(write: CursorWrite) -> int:
    return 1 + len(write.segments)
