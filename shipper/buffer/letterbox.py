"""The dead letters as people see them: listed, shown, dropped, and sent again.

Everything goes over the letters in slices, each a job of its own, so that commits come in between however many there
are. What is buried meanwhile is left alone; so a record that is sent again and refused again is not sent for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from shipper.buffer.commit import require_room
from shipper.buffer.database import stored_text
from shipper.buffer.frames import FrameDraft, make_frames
from shipper.buffer.ledger import Ledger
from shipper.buffer.letter_rows import LetterRow, delete_letters, letter_of, letter_row
from shipper.buffer.losses import Routed
from shipper.buffer.quota import need_of_deletion
from shipper.buffer.schema import LETTER_COLUMNS
from shipper.buffer.values import LetterFilter, LetterTotals
from shipper.errors import BufferError
from shipper.model import DeadLetter, Partition

T = TypeVar("T")

_SLICE: Final = 500  # rows looked at in one job
_AT_ONCE: Final = 1024 * 1024  # bytes of letters that one job reads, and one transaction sends again
_PAGE: Final = 4 * 1024 * 1024


class Jobs(Protocol):
    """Runs an operation in the buffer's thread."""

    async def __call__(self, operation: Callable[[Ledger], T]) -> T: ...


class DeadLetters:
    """Raises BufferUnavailable or BufferFull where the buffer's other coroutines do."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def page(
        self, wanted: LetterFilter, *, limit: int = 100, newest_first: bool = True, after: int | None = None
    ) -> list[DeadLetter]:
        """A page of letters in the order of their burial, beginning after the one with the number `after`.

        A page may have less than `limit` letters where these are large; only an empty one is the end.
        """
        found: list[DeadLetter] = []
        size = 0
        then = after if after is not None else (None if newest_first else 0)
        while len(found) < limit and size < _PAGE:
            seen = await self._jobs(_Look(wanted, then, newest_first, limit - len(found)))
            found += seen.letters
            size += sum(len(letter.record) for letter in seen.letters)
            if seen.then is None:
                break
            then = seen.then
        return found

    async def get(self, letter_id: int) -> DeadLetter | None:
        """One letter; None if there is none of that number (any more)."""
        found = await self.page(LetterFilter(), limit=1, newest_first=False, after=letter_id - 1)
        return found[0] if found and found[0].letter_id == letter_id else None

    async def count(self, wanted: LetterFilter) -> LetterTotals:
        """How many are meant."""
        totals = LetterTotals()
        then: int | None = 0
        last = await self._jobs(_last)
        while then is not None:
            done = await self._jobs(_Count(wanted, then, last))
            totals, then = totals.plus(done.totals), done.then
        return totals

    async def drop(self, wanted: LetterFilter) -> int:
        """Forget the letters that are meant; returns how many. An error leaves those that were not yet reached."""
        return await self._each(_Drop, wanted)

    async def replay(self, wanted: LetterFilter) -> int:
        """Send the records of letters once more: each is a frame for its sink alone again, and no letter any more.

        Returns how many. Letters of sinks that are not configured stay. Where the buffer has no room for more, the
        rest stays too: it is BufferFull if nothing could be sent.
        """
        return await self._each(_Replay, wanted)

    async def _each(self, step: type[_Drop] | type[_Replay], wanted: LetterFilter) -> int:
        settled = 0
        then: int | None = 0
        last = await self._jobs(_last)
        while then is not None:
            try:
                done = await self._jobs(step(wanted, then, last))
            except BufferError:
                if settled:
                    return settled
                raise
            settled, then = settled + done.totals.letters, done.then
        return settled


@dataclass(frozen=True, slots=True)
class _Done:
    """What a job came to; the next begins after the letter `then`, None after the last."""

    totals: LetterTotals
    then: int | None


@dataclass(frozen=True, slots=True)
class _Seen:
    letters: list[DeadLetter]
    then: int | None


def _last(ledger: Ledger) -> int:
    return ledger.letters.next_id - 1


# ---- looking ----


@dataclass(slots=True)
class _Slice:
    """Rows that are meant, of those looked at; the next slice begins after the row `then`."""

    rows: list[LetterRow] = field(default_factory=list)
    then: int | None = None


def _slice(
    ledger: Ledger, wanted: LetterFilter, after: int | None, last: int | None, *, newest_first: bool
) -> _Slice:
    where, order = ("id < ?", "id DESC") if newest_first else ("id > ?", "id")
    limits = [after if after is not None else ledger.letters.next_id, last or ledger.letters.next_id]
    found = ledger.database.rows(
        f"SELECT {LETTER_COLUMNS}, reason FROM letters WHERE {where} AND id <= ? ORDER BY {order} LIMIT {_SLICE}",  # noqa: S608
        limits,
    )
    part = _Slice(then=found[-1][0] if len(found) == _SLICE else None)
    for values in found:
        row = letter_row(values[:-1])
        if wanted.takes(row.id, row.sink, row.buried_ms, stored_text(values[-1])):
            part.rows.append(row)
    return part


def _cut(part: _Slice, rows: int) -> _Slice:
    """As many of the rows, and about as many bytes, as one job takes, at least one."""
    size = 0
    for number, row in enumerate(part.rows):
        size += row.size
        if number and (number >= rows or size > _AT_ONCE):
            return _Slice(part.rows[:number], part.rows[number - 1].id)
    return part


def _read(ledger: Ledger, row: LetterRow) -> DeadLetter:
    ((reason, record),) = ledger.database.rows("SELECT reason, record FROM letters WHERE id = ?", (row.id,))
    return letter_of(row, reason, record)


@dataclass(frozen=True, slots=True)
class _Look:
    wanted: LetterFilter
    after: int | None
    newest_first: bool
    limit: int

    def __call__(self, ledger: Ledger) -> _Seen:
        part = _cut(_slice(ledger, self.wanted, self.after, None, newest_first=self.newest_first), self.limit)
        return _Seen([_read(ledger, row) for row in part.rows[: self.limit]], part.then)


@dataclass(frozen=True, slots=True)
class _Count:
    wanted: LetterFilter
    after: int
    last: int

    def __call__(self, ledger: Ledger) -> _Done:
        part = _slice(ledger, self.wanted, self.after, self.last, newest_first=False)
        return _Done(_totals(part.rows), part.then)


# ---- settling ----


@dataclass(frozen=True, slots=True)
class _Drop:
    wanted: LetterFilter
    after: int
    last: int

    def __call__(self, ledger: Ledger) -> _Done:
        part = _slice(ledger, self.wanted, self.after, self.last, newest_first=False)
        part = _cut(part, ledger.database.quota.rows_per_deletion())
        if part.rows:
            totals = _totals(part.rows)
            with ledger.database.transaction(need_of_deletion(totals.letters, totals.bytes, ledger.pages())):
                delete_letters(ledger.database, part.rows)
            _ended(ledger, part.rows, "dropped")
        return _Done(_totals(part.rows), part.then)


@dataclass(frozen=True, slots=True)
class _Replay:
    wanted: LetterFilter
    after: int
    last: int

    def __call__(self, ledger: Ledger) -> _Done:
        part = _slice(ledger, self.wanted, self.after, self.last, newest_first=False)
        part.rows = [row for row in part.rows if ledger.slots.takes_more(row.sink)]
        part = _cut(part, ledger.database.quota.rows_per_deletion())
        if part.rows:
            _send_again(ledger, part.rows)
        return _Done(_totals(part.rows), part.then)


def _send_again(ledger: Ledger, rows: Sequence[LetterRow]) -> None:
    """Letters become frames: both in one transaction."""
    routed = _frames(ledger, [_read(ledger, row) for row in rows])
    plan = ledger.plan(routed, ledger.now_ms())
    totals = _totals(rows)
    pages = ledger.pages()
    need = plan.need(pages)
    require_room(ledger, need, sum(row.size for row in plan.rows))
    with ledger.database.transaction(need.plus(need_of_deletion(totals.letters, totals.bytes, pages))):
        delete_letters(ledger.database, rows)
        ledger.write(plan)
    ledger.took(plan)
    _ended(ledger, rows, "replayed")


def _frames(ledger: Ledger, letters: Sequence[DeadLetter]) -> list[Routed]:
    """The records of each sink and partition as a frame for that sink, whatever the routes say now."""
    drafts: dict[str, dict[Partition, FrameDraft]] = {}
    for letter in letters:
        line = letter.record if letter.record.endswith(b"\n") else letter.record + b"\n"
        at = letter.timestamp_ms
        partitions = drafts.setdefault(letter.sink, {})
        partitions.setdefault(letter.partition, FrameDraft([], at, at, 0)).add([line], at, at)
    return [
        Routed(frame, ledger.slots.named(sink).bit)
        for sink, partitions in drafts.items()
        for frame in make_frames(partitions, ledger.codec)
    ]


def _ended(ledger: Ledger, rows: Sequence[LetterRow], how: str) -> None:
    """The letters are durably gone."""
    ledger.letters.removed(rows)
    ledger.notes.freed = True
    for sink, count in Counter(row.sink for row in rows).items():
        ledger.notes.count("dead_letters_ended_total", count, sink, how)


def _totals(rows: Sequence[LetterRow]) -> LetterTotals:
    return LetterTotals(len(rows), sum(row.size for row in rows))
