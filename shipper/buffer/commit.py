"""The commit: frames and cursors, all or nothing.

What the log has room for is one transaction. A larger commit first writes its frames' bytes in several, as
pieces that belong to no frame; the last transaction then makes frames of them and writes the cursors. If it
never comes, the pieces are swept away.
"""

from __future__ import annotations

from collections.abc import Sequence

from shipper.buffer.dropping import make_room
from shipper.buffer.garbage import sweep_all
from shipper.buffer.ledger import Ledger
from shipper.buffer.losses import Loss, Routed
from shipper.buffer.quota import Need, Pages, log_bytes, need_of_deletion, need_of_frames
from shipper.buffer.schema import DELETE_PIECES, PIECES_PER_FRAME
from shipper.buffer.values import Committed, Dropped, WhenFull
from shipper.buffer.writing import Plan, row_size, stage, write_rows
from shipper.errors import BufferFull, BufferUnavailable
from shipper.model import CursorWrite, Frame, GapReason

_MIB = 1024 * 1024
_TOO_LARGE = "larger than the whole buffer: raise buffer.max_size"


def commit(ledger: Ledger, frames: Sequence[Frame], cursors: Sequence[CursorWrite]) -> Committed:
    """See Buffer.commit."""
    if not frames and not cursors:
        return Committed(())
    sweep(ledger)
    ledger.cursors.measure()
    cursor_need = ledger.cursors.need(cursors, ledger.pages())
    every = [Routed(frame, ledger.router.bits(frame.partition)) for frame in frames]
    unrouted = [one for one in every if not one.bits]
    taken, losses = _what_fits(ledger, every, cursor_need)
    now_ms = ledger.now_ms()
    gaps = ledger.gaps(losses, GapReason.BUFFER_FULL, _TOO_LARGE)
    routed = [*(one for _, one in taken), *unrouted, *ledger.gap_frames(gaps)]
    plan = ledger.plan(routed, now_ms)
    dropped = _ensure_room(ledger, plan, cursor_need)
    if dropped:
        plan = ledger.plan(routed, now_ms)  # the numbers went to gap records
    pages = ledger.pages()
    need = plan.need(pages).plus(cursor_need)
    if log_bytes(need.dirty) <= ledger.database.quota.wal_size:
        with ledger.database.transaction(need):
            ledger.write(plan)
            change = ledger.cursors.write(cursors, now_ms)
    else:
        ledger.staged = True
        stage(ledger.database, plan)
        with ledger.database.transaction(plan.need_of_rows(pages).plus(cursor_need)):
            write_rows(ledger.database, plan)
            change = ledger.cursors.write(cursors, now_ms)
        ledger.staged = False
    ledger.room_wanted = False
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
        need = need_of_deletion(len(found), sum(size for _, size in found), database.pages())
        with database.transaction(need):
            database.run(DELETE_PIECES, (first, found[-1][0]))
    ledger.staged = False


def _what_fits(
    ledger: Ledger, routed: Sequence[Routed], cursor_need: Need
) -> tuple[list[tuple[int, Routed]], list[Loss]]:
    """The frames that a sink takes, less what would not fit into an empty buffer: waiting could never help that."""
    taken = [(index, one) for index, one in enumerate(routed) if one.bits]
    room = ledger.database.quota.room_when_empty(ledger.cursors.stored) - cursor_need.new
    losses: list[Loss] = []
    while taken and need_of_routed([one for _, one in taken]).new > room:
        largest = max(taken, key=lambda pair: len(pair[1].frame.data))
        taken.remove(largest)
        frame, bits = largest[1].frame, largest[1].bits
        losses.append(Loss(frame.partition, bits, frame.records, frame.first_ms, frame.last_ms))
    return taken, losses


def _ensure_room(ledger: Ledger, plan: Plan, cursor_need: Need) -> tuple[Dropped, ...]:
    """Make sure, by dropping frames if that is wanted, that the commit fits into the quota and onto the disk."""
    quota = ledger.database.quota
    need = plan.need(ledger.pages()).plus(cursor_need)
    dropped: tuple[Dropped, ...] = ()
    if quota.room(ledger.pages()) < need.new or ledger.database.disk_shortage(need) > 0:
        sweep_all(ledger)
    if ledger.when_full is WhenFull.DROP_OLDEST:
        dropped = make_room(ledger, need)
    require_room(ledger, need, sum(row.size for row in plan.rows))
    return dropped


def require_room(ledger: Ledger, need: Need, size: int) -> None:
    """Raise BufferFull or BufferUnavailable where frames of `size` bytes do not fit into the quota or onto the disk."""
    quota = ledger.database.quota
    if quota.room(ledger.pages()) < need.new:
        raise BufferFull(
            f"the buffer is full: {size} bytes do not fit beside what no sink has taken yet, within a max_size of "
            f"{quota.max_size} bytes"
        )
    if ledger.database.disk_shortage(need) > 0:
        ledger.database.relieve_disk(need)
    shortage = ledger.database.disk_shortage(need)
    if shortage > 0:
        raise BufferUnavailable(
            f"the disk of {ledger.database.path.parent} is full before the buffer's max_size of "
            f"{quota.max_size // _MIB} MiB is reached: free some space on its disk, at least "
            f"{shortage // _MIB + 1} MiB, or lower buffer.max_size"
        )


def need_of_routed(routed: Sequence[Routed]) -> Need:
    """Upper bounds for frames in an empty buffer."""
    partitions = {one.frame.partition for one in routed}
    names = sum(map(row_size, partitions))
    return need_of_frames([len(one.frame.data) for one in routed], len(partitions), names, Pages(0, 0))
