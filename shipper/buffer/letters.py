"""Burying dead letters, and the bound on them: the oldest of all are forgotten, counted and recorded.

Letters are given up for younger letters alone, never for frames, and no frame is given up for them. A small share of
the file is theirs whatever frames take, so that a full buffer can still settle a batch that has a bad record; up to
their bound they take more where there is room.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from shipper.buffer.ledger import Ledger
from shipper.buffer.letter_rows import LetterRow, delete_letters, insert_letter, letter_row, new_letter
from shipper.buffer.losses import Loss
from shipper.buffer.quota import PAGE_SIZE, need_of_forgetting, need_of_rows
from shipper.buffer.schema import LETTER_COLUMNS
from shipper.model import DeadLetter, Gap, GapReason, Kind

_SURPLUS: Final = 16  # a sixteenth more is forgotten than has to be, so that gap records stay few
_LOOKED_AT: Final = 4096

_FORGOTTEN: Final = "refused by the sink, and forgotten as a dead letter for want of room"

_Written = tuple[LetterRow, bytes, bytes]
"""A row, its reason and its record."""


def bury(ledger: Ledger, letters: Sequence[DeadLetter]) -> None:
    """See Buffer.bury."""
    for letter in letters:
        ledger.slots.named(letter.sink)
    for portion in _portions(ledger, letters):
        _bury(ledger, portion)


def _portions(ledger: Ledger, letters: Sequence[DeadLetter]) -> Iterator[list[_Written]]:
    """As many as a transaction may write, numbered."""
    most = ledger.database.quota.stage_pages * PAGE_SIZE
    portion: list[_Written] = []
    size = 0
    for letter in letters:
        row, reason = new_letter(ledger.letters.next_id + len(portion), letter)
        if portion and size + row.size > most:
            yield portion
            portion, size = [], 0
            row, reason = new_letter(ledger.letters.next_id, letter)
        portion.append((row, reason, letter.record))
        size += row.size
    if portion:
        yield portion


def _bury(ledger: Ledger, portion: Sequence[_Written]) -> None:
    table, quota = ledger.letters, ledger.database.quota
    allowed = quota.allowed(quota.letters, table.stored, ledger.pages())
    fitting = [one for one in portion if one[0].size <= min(allowed, quota.stage_pages * PAGE_SIZE)]
    kept = _youngest(fitting, allowed)
    saved = {row.id for row, _, _ in kept}
    lost = [row for row, _, _ in portion if row.id not in saved]
    excess = table.stored + sum(row.size for row, _, _ in kept) - allowed
    if len(kept) < len(fitting):
        forget_oldest(ledger, table.stored)  # all of them are older than what is lost here
    elif excess > 0:
        forget_oldest(ledger, excess + allowed // _SURPLUS)
    losses, gaps = _losses(ledger, lost)
    plan = ledger.plan(ledger.gap_frames(gaps), ledger.now_ms())
    pages = ledger.pages()
    need = need_of_rows([row.size for row, _, _ in kept], table.stored, pages).plus(plan.need(pages))
    with ledger.database.transaction(need):
        for row, reason, record in kept:
            insert_letter(ledger.database, row, reason, record)
        ledger.write(plan)
    ledger.took(plan)
    table.added(row for row, _, _ in kept)
    for sink, count in Counter(row.sink for row, _, _ in portion).items():
        ledger.notes.count("dead_letters_buried_total", count, sink)
    _say_forgotten(ledger, lost, losses, gaps)


def _youngest(portion: Sequence[_Written], size: int) -> Sequence[_Written]:
    """The last ones that fit together."""
    for number, (row, _, _) in reversed(list(enumerate(portion))):
        size -= row.size
        if size < 0:
            return portion[number + 1 :]
    return portion


# ---- forgetting ----


def forget_oldest(ledger: Ledger, size: int) -> None:
    """Forget the oldest letters of so many bytes."""
    while size > 0:
        rows = _oldest(ledger, size)
        if not rows:
            return
        size -= sum(row.size for row in rows)
        losses, gaps = _losses(ledger, rows)
        plan = ledger.plan(ledger.gap_frames(gaps), ledger.now_ms())
        pages = ledger.pages()
        need = need_of_forgetting([row.size for row in rows], pages).plus(plan.need(pages))
        with ledger.database.transaction(need):
            delete_letters(ledger.database, rows)
            ledger.write(plan)
        ledger.letters.removed(rows)
        ledger.took(plan)
        ledger.notes.freed = True
        _say_forgotten(ledger, rows, losses, gaps)


def _oldest(ledger: Ledger, size: int) -> list[LetterRow]:
    """The oldest letters of so many bytes, as far as one transaction takes them."""
    most = ledger.database.quota.wal_pages // 2
    pages = ledger.pages()
    found: list[LetterRow] = []
    select = f"SELECT {LETTER_COLUMNS} FROM letters ORDER BY id LIMIT {_LOOKED_AT}"  # noqa: S608 - our own names
    for values in ledger.database.each(select):
        if size <= 0:
            break
        row = letter_row(values)
        size -= row.size
        found.append(row)
    while len(found) > 1 and need_of_forgetting([row.size for row in found], pages).dirty > most:
        found = found[: len(found) // 2]
    return found


def _losses(ledger: Ledger, rows: Iterable[LetterRow]) -> tuple[list[Loss], list[tuple[Gap, int]]]:
    """What is lost with these letters, and the gaps that say so.

    Letters of a sink that is no longer configured are everyone's loss. A gap about refused gap records would be the
    next to be refused, and so on for ever.
    """
    losses = []
    for row in rows:
        slot = ledger.slots.get(row.sink)
        bits = slot.bit if slot is not None else 0
        losses.append(Loss(row.partition, bits, 1, row.timestamp_ms, row.timestamp_ms))
    worth_a_gap = [loss for loss in losses if loss.partition.kind is not Kind.GAPS]
    gaps = ledger.gaps(worth_a_gap, GapReason.REJECTED, _FORGOTTEN)
    return losses, [(gap, bits or ledger.router.all_bits) for gap, bits in gaps]


def _say_forgotten(
    ledger: Ledger, rows: Sequence[LetterRow], losses: Sequence[Loss], gaps: Sequence[tuple[Gap, int]]
) -> None:
    for sink, count in Counter(row.sink for row in rows).items():
        ledger.notes.count("dead_letters_ended_total", count, sink, "forgotten")
    ledger.lost(losses, gaps, GapReason.REJECTED, _FORGOTTEN)
