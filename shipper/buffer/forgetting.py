"""Giving frames up: they are deleted, and the gap that says so is written in the same transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shipper.buffer.index import FrameRow, Sealed
from shipper.buffer.ledger import Ledger
from shipper.buffer.losses import Loss
from shipper.buffer.quota import Need
from shipper.buffer.slots import Slot
from shipper.buffer.values import Dropped
from shipper.model import GapReason

BATCH_NEED = Need(2, 24)


@dataclass(frozen=True, slots=True)
class Why:
    """The reason of a loss: for the gap records, and in words for the log."""

    reason: GapReason
    detail: str
    said: str


def loss_of(ledger: Ledger, row: FrameRow) -> Loss:
    """What is lost with a frame: its records, for the sinks that are still to get it."""
    partition = ledger.index.partition(row.partition_id)
    return Loss(partition, ledger.index.needed_by(row), row.records, row.first_ms, row.last_ms)


def give_up(
    ledger: Ledger,
    rows: Sequence[FrameRow],
    why: Why,
    *,
    batches: Sequence[Sealed] = (),
    successors: Sequence[Sealed] = (),
) -> tuple[Dropped, ...]:
    """Forget these frames and batches, for every sink; `successors` are what becomes of batches that lose a member.

    Frames that do not fit the transaction are deleted as garbage soon after: with their batches gone, no
    sink needs them.
    """
    limit = ledger.database.quota.rows_per_deletion()
    now, later = rows[:limit], rows[limit:]
    losses = [loss for loss in (loss_of(ledger, row) for row in rows) if loss.bits]
    gaps = ledger.gaps(losses, why.reason, why.detail)
    plan = ledger.plan(ledger.gap_frames(gaps), ledger.now_ms())
    need = ledger.deletion_need(now).plus(plan.need(ledger.pages()))
    for _ in (*batches, *successors):
        need = need.plus(BATCH_NEED)
    with ledger.database.transaction(need):
        removal = ledger.delete(now, batches, keep=[row.partition_id for row in plan.rows])
        ledger.write(plan)
        for sealed in successors:
            ledger.write_batch(sealed)
    ledger.removed(removal, plan)
    for sealed in successors:
        ledger.took_batch(sealed)
    if later:
        ledger.garbage.add(later[0].id, later[-1].id, len(later), sum(row.size for row in later))
    return ledger.lost(losses, gaps, why.reason, why.said)


def successors_of(
    ledger: Ledger, slot: Slot, sealed: Sealed, rest: Sequence[FrameRow], ahead: int = 0
) -> list[Sealed]:
    """What a batch becomes that lost some of its frames: two batches, so that none has the old one's name.

    A sink may have stored the old batch without saying so. The same name with other bytes would overwrite
    that.
    """
    if not rest:
        return []
    if len(rest) == 1:
        return [ledger.make_batch(slot, sealed.partition_id, rest, ahead)]
    middle = len(rest) // 2
    return [
        ledger.make_batch(slot, sealed.partition_id, rest[:middle], ahead),
        ledger.make_batch(slot, sealed.partition_id, rest[middle:], ahead + 1),
    ]
