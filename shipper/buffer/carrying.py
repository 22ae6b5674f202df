"""Replacing what a sink's pipeline holds back, and the bound on it.

A sink must always be able to settle its batch, so a replacement never fails for want of room: what others hold back
goes instead. First those that hold no records (counts of a throttle), least recently written first; then records, held
longest first, as a loss that is counted and recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shipper.buffer.carried import CarriedRow, new_row
from shipper.buffer.ledger import Ledger
from shipper.buffer.losses import Loss
from shipper.buffer.quota import LARGEST_STATE, Need, Pages, need_of_deletion, need_of_rows
from shipper.buffer.slots import Slot
from shipper.model import MS_PER_HOUR, Carried, GapReason, Partition

_MOST_ROWS: Final = 16_384  # a row has its place in memory too
_SURPLUS: Final = 16  # a sixteenth more goes than has to, so that gap records stay few
_AT_ONCE: Final = 4 * 1024 * 1024

_DETAIL: Final = "held back by a sink's pipeline, for which the buffer has no more room"


@dataclass(frozen=True, slots=True)
class Replacement:
    """What is held back of one partition, planned: the row that goes and the one that comes."""

    slot: Slot
    old: CarriedRow | None
    new: CarriedRow | None
    state: bytes

    def need(self, stored: int, pages: Pages) -> Need:
        """Upper bounds for writing it."""
        need = Need(0, 0)
        if self.new is not None:
            need = need_of_rows([self.new.size], stored, pages)
        if self.old is not None:
            need = need.plus(need_of_deletion(1, self.old.size, pages))
        return need


def plan(ledger: Ledger, slot: Slot, carried: Carried) -> Replacement:
    """Check it and make room for it."""
    if len(carried.state) > LARGEST_STATE:
        raise ValueError(
            f"the pipeline of {slot.name} wants to hold back {len(carried.state)} bytes of "
            f"{carried.partition.organization}/{carried.partition.app}; at most {LARGEST_STATE} are kept"
        )
    old = ledger.carried.get(slot.name, carried.partition)
    if not carried.state:
        return Replacement(slot, old, None, b"")
    number = old.id if old is not None else ledger.carried.next_id
    new = new_row(number, slot.name, carried)
    _make_way(ledger, old, new)
    return Replacement(slot, old, new, carried.state)


def write(ledger: Ledger, change: Replacement) -> None:
    """Within a transaction."""
    ledger.carried.replace(change.old, change.new, change.state)


def took(ledger: Ledger, change: Replacement) -> None:
    """The transaction has ended well."""
    ledger.carried.took(change.old, change.new)
    if change.old is not None and change.new is None:
        ledger.index.set_held(change.slot.number, change.old.partition, 0, 0)
        ledger.notes.freed = True
    if change.new is not None:
        held = change.new
        ledger.index.set_held(change.slot.number, held.partition, held.records, held.since_ms)


def carry(ledger: Ledger, sink: str, carried: Carried) -> None:
    """See Buffer.carry."""
    change = plan(ledger, ledger.slots.named(sink), carried)
    if change.old is None and change.new is None:
        return
    with ledger.database.transaction(change.need(ledger.carried.stored, ledger.pages())):
        write(ledger, change)
    took(ledger, change)


@dataclass(frozen=True, slots=True)
class Part:
    """Some of what a sink's pipeline holds back; the next part begins at the row `then`, None after the last."""

    carried: list[Carried]
    then: int | None


def read_part(ledger: Ledger, sink: str, start: int) -> Part:
    """What the sink's pipeline holds back, in the order of its rows from the number `start` on."""
    ledger.slots.named(sink)
    found: list[Carried] = []
    size = 0
    for row in sorted((row for row in ledger.carried if row.sink == sink), key=lambda row: row.id):
        if row.id < start:
            continue
        if found and size + row.size > _AT_ONCE:
            return Part(found, row.id)
        found.append(ledger.carried.read(row))
        size += row.size
    return Part(found, None)


def span_ms(partition: Partition) -> tuple[int, int]:
    """Between which times the partition's records lie."""
    return partition.hour * MS_PER_HOUR, (partition.hour + 1) * MS_PER_HOUR - 1


# ---- the bound ----


def _make_way(ledger: Ledger, old: CarriedRow | None, new: CarriedRow) -> None:
    table, quota = ledger.carried, ledger.database.quota
    while True:
        allowed = quota.allowed(quota.carried, table.stored, ledger.pages())
        excess = table.stored - (old.size if old is not None else 0) + new.size - allowed
        rows = len(table) + (old is None) - _MOST_ROWS
        if excess <= 0 and rows <= 0:
            return
        victims = _victims(ledger, old, excess + allowed // _SURPLUS, rows + _MOST_ROWS // _SURPLUS)
        if not victims:
            return
        _forget(ledger, victims)


def _victims(ledger: Ledger, spared: CarriedRow | None, size: int, rows: int) -> list[CarriedRow]:
    """What goes next: so many rows or so many bytes, whichever comes last, as far as one transaction takes them."""
    counts = [row for row in ledger.carried if not row.records and row is not spared]
    held = [row for row in ledger.carried if row.records and row is not spared]
    victims: list[CarriedRow] = []
    for row in [*counts, *sorted(held, key=lambda row: row.since_ms)]:
        if (size <= 0 and rows <= 0) or len(victims) >= ledger.database.quota.rows_per_deletion():
            break
        victims.append(row)
        size -= row.size
        rows -= 1
    return victims


def _forget(ledger: Ledger, victims: Sequence[CarriedRow]) -> None:
    """Delete rows, and record what is lost with them in the same transaction."""
    losses = []
    for row in victims:
        slot = ledger.slots.get(row.sink)
        if row.records and slot is not None:
            losses.append(Loss(row.partition, slot.bit, row.records, *span_ms(row.partition)))
    gaps = ledger.gaps(losses, GapReason.BUFFER_FULL, _DETAIL)
    planned = ledger.plan(ledger.gap_frames(gaps), ledger.now_ms())
    pages = ledger.pages()
    need = need_of_deletion(len(victims), sum(row.size for row in victims), pages).plus(planned.need(pages))
    with ledger.database.transaction(need):
        for row in victims:
            ledger.carried.replace(row, None, b"")
        ledger.write(planned)
    for row in victims:
        ledger.carried.took(row, None)
        slot = ledger.slots.get(row.sink)
        if slot is not None:
            ledger.index.set_held(slot.number, row.partition, 0, 0)
    ledger.took(planned)
    ledger.notes.freed = True
    ledger.lost(losses, gaps, GapReason.BUFFER_FULL, _DETAIL)
