"""Opening the books: the mirror is built from the file, and what the last run left unfinished is finished."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shipper.buffer.carried import CarriedTable
from shipper.buffer.commit import sweep
from shipper.buffer.cursors import CursorTable
from shipper.buffer.database import Damaged, Database, Row, stored_text
from shipper.buffer.forgetting import successors_of
from shipper.buffer.index import Index, Sealed
from shipper.buffer.ledger import Ledger
from shipper.buffer.letter_rows import LetterTable
from shipper.buffer.notes import Notes
from shipper.buffer.quota import Need
from shipper.buffer.removing import remove_sinks
from shipper.buffer.routing import Router
from shipper.buffer.schema import BATCHES, FRAMES, PARTITIONS, text_bytes
from shipper.buffer.sealing import members, mend
from shipper.buffer.slots import Slot, Slots, assign
from shipper.buffer.values import Route, Sinks, WhenFull
from shipper.buffer.writing import frame_row, partition_row
from shipper.errors import BufferFull
from shipper.model import App, Batch, Codec, Gap, GapReason, Kind

log = logging.getLogger("shipper.buffer")


@dataclass(frozen=True, slots=True)
class Setup:
    """What the buffer is used with. Those of the sinks that are `retired` take nothing new."""

    sinks: Sinks
    when_full: WhenFull
    clock: Callable[[], float]
    codec: Codec
    route: Route | None = None
    retired: frozenset[str] = frozenset()


def load(database: Database, setup: Setup) -> Ledger:
    """The books of an open file, for the configured sinks."""
    notes = Notes()
    stored = _stored_sinks(database)
    held = (stored_text(sink) for (sink,) in database.rows("SELECT DISTINCT sink FROM carried"))
    removed = [name for name in dict.fromkeys([*stored, *held]) if name not in setup.sinks]
    if removed:
        old = Slots(Slot(number, name, None, start) for name, (number, start) in stored.items())
        remove_sinks(_read(database, setup, old, notes), removed)
        stored = _stored_sinks(database)
    slots = assign(setup.sinks, stored, _next(database, "frames"), setup.retired)
    write_slots(database, [slot for slot in slots if slot.name not in stored])
    ledger = _read(database, setup, slots, notes)
    _mend_batches(ledger)
    sweep(ledger)
    record_losses(ledger)
    return ledger


def write_slots(database: Database, new: Sequence[Slot]) -> None:
    """Slots were given to sinks."""
    if new:
        with database.transaction(Need(2, 40)):
            database.run_many(
                "INSERT INTO sinks (slot, name, from_frame) VALUES (?, ?, ?)",
                ((slot.number, text_bytes(slot.name), slot.from_frame) for slot in new),
            )


def _stored_sinks(database: Database) -> dict[str, tuple[int, int]]:
    rows = database.rows("SELECT name, slot, from_frame FROM sinks")
    return {stored_text(name): (slot, from_frame) for name, slot, from_frame in rows}


def _next(database: Database, table: str) -> int:
    rows = database.rows("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
    return int(rows[0][0]) + 1 if rows else 1


# ---- building the mirror ----


def _read(database: Database, setup: Setup, slots: Slots, notes: Notes) -> Ledger:
    index = Index(slots)
    index.know(dict(map(partition_row, database.rows(PARTITIONS))))
    numbers = {slot.number: slot for slot in slots}
    for number, partition_id, frame_id in database.rows(
        "SELECT slot, partition_id, sealed_through FROM progress"
    ):
        if number in numbers:
            index.set_through(number, partition_id, frame_id)
    for values in database.rows(BATCHES):
        if values[1] in numbers:
            index.add_batch(_sealed(index, numbers[values[1]], values))
    ledger = Ledger(
        database=database,
        index=index,
        slots=slots,
        router=Router(slots, setup.route),
        cursors=CursorTable(database),
        carried=CarriedTable(database, _next(database, "carried")),
        letters=LetterTable(database, index, _next(database, "letters")),
        when_full=setup.when_full,
        clock=setup.clock,
        codec=setup.codec,
        buffer_id=database.meta("buffer_id"),
        next_frame=_next(database, "frames"),
        next_batch=_next(database, "batches"),
        next_partition=_next(database, "partitions"),
        notes=notes,
        staged=True,
    )
    for held in ledger.carried:
        slot = slots.get(held.sink)
        if slot is not None:
            index.set_held(slot.number, held.partition, held.records, held.since_ms)
    _read_frames(ledger)
    return ledger


def _read_frames(ledger: Ledger) -> None:
    index = ledger.index
    for values in ledger.database.each(f"{FRAMES} ORDER BY id"):
        row = frame_row(values)
        try:
            index.partition(row.partition_id)
        except KeyError as error:
            raise Damaged(f"frame {row.id} is of no partition") from error
        index.add([row])
        if not index.needed_by(row):
            ledger.garbage.add(row.id, row.id, 1, row.size)


def _sealed(index: Index, slot: Slot, values: Row) -> Sealed:
    number, _, partition_id, name, codec, frames, records, size, first_ms, last_ms, first, last, at, *rest = (
        values
    )
    tries, done, plan = rest
    try:
        partition = index.partition(partition_id)
        batch = Batch(
            batch_id=number,
            sink=slot.name,
            partition=partition,
            name=name,
            codec=Codec(codec),
            records=records,
            size=size,
            first_ms=first_ms,
            last_ms=last_ms,
            attempts=tries,
            done=int(done),
            plan=str(plan),
        )
    except (KeyError, ValueError) as error:
        raise Damaged(f"batch {number} cannot be read: {error}") from error
    return Sealed(batch, slot.number, partition_id, frames, first, last, at)


# ---- what the last run left ----


def _mend_batches(ledger: Ledger) -> None:
    """Batches whose frames are not all there (after damage) are sealed anew without them."""
    for slot in ledger.slots:
        for sealed in ledger.index.sealed(slot):
            rows = members(ledger, slot, sealed)
            if len(rows) != sealed.frames:
                mend(ledger, slot, sealed, successors_of(ledger, slot, sealed, rows))


def record_losses(ledger: Ledger) -> None:
    """Turn losses that were written down as rows into gap frames, for every sink."""
    rows = ledger.database.rows(
        "SELECT organization, app, kind, from_ms, to_ms, reason, lost, detail FROM losses ORDER BY id"
    )
    if not rows:
        return
    now_ms = ledger.now_ms()
    everyone = ledger.router.all_bits
    gaps = []
    for organization, app, kind, from_ms, to_ms, reason, lost, detail in rows:
        whose = App(stored_text(organization), stored_text(app))
        gaps.append(
            (Gap(now_ms, whose, "", Kind(kind), from_ms, to_ms, GapReason(reason), detail, lost), everyone)
        )
    plan = ledger.plan(ledger.gap_frames(gaps), now_ms)
    try:
        with ledger.database.transaction(plan.need(ledger.pages()).plus(Need(2, 64))):
            ledger.write(plan)
            ledger.database.run("DELETE FROM losses")
    except BufferFull as error:
        log.warning("known losses are not recorded yet, this is done at the next start: %s", error)
        return
    ledger.took(plan)
    for gap, _ in gaps:
        ledger.notes.count("gaps_total", 1, gap.reason.value)
        ledger.notes.gaps.append(gap)
