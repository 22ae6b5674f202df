"""Batches: sealing frames into them, and what becomes of them when a sink has answered."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from shipper.buffer import carrying
from shipper.buffer.forgetting import BATCH_NEED
from shipper.buffer.index import FrameRow, Open, Sealed
from shipper.buffer.ledger import Ledger
from shipper.buffer.losses import Loss
from shipper.buffer.quota import PAGE_SIZE, Need, Quota
from shipper.buffer.schema import DELETE_BATCH, FRAMES, FRAMES_IN_RANGE, SET_PROGRESS
from shipper.buffer.slots import Slot
from shipper.buffer.writing import Plan, frame_row
from shipper.model import Batch, Carried, GapReason, Kind, Partition

_FEW: Final = 4
_LONGEST_PLAN: Final = 200  # characters: a digest, with room for a name

log = logging.getLogger("shipper.buffer")


def seal(ledger: Ledger, sink: str, partition: Partition, max_size: int) -> Batch | None:
    """See Buffer.seal."""
    slot = ledger.slots.named(sink)
    partition_id = ledger.index.id_of(partition)
    if partition_id is None or ledger.index.open_of(slot, partition_id) is None:
        return None
    rows = _oldest(ledger, slot, partition_id, max_size)
    if not rows:
        return None
    sealed = ledger.make_batch(slot, partition_id, rows)
    with ledger.database.transaction(BATCH_NEED.plus(Need(2, 24))):
        ledger.write_batch(sealed)
        ledger.database.run(SET_PROGRESS, (slot.number, partition_id, sealed.last_frame))
        rest = ledger.open_without(slot, partition_id, rows, sealed.last_frame)
    _took_seal(ledger, slot, sealed, rest)
    return sealed.batch


def known_batch(ledger: Ledger, batch: Batch) -> Sealed | None:
    """The batch as it is sealed now; None if it was settled, given up, or cut because a frame of it was damaged."""
    sealed = ledger.index.batch(ledger.slots.named(batch.sink), batch.batch_id)
    return sealed if sealed is not None and sealed.batch.name == batch.name else None


def members(ledger: Ledger, slot: Slot, sealed: Sealed) -> list[FrameRow]:
    """The rows of a batch's frames."""
    where = (sealed.partition_id, sealed.first_frame, sealed.last_frame)
    rows = (frame_row(values) for values in ledger.database.each(FRAMES_IN_RANGE, where))
    return [row for row in rows if row.sinks & slot.bit]


def attempted(ledger: Ledger, batch: Batch) -> None:
    """See Buffer.attempted."""
    sealed = known_batch(ledger, batch)
    if sealed is None:
        return
    again = replace(sealed.batch, attempts=sealed.batch.attempts + 1)
    with ledger.database.transaction(BATCH_NEED):
        ledger.database.run("UPDATE batches SET attempts = ? WHERE id = ?", (again.attempts, again.batch_id))
    ledger.took_batch(replace(sealed, batch=again))


def progressed(ledger: Ledger, batch: Batch, done: int, plan: str) -> None:
    """See Buffer.progressed."""
    if done < 0 or len(plan) > _LONGEST_PLAN:
        raise ValueError(f"{done} entries of a plan whose name has {len(plan)} characters")
    sealed = known_batch(ledger, batch)
    if sealed is None:
        return
    further = replace(sealed.batch, done=done, plan=plan)
    with ledger.database.transaction(BATCH_NEED):
        ledger.database.run(
            "UPDATE batches SET done = ?, plan = ? WHERE id = ?", (done, plan, further.batch_id)
        )
    ledger.took_batch(replace(sealed, batch=further))


def acknowledge(ledger: Ledger, batch: Batch, carried: Carried | None = None) -> None:
    """See Buffer.acknowledge."""
    if carried is not None and carried.partition != batch.partition:
        raise ValueError(f"what is held back of {carried.partition} is no part of {batch.partition}")
    sealed = known_batch(ledger, batch)
    if sealed is None:
        log.warning(
            "%s has taken a batch that the buffer no longer has: it was settled before, or given up for want of room",
            batch.sink,
            extra={"sink": batch.sink, "key": batch.name},
        )
        return
    change = None
    if carried is not None:
        change = carrying.plan(ledger, ledger.slots.named(batch.sink), carried)
    _settle(ledger, sealed, Plan(), change)


def reject(ledger: Ledger, batch: Batch, reason: str) -> None:
    """See Buffer.reject."""
    sealed = known_batch(ledger, batch)
    if sealed is None:
        return
    slot = ledger.slots.named(batch.sink)
    batch = sealed.batch
    losses = [Loss(batch.partition, slot.bit, batch.records, batch.first_ms, batch.last_ms)]
    # A gap about rejected gap records would be the next to be rejected, and so on for ever.
    gaps = [] if batch.partition.kind is Kind.GAPS else ledger.gaps(losses, GapReason.REJECTED, reason)
    _settle(ledger, sealed, ledger.plan(ledger.gap_frames(gaps), ledger.now_ms()))
    ledger.lost(losses, gaps, GapReason.REJECTED, f"{batch.sink} refuses batch {batch.name} ({reason})")


def _settle(ledger: Ledger, sealed: Sealed, plan: Plan, change: carrying.Replacement | None = None) -> None:
    """The sink has done with the batch: forget it and every frame that no other sink needs; insert what is planned."""
    slot = ledger.slots.named(sealed.batch.sink)
    database = ledger.database
    need = BATCH_NEED.plus(plan.need(ledger.pages())) if plan.rows else BATCH_NEED
    keep = [row.partition_id for row in plan.rows]
    if change is not None:
        need = need.plus(change.need(ledger.carried.stored, ledger.pages()))
    free: list[FrameRow] = []
    at_once = _is_cheap_to_delete(sealed, database.quota)
    if at_once:
        rows = members(ledger, slot, sealed)
        free = [row for row in rows if not ledger.index.needed_by(row) & ~slot.bit]
        need = need.plus(ledger.deletion_need(free))
    with database.transaction(need):
        removal = ledger.delete(free, [sealed], keep=keep)
        ledger.write(plan)
        if change is not None:
            carrying.write(ledger, change)
    ledger.removed(removal, plan)
    if change is not None:
        carrying.took(ledger, change)
    if not at_once:
        # Another sink may need some of them still; its own answer will count them again.
        ledger.garbage.add(sealed.first_frame, sealed.last_frame, sealed.frames, sealed.batch.size)


def _is_cheap_to_delete(sealed: Sealed, quota: Quota) -> bool:
    """Few frames, or such that fill pages of their own; others wait for a sweep."""
    few = sealed.frames <= _FEW or sealed.batch.size >= sealed.frames * PAGE_SIZE // 2
    return few and sealed.frames <= quota.rows_per_deletion()


def mend(ledger: Ledger, slot: Slot, sealed: Sealed, successors: Sequence[Sealed]) -> None:
    """Put other batches in the place of one whose frames are not all there."""
    need = BATCH_NEED
    for _ in successors:
        need = need.plus(BATCH_NEED)
    with ledger.database.transaction(need):
        ledger.database.run(DELETE_BATCH, (sealed.batch.batch_id,))
        for one in successors:
            ledger.write_batch(one)
    ledger.index.remove_batch(sealed)
    for one in successors:
        ledger.took_batch(one)
    log.warning(
        "batch %s of %s lost frames and is sealed anew",
        sealed.batch.name,
        slot.name,
        extra={"sink": slot.name},
    )


def _oldest(ledger: Ledger, slot: Slot, partition_id: int, max_size: int) -> list[FrameRow]:
    """The oldest unsealed frames up to `max_size` and of one codec, at least one."""
    taken: list[FrameRow] = []
    size = 0
    where = (partition_id, ledger.index.through(slot, partition_id), slot.bit)
    sql = f"{FRAMES} WHERE partition_id = ? AND id > ? AND sinks & ? ORDER BY id"
    for values in ledger.database.each(sql, where):
        row = frame_row(values)
        if taken and (size + row.size > max_size or row.codec is not taken[0].codec):
            break
        taken.append(row)
        size += row.size
    return taken


def _took_seal(ledger: Ledger, slot: Slot, sealed: Sealed, rest: Open | None) -> None:
    ledger.index.set_through(slot.number, sealed.partition_id, sealed.last_frame)
    ledger.index.set_open(slot, sealed.partition_id, rest)
    ledger.took_batch(sealed)
