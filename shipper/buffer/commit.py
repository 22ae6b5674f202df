"""The commit: frames and cursors, all or nothing.

What the log has room for is one transaction. A larger commit first writes its frames' bytes in several, as
pieces that belong to no frame; the last transaction then makes frames of them and writes the cursors. If it
never comes, the pieces are swept away.
"""

from __future__ import annotations

from collections.abc import Sequence

from shipper.buffer.dropping import free_pages, make_room
from shipper.buffer.ledger import Ledger
from shipper.buffer.losses import Loss, Routed
from shipper.buffer.quota import PAGE_SIZE, Need, log_bytes, need_of_deletion, need_of_frames
from shipper.buffer.schema import DELETE_PIECES, PIECES_PER_FRAME
from shipper.buffer.values import Committed, Dropped, WhenFull
from shipper.buffer.writing import stage, write_rows
from shipper.errors import BufferFull
from shipper.model import CursorWrite, Frame, GapReason

_TOO_LARGE = "larger than the whole buffer: raise buffer.max_size"


def commit(ledger: Ledger, frames: Sequence[Frame], cursors: Sequence[CursorWrite]) -> Committed:
    """See Buffer.commit."""
    if not frames and not cursors:
        return Committed(())
    sweep(ledger)
    ledger.cursors.measure()
    cursor_need = ledger.cursors.need(cursors, ledger.database.pages()[0])
    taken, losses = _what_fits(ledger, frames, cursor_need)
    now_ms = ledger.now_ms()
    gaps = ledger.gaps(losses, GapReason.BUFFER_FULL, _TOO_LARGE)
    routed = [*(one for _, one in taken), *ledger.gap_frames(gaps)]
    dropped = _ensure_room(ledger, routed, cursor_need)
    plan = ledger.plan(routed, now_ms)
    page_count, _ = ledger.database.pages()
    need = plan.need(page_count).plus(cursor_need)
    if log_bytes(need.dirty) <= ledger.database.quota.wal_size:
        with ledger.database.transaction(need):
            ledger.write(plan)
            change = ledger.cursors.write(cursors, now_ms)
    else:
        ledger.staged = True
        stage(ledger.database, plan)
        rows = need_of_frames([0] * len(plan.rows), len(plan.rows), page_count)
        with ledger.database.transaction(rows.plus(cursor_need)):
            write_rows(ledger.database, plan)
            change = ledger.cursors.write(cursors, now_ms)
        ledger.staged = False
    ledger.took(plan)
    ledger.cursors.took(change)
    dropped += ledger.lost(losses, gaps, GapReason.BUFFER_FULL, _TOO_LARGE)
    ids = dict(zip((index for index, _ in taken), (row.id for row in plan.rows), strict=False))
    return Committed(tuple(ids.get(index, 0) for index in range(len(frames))), dropped)


def sweep(ledger: Ledger) -> None:
    """Delete the pieces of a commit that did not end."""
    if not ledger.staged:
        return
    database = ledger.database
    first = ledger.next_frame * PIECES_PER_FRAME
    while True:
        found = database.rows(
            "SELECT id, length(data) FROM pieces WHERE id >= ? ORDER BY id LIMIT 64", (first,)
        )
        if not found:
            break
        need = need_of_deletion(len(found), sum(size for _, size in found), database.pages()[0])
        with database.transaction(need):
            database.run(DELETE_PIECES, (first, found[-1][0]))
    ledger.staged = False


def _what_fits(
    ledger: Ledger, frames: Sequence[Frame], cursor_need: Need
) -> tuple[list[tuple[int, Routed]], list[Loss]]:
    """The frames that a sink takes, less what would not fit into an empty buffer: waiting could never help that."""
    every = enumerate(frames)
    routed = [(index, Routed(frame, ledger.slots.takers(frame.partition.kind))) for index, frame in every]
    taken = [(index, one) for index, one in routed if one.bits]
    beside = ledger.cursors.stored * 2 + cursor_need.new * PAGE_SIZE
    limit = ledger.database.quota.largest_commit - beside
    losses: list[Loss] = []
    while taken and sum(len(one.frame.data) for _, one in taken) > limit:
        largest = max(taken, key=lambda pair: len(pair[1].frame.data))
        taken.remove(largest)
        frame, bits = largest[1].frame, largest[1].bits
        losses.append(Loss(frame.partition, bits, frame.records, frame.first_ms, frame.last_ms))
    return taken, losses


def _ensure_room(ledger: Ledger, routed: Sequence[Routed], cursor_need: Need) -> tuple[Dropped, ...]:
    sizes = [len(one.frame.data) for one in routed]
    partitions = len({one.frame.partition for one in routed})
    new = need_of_frames(sizes, partitions, 0).new + cursor_need.new
    dropped: tuple[Dropped, ...] = ()
    if ledger.when_full is WhenFull.DROP_OLDEST:
        dropped = make_room(ledger, new)
    if free_pages(ledger) < new:
        raise BufferFull(
            f"the buffer is full: {sum(sizes)} bytes do not fit beside what no sink has taken yet, within a "
            f"max_size of {ledger.database.quota.max_size} bytes"
        )
    return dropped
