"""Saving what can be read of a damaged buffer file into a new one.

Cursors come first: without them the platform's whole history would be taken again. Then frames whose bytes are
whole, and what sinks have done with them. Where it cannot be known what a sink has, it gets the frame again:
rather twice than never.

What is lost is written into the new file as rows of `losses`, exact where the frame's row could be read. If more
may be missing than can be counted, each app that is known gets a gap without a count; if no app is known, the gap
is of the app "" of the organization "", which no real one can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from shipper.buffer.cursors import CursorTable
from shipper.buffer.damaged import DamagedFile
from shipper.buffer.database import Damaged, Database, stored_text
from shipper.buffer.losses import Loss, gaps_of
from shipper.buffer.quota import Need
from shipper.buffer.removing import loss_values
from shipper.buffer.routing import Router
from shipper.buffer.salvage_frames import FrameSalvage
from shipper.buffer.salvage_rows import RowSalvage
from shipper.buffer.schema import BATCH_COLUMNS, INSERT_BATCH, INSERT_LOSS, SET_PROGRESS, text_bytes
from shipper.buffer.slots import assign
from shipper.buffer.values import Route, Sinks
from shipper.model import CursorWrite, Gap, GapReason, Kind, Partition

_UNKNOWN: Final = Partition(Kind.LOGS, "", "", 0)
_NUMBERED: Final = ("frames", "partitions", "batches", "carried", "letters")


@dataclass(frozen=True, slots=True)
class Saved:
    """What a salvage came to. `complete`: every loss is counted."""

    cursors: int = 0
    frames: int = 0
    records: int = 0
    lost_records: int = 0
    complete: bool = True


def salvage(source: DamagedFile, target: Database, sinks: Sinks, route: Route | None, now_ms: int) -> Saved:
    """Fill the empty target. Raises BufferUnavailable if the disk refuses; then the target is of no use."""
    cursors = _save_cursors(source, target)
    stored = _stored_sinks(source)
    known = bool(stored)
    if known:
        slots = assign({name: kinds for name, kinds in sinks.items() if name in stored}, stored, 1)
    else:
        slots = assign(sinks, {}, 1)
        stored = {slot.name: (slot.number, slot.from_frame) for slot in slots}
    with target.transaction(Need(4, 64)):
        target.run_many(
            "INSERT INTO sinks (slot, name, from_frame) VALUES (?, ?, ?)",
            ((number, text_bytes(name), start) for name, (number, start) in stored.items()),
        )
    frames = FrameSalvage(source, target, Router(slots, route), not known, now_ms)
    frames.run()
    if known:
        _save_sealing(source, target, frames.written)
    rows = RowSalvage(source, target)
    rows.run()
    _save_sequences(source, target)
    losses = [*frames.losses, *rows.losses]
    complete = frames.complete and rows.complete
    _record_losses(target, losses, None if complete else frames.partitions.values(), now_ms)
    return Saved(
        cursors=cursors,
        frames=frames.frames,
        records=frames.records,
        lost_records=sum(loss.records or 0 for loss in losses),
        complete=complete,
    )


def nothing_saved(target: Database, now_ms: int) -> Saved:
    """The successor of a file of which nothing can be used: empty, but for the loss."""
    detail = "the buffer file was damaged, nothing could be read"
    unknown = [Loss(_UNKNOWN, 0, None, 0, now_ms)]
    _write_losses(target, gaps_of(unknown, GapReason.BUFFER_CORRUPT, now_ms, detail))
    return Saved(complete=False)


def _save_cursors(source: DamagedFile, target: Database) -> int:
    segments: dict[int, list[tuple[int, bytes]]] = {}
    for cursor_id, seq, data in source.each("segments", "cursor_id, seq, data", 2):
        if isinstance(seq, int) and isinstance(data, bytes):
            segments.setdefault(cursor_id, []).append((seq, data))
    table = CursorTable(target)
    count = 0
    for cursor_id, key, state, updated_ms in source.each("cursors", "id, key, state, updated_ms"):
        try:
            name = stored_text(key)
        except Damaged:
            continue
        if not isinstance(state, bytes) or not isinstance(updated_ms, int):
            continue
        write = CursorWrite(name, state, tuple(sorted(segments.get(cursor_id, ()))))
        with target.transaction(table.need([write], target.pages())):
            change = table.write([write], updated_ms)
        table.took(change)
        count += 1
    return count


def _stored_sinks(source: DamagedFile) -> dict[str, tuple[int, int]]:
    """The sinks' slots; none if they are not all known, as a bit would be taken for another sink's."""
    stored: dict[str, tuple[int, int]] = {}
    for slot, name, from_frame in source.each("sinks", "slot, name, from_frame"):
        try:
            stored[stored_text(name)] = (int(slot), int(from_frame))
        except (Damaged, TypeError, ValueError):
            source.torn.add("sinks")
    return {} if "sinks" in source.torn else stored


def _save_sealing(source: DamagedFile, target: Database, partitions: set[int]) -> None:
    progress = [
        row
        for row in source.each("progress", "slot, partition_id, sealed_through", 2)
        if row[1] in partitions
    ]
    columns = BATCH_COLUMNS.replace("done, plan", "0, ''") if source.is_of_version_1 else BATCH_COLUMNS
    batches = [row for row in source.each("batches", columns) if row[2] in partitions]
    if source.torn & {"progress", "batches"}:
        return  # half of it would pass sealed frames off as acknowledged
    pages = len(progress) // 64 + len(batches) // 8 + 64
    with target.transaction(Need(pages, pages)):
        target.run_many(SET_PROGRESS, progress)
        target.run_many(INSERT_BATCH, batches)


def _save_sequences(source: DamagedFile, target: Database) -> None:
    """Go on with numbers that were never used, as far as that can be known."""
    for name, seq in source.sequences(*_NUMBERED):
        with target.transaction(Need(2, 32)):
            target.run(
                "INSERT INTO sqlite_sequence (name, seq) SELECT ?, 0 "
                "WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = ?)",
                (name, name),
            )
            target.run("UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = ?", (seq, name))


def _record_losses(
    target: Database, losses: Sequence[Loss], known: Iterable[Partition] | None, now_ms: int
) -> None:
    """`known` are all partitions where more may be missing than `losses` say."""
    reason = GapReason.BUFFER_CORRUPT
    gaps = gaps_of(losses, reason, now_ms, "the buffer file was damaged")
    if known is not None:
        suspects = [one for one in known if one.kind is not Kind.GAPS]
        unknown = [Loss(one, 0, None, 0, now_ms) for one in suspects or [_UNKNOWN]]
        gaps += gaps_of(unknown, reason, now_ms, "the buffer file was damaged, more may be missing")
    _write_losses(target, gaps)


def _write_losses(target: Database, gaps: list[tuple[Gap, int]]) -> None:
    with target.transaction(Need(len(gaps) // 16 + 2, len(gaps) // 16 + 16)):
        target.run_many(INSERT_LOSS, (loss_values(gap) for gap, _ in gaps))
