"""The parcels of one batch on their way: which is next, which are settled, and what was refused. Pure decisions.

Parcels are answered in any order. What counts is the longest settled beginning of the batch's entries, because a
restart goes on there. A refused parcel is replaced by smaller ones in its place.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from shipper.entry import Entry
from shipper.sinks.port import Parcel


@dataclass(slots=True, eq=False)
class Piece:
    """A parcel and its place in the batch. `entries` are those it carries, from the batch's entry `start` on;
    `settles` counts from the batch's first entry. `refused_at` is the number of acceptances when it was refused, and
    `certain` whether all was well around it then.
    """

    start: int
    entries: Sequence[Entry]
    settles: int
    parcel: Parcel
    done: bool = False
    parts: Sequence[Piece] | None = None
    reason: str = ""
    refused_at: int | None = None
    certain: bool = False

    def forget(self) -> None:
        """Keep nothing in memory that is not needed again."""
        self.entries = ()
        self.parcel = replace(self.parcel, body=None)


@dataclass(frozen=True, slots=True)
class Refused:
    """One entry that will never be taken, and the answer."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class Settled:
    """What was settled by going on: `records` delivered, entries refused for good, and what the parcels counted."""

    records: int = 0
    refused: tuple[Refused, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    altered: Mapping[str, int] = field(default_factory=dict)


class Parcels:
    """The parcels of a batch whose first `done` entries were settled before.

    `settled`: how many entries are. `packed`: how many were given out in parcels; packing goes on there. `since`:
    when the first of them was made (the event loop's seconds).
    """

    def __init__(self, done: int = 0, since: float = 0.0) -> None:
        self.since = since
        self.settled = done
        self.packed = done
        self.in_flight = 0
        self._single_was_last = False
        self._pieces: deque[Piece] = deque()  # in the order of the entries
        self._fresh: deque[Piece] = deque()  # to be sent: not tried yet,
        self._waiting: deque[Piece] = deque()  # parts of what was refused, large ones first,
        self._singles: deque[Piece] = deque()  # and those of a single entry
        self._lines: deque[int] = deque()  # records of each entry from `settled` to `packed`
        self._refused: dict[int, Refused] = {}

    def add(self, base: int, entries: Sequence[Entry], parcel: Parcel) -> None:
        """The next parcel that was packed of `entries`, of which the first is the batch's entry `base`."""
        settles = base + parcel.settles
        self._lines.extend(entry.lines for entry in entries[max(self.packed - base, 0) : parcel.settles])
        self.packed = max(self.packed, settles)
        self._pieces.append(self._made(base, entries, parcel, settles, self._fresh))

    def resume(self) -> None:
        """Another attempt begins: what was refused and is not buried is asked about again, last of all."""
        pieces: list[Piece] = list(self._pieces)
        while pieces:
            piece = pieces.pop(0)
            pieces[:0] = piece.parts or ()
            if piece.refused_at is not None:
                self._ask_again(piece)

    def take(self, *, doubtful: bool = False) -> Piece | None:
        """The next parcel to send. What is `doubtful` is decided soonest by records that were not tried yet and by
        single ones, in turn; else what was refused comes first, the large parts of it before the small ones.
        """
        queues = (self._singles, self._waiting, self._fresh)
        if doubtful:
            turn = (self._fresh, self._singles) if self._single_was_last else (self._singles, self._fresh)
            queues = (*turn, self._waiting)
        for queue in queues:
            if queue:
                self.in_flight += 1
                self._single_was_last = queue is self._singles
                return queue.popleft()
        return None

    def wants_more(self, *, doubtful: bool) -> bool:
        """Whether a new parcel would be the next one to send."""
        if self._fresh:
            return False
        return not (self._singles or self._waiting) or (
            doubtful and (self._single_was_last or not self._singles)
        )

    def give_back(self, piece: Piece) -> None:
        """It could not be sent, or not now: it is the next one again."""
        self.in_flight -= 1
        self._waiting.appendleft(piece)

    def delivered(self, piece: Piece) -> None:
        """It was accepted."""
        self.in_flight -= 1
        piece.done = True
        piece.forget()

    def dropped(self, piece: Piece, dropped: Mapping[str, int], altered: Mapping[str, int]) -> None:
        """It is done with, unsent; what was to be counted for it goes up by these."""
        parcel = piece.parcel
        piece.parcel = replace(
            parcel, dropped=_sum(parcel.dropped, dropped), altered=_sum(parcel.altered, altered)
        )
        self.delivered(piece)

    def refused(self, piece: Piece, reason: str, acceptances: int, *, certain: bool) -> None:
        """Its only entry was refused; whether it is buried, is decided in `advance`."""
        self.in_flight -= 1
        piece.reason, piece.refused_at, piece.certain = reason, acceptances, certain

    def split(self, piece: Piece, parts: Iterable[tuple[int, Sequence[Entry], Sequence[Parcel]]]) -> None:
        """It was refused: in its place come the parcels of parts of its entries. Each part is its first entry's place
        in the piece, the entries, and what they were packed into. Single entries are sent first.
        """
        self.in_flight -= 1
        made = [
            self._made(
                piece.start + at,
                entries,
                parcel,
                min(piece.settles, piece.start + at + parcel.settles),
                self._singles if len(entries) == 1 else self._waiting,
            )
            for at, entries, parcels in parts
            for parcel in parcels
        ]
        if any(len(one.entries) >= len(piece.entries) for one in made):
            raise ValueError("the parts of a parcel were not packed into smaller ones")
        if made:
            made[-1].settles = piece.settles
            piece.parts = made
        else:
            piece.done = True  # by now the sink leaves out what it carried
        piece.forget()

    def advance(self, acceptances: int, *, bury_all: bool = False) -> Settled:
        """Go on over what is settled. A refused entry is where something was accepted after it, or with `bury_all`; if
        its refusal was not certain, it is asked about once more.
        """
        before = self.settled
        dropped: Counter[str] = Counter()
        altered: Counter[str] = Counter()
        while self._pieces:
            piece = self._pieces[0]
            if piece.parts is not None:
                self._pieces.popleft()
                self._pieces.extendleft(reversed(piece.parts))
                continue
            if piece.done:
                dropped.update(piece.parcel.dropped)
                altered.update(piece.parcel.altered)
            elif piece.refused_at is None or not (bury_all or acceptances > piece.refused_at):
                break
            elif not (bury_all or piece.certain):
                self._ask_again(piece)
                break
            else:
                self._refused.setdefault(piece.start, Refused(piece.entries[0], piece.reason))
            self._pieces.popleft()
            self.settled = max(self.settled, piece.settles)
        records = sum(self._lines.popleft() for _ in range(self.settled - before)) - sum(dropped.values())
        gone = [place for place in self._refused if place < self.settled]
        refused = tuple(self._refused.pop(place) for place in sorted(gone))
        records -= sum(one.entry.lines for one in refused)
        return Settled(max(records, 0), refused, dropped, altered)

    @property
    def unsettled(self) -> int:
        """How many parcels were made and are not settled, by and large."""
        return len(self._pieces)

    @property
    def first_reason(self) -> str:
        """Why the first of the entries that are not settled was refused."""
        return self._pieces[0].reason if self._pieces else ""

    @property
    def weight(self) -> int:
        """How many entries are kept for parcels that are not done."""
        return sum(len(piece.entries) for piece in (*self._fresh, *self._waiting, *self._singles))

    def _ask_again(self, piece: Piece) -> None:
        piece.refused_at = None
        self._waiting.append(piece)

    def _made(
        self, base: int, entries: Sequence[Entry], parcel: Parcel, settles: int, queue: deque[Piece]
    ) -> Piece:
        piece = Piece(base + parcel.start, entries[parcel.start : parcel.stop], settles, parcel)
        if parcel.body is None:
            piece.done = True
            piece.forget()
        else:
            queue.append(piece)
        return piece


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> Mapping[str, int]:
    return Counter(one) + Counter(other)
