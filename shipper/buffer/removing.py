"""Sinks that are no longer configured: they lose their rows, loudly, and what only they were to get is a gap.

Their dead letters stay, bounded as all are: a person may still look at them, and the sink may come back.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence

from shipper.buffer.carrying import span_ms
from shipper.buffer.database import Database
from shipper.buffer.index import FrameRow
from shipper.buffer.ledger import Ledger
from shipper.buffer.losses import Loss, gaps_of
from shipper.buffer.quota import Need, need_of_deletion
from shipper.buffer.schema import FRAMES, INSERT_LOSS, text_bytes
from shipper.buffer.slots import Slots
from shipper.buffer.writing import frame_row
from shipper.model import Gap, GapReason

log = logging.getLogger("shipper.buffer")


def remove_sinks(ledger: Ledger, names: Sequence[str], *, all_taken: bool = False) -> None:
    """Forget sinks, and write down as losses what no remaining sink got or will get.

    `all_taken`: they are known to have everything, so that no frame needs to be looked at.
    """
    gone = [slot for slot in ledger.slots if slot.name in names]
    bits = sum(slot.bit for slot in gone)
    detail = f"undelivered when sinks were removed from the configuration: {', '.join(sorted(names))}"
    undelivered = _remove_held(ledger, frozenset(names), bits, detail)
    losses: list[Loss] = []
    for values in () if all_taken else ledger.database.each(FRAMES):
        row = frame_row(values)
        needed = ledger.index.needed_by(row)
        for slot in gone:
            undelivered[slot.name] += row.records if needed & slot.bit else 0
        if needed & bits and not _is_for_others(ledger.slots, row, bits):
            partition = ledger.index.partition(row.partition_id)
            losses.append(Loss(partition, 0, row.records, row.first_ms, row.last_ms))
    gaps = gaps_of(losses, GapReason.SINK_REMOVED, ledger.now_ms(), detail)
    database = ledger.database
    with database.transaction(_removal_need(database, len(gaps))):
        for slot in gone:
            for table in ("batches", "progress", "sinks"):
                database.run(f"DELETE FROM {table} WHERE slot = ?", (slot.number,))  # noqa: S608 - our own names
        _write_losses(database, gaps)
    for name in names:
        log.log(
            logging.WARNING if undelivered[name] else logging.INFO,
            "sink %s is no longer configured: %s records that it had not taken are given up for it",
            name,
            undelivered[name],
            extra={"sink": name},
        )
        ledger.notes.count("records_dropped_total", undelivered[name], name, GapReason.SINK_REMOVED.value)


def _remove_held(ledger: Ledger, names: frozenset[str], bits: int, detail: str) -> Counter[str]:
    """Forget what the sinks' pipelines held back, some at a time; returns how many records that were.

    The frames that they came from are gone. By the routes as they are now it is known whether another sink had them.
    """
    records: Counter[str] = Counter()
    held = [row for row in ledger.carried if row.sink in names]
    limit = ledger.database.quota.rows_per_deletion()
    for portion in (held[at : at + limit] for at in range(0, len(held), limit)):
        lost = [row for row in portion if row.records and not ledger.router.bits(row.partition) & ~bits]
        losses = [Loss(row.partition, 0, row.records, *span_ms(row.partition)) for row in lost]
        gaps = gaps_of(losses, GapReason.SINK_REMOVED, ledger.now_ms(), detail)
        need = need_of_deletion(len(portion), sum(row.size for row in portion), ledger.pages())
        with ledger.database.transaction(need.plus(_need_of_losses(len(gaps)))):
            for row in portion:
                ledger.carried.replace(row, None, b"")
            _write_losses(ledger.database, gaps)
        for row in portion:
            ledger.carried.took(row, None)
            records[row.sink] += row.records
    return records


def _write_losses(database: Database, gaps: Sequence[tuple[Gap, int]]) -> None:
    database.run_many(INSERT_LOSS, (loss_values(gap) for gap, _ in gaps))


def loss_values(gap: Gap) -> tuple[object, ...]:
    """A gap as a row of `losses`, which becomes a frame when the file is open for commits."""
    return (
        text_bytes(gap.app.organization),
        text_bytes(gap.app.name),
        gap.stream_kind.value,
        gap.from_ms,
        gap.to_ms,
        gap.reason.value,
        gap.lost,
        gap.detail,
    )


def _is_for_others(slots: Slots, row: FrameRow, bits: int) -> bool:
    return any(row.sinks & slot.bit and not slot.bit & bits and row.id >= slot.from_frame for slot in slots)


def _need_of_losses(gaps: int) -> Need:
    return Need(gaps // 16 + 2, gaps // 16 + 16)


def _removal_need(database: Database, gaps: int) -> Need:
    """Deleted rows are spread over whole tables: as many pages as those may have."""
    ((batches,),) = database.rows("SELECT COUNT(*) FROM batches")
    ((progress,),) = database.rows("SELECT COUNT(*) FROM progress")
    return Need(gaps // 16 + 2, batches // 8 + progress // 64 + gaps // 16 + 64)
