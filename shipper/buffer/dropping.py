"""`when_full: drop_oldest`: which frames are given up so that new ones fit.

Oldest first, whole frames, for all sinks that are still to get them. Frames in a sealed batch come last,
because a sink may be storing that batch just now, and then go with their whole batch. Gap records outlive
everything else.

More is given up than the commit at hand needs: each time costs gap records, and a full buffer would
otherwise write some with every commit.
"""

from __future__ import annotations

from collections.abc import Iterator

from shipper.buffer.forgetting import Why, give_up
from shipper.buffer.garbage import sweep_all
from shipper.buffer.index import FrameRow, Sealed
from shipper.buffer.ledger import Ledger
from shipper.buffer.quota import Need
from shipper.buffer.schema import FRAMES, FRAMES_IN_RANGE
from shipper.buffer.values import Dropped
from shipper.buffer.writing import frame_row
from shipper.model import GapReason, Kind

_DROPPED = Why(GapReason.BUFFER_FULL, "dropped to make room in a full buffer", "the buffer is full")
_SURPLUS = 16  # a sixteenth of the file is made free at once


def make_room(ledger: Ledger, need: Need) -> tuple[Dropped, ...]:
    """Give up frames until there is room, or nothing is left."""
    dropped: list[Dropped] = []
    if _has_room(ledger, need):
        return ()
    ahead = Need(need.new + ledger.pages().count // _SURPLUS, need.dirty)
    for rows, batches, reluctantly in _victims(ledger):
        if _has_room(ledger, need if reluctantly else ahead):
            break
        dropped += give_up(ledger, rows, _DROPPED, batches=batches)
        sweep_all(ledger)
    return tuple(dropped)


def _has_room(ledger: Ledger, need: Need) -> bool:
    """Whether the quota allows it and the disk has it; pages that are free in the file need no more disk."""
    database = ledger.database
    pages = ledger.pages()
    if database.quota.room(pages) < need.new:
        return False
    return pages.free >= need.new or database.disk_shortage(need) <= 0


def _victims(ledger: Ledger) -> Iterator[tuple[list[FrameRow], list[Sealed], bool]]:
    """What to give up next, and whether only if it must be. The caller gives each up before asking on."""
    for gaps in (False, True):
        for rows in _unsealed(ledger, gaps=gaps):
            yield rows, [], gaps
        for sealed in ledger.index.all_batches():
            if (sealed.batch.partition.kind is Kind.GAPS) is gaps:
                group = _with_its_batches(ledger, sealed)
                if group is not None:
                    yield *group, True


def _unsealed(ledger: Ledger, *, gaps: bool) -> Iterator[list[FrameRow]]:
    """Frames that are in no sink's batch, oldest first, without those that are written meanwhile."""
    end, last = ledger.next_frame, 0
    limit = ledger.database.quota.rows_per_deletion()
    while True:
        found = [
            frame_row(values)
            for values in ledger.database.rows(
                f"{FRAMES} WHERE id > ? AND id < ? ORDER BY id LIMIT ?", (last, end, limit)
            )
        ]
        if not found:
            return
        last = found[-1].id
        rows = [
            row
            for row in found
            if (ledger.index.partition(row.partition_id).kind is Kind.GAPS) is gaps
            and not any(
                one.holds(row.id) and row.sinks & (1 << one.slot)
                for one in ledger.index.batches_of(row.partition_id)
            )
        ]
        if rows:
            yield rows


def _with_its_batches(ledger: Ledger, sealed: Sealed) -> tuple[list[FrameRow], list[Sealed]] | None:
    """The frames of a batch and all batches, of whatever sink, that share frames with it."""
    batches = [sealed]
    first, last = sealed.first_frame, sealed.last_frame
    grew = True
    while grew:
        grew = False
        for one in ledger.index.batches_of(sealed.partition_id):
            if one not in batches and one.first_frame <= last and one.last_frame >= first:
                batches.append(one)
                first, last = min(first, one.first_frame), max(last, one.last_frame)
                grew = True
    if any(one not in ledger.index.batches_of(sealed.partition_id) for one in batches):
        return None  # went with an earlier one
    rows = ledger.database.rows(FRAMES_IN_RANGE, (sealed.partition_id, first, last))
    return [frame_row(values) for values in rows], batches
