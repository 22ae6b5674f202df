"""Frames that every sink has: they are deleted in the order of their numbers, many at a time.

The small frames of one batch lie scattered among those of all other partitions. Deleting them batch by batch would
write each page of the file as often as it holds partitions; swept in order, a page is emptied once, and an emptied
page is not even logged. So they stay until a sweep is worth it. A batch of few or large frames is deleted at once:
see `sealing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shipper.buffer.index import FrameRow
from shipper.buffer.ledger import Ledger
from shipper.buffer.quota import need_of_sweep
from shipper.buffer.schema import FRAMES
from shipper.buffer.writing import frame_row

_SHARE: Final = 4  # a sweep is worth it when a fourth of the frames, or of the buffer, is garbage
_SIZE: Final = 64 * 1024 * 1024


def is_worth_a_sweep(ledger: Ledger) -> bool:
    """Whether `sweep_garbage` should be called now."""
    garbage = ledger.garbage
    if garbage.sweeping is not None:
        return True
    if garbage.window is None:
        return False
    if garbage.frames * _SHARE >= ledger.index.frames or garbage.size >= _SIZE or ledger.room_wanted:
        return True
    quota = ledger.database.quota
    return quota.room(ledger.pages()) < quota.max_pages // _SHARE


def sweep_all(ledger: Ledger) -> None:
    """Delete all garbage there is, because its room is needed now."""
    while ledger.garbage.sweeping is not None or ledger.garbage.window is not None:
        sweep_garbage(ledger)


def sweep_garbage(ledger: Ledger) -> None:
    """One bounded step of a sweep; the first one begins it."""
    garbage = ledger.garbage
    if garbage.sweeping is None:
        if garbage.window is None:
            return
        garbage.sweeping, garbage.window = garbage.window, None
        garbage.frames = garbage.size = 0
    first, last = garbage.sweeping
    limit = ledger.database.quota.wal_pages
    found = ledger.database.rows(
        f"{FRAMES} WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?", (first, last, limit)
    )
    rows = [frame_row(values) for values in found]
    swept = _delete(ledger, [row for row in rows if not ledger.index.needed_by(row)])
    if swept is not None:
        garbage.sweeping = (swept + 1, last)
    elif len(rows) == limit:
        garbage.sweeping = (rows[-1].id + 1, last)
    else:
        garbage.sweeping = None


def _delete(ledger: Ledger, rows: Sequence[FrameRow]) -> int | None:
    """Delete as many as one transaction may; returns the last one's number if there are more."""
    if not rows:
        return None
    pages = ledger.pages()
    most = ledger.database.quota.wal_pages // 2
    count = len(rows)
    while count > 1 and need_of_sweep(_sizes(rows[:count]), pages).dirty > most:
        count //= 2
    with ledger.database.transaction(need_of_sweep(_sizes(rows[:count]), pages)):
        removal = ledger.delete(rows[:count])
    ledger.removed(removal)
    return rows[count - 1].id if count < len(rows) else None


def _sizes(rows: Sequence[FrameRow]) -> list[int]:
    return [row.size for row in rows]
