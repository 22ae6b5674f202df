"""What waits for the next commit, how much it weighs, and which transactions it becomes.

The buffer takes the cursors of a commit in one transaction, and a transaction has to fit into its log. Each row may lie
on a page of its own; of several thousand replicas that print a line each, the cursors are far more than the lines.
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
_PER_CURSOR: Final = 2 * _PER_ROW  # its state and the row of fingerprints that goes on


class Writable(Protocol):
    """A cursor that can be stored."""

    @property
    def key(self) -> str:
        """Names it in the buffer."""

    def write(self) -> CursorWrite:
        """What the commit has to store; marks it as stored."""


@dataclass(slots=True)
class Pending:
    """Records with the cursors that cover them, and cursors that only changed. `size` is what these weigh, in bytes
    of NDJSON and what a transaction needs beside it; `since` is when the first came (the loop's clock), `stored` is set
    when all of it is committed.
    """

    drafts: dict[Partition, FrameDraft] = field(default_factory=dict)
    size: int = 0
    since: float = 0.0
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

    def writes(self, hold_at: int) -> list[list[CursorWrite]]:
        """The cursors as they are now, by transaction: those of the first go with the frames.

        What only changed goes with them too as long as there is room, since it may have been told by a record.
        """
        most = max(1, hold_at // _PER_ROW)
        first = [cursor.write() for cursor in self._covering.values()]
        changed = [cursor.write() for cursor in self._changed.values()]
        return list(_grouped(first, changed, most))


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
