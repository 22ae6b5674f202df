"""Reading a batch's frames, checked byte by byte; what is damaged is given up and recorded, and the rest
sealed anew.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

from shipper.buffer.forgetting import Why, give_up, successors_of
from shipper.buffer.index import FrameRow, Sealed
from shipper.buffer.ledger import Ledger
from shipper.buffer.schema import PIECES_OF_FRAME, pieces_of
from shipper.buffer.sealing import known_batch, members, mend
from shipper.model import Batch, GapReason

_AT_ONCE: Final = 8 * 1024 * 1024  # bytes read in one job, so that a commit never waits for a whole batch

_DAMAGED = Why(
    GapReason.BUFFER_CORRUPT,
    "a frame in the buffer did not have its checksum",
    "a frame in the buffer is damaged",
)


@dataclass(frozen=True, slots=True)
class Part:
    """Some frames of a batch in order; the next part begins at the frame `then`, None after the last."""

    frames: list[bytes]
    then: int | None


def read_part(ledger: Ledger, batch: Batch, start: int) -> Part | None:
    """The batch's frames from the number `start` on. None: they are not, or no longer, what was sealed."""
    sealed = known_batch(ledger, batch)
    if sealed is None:
        return None
    slot = ledger.slots.named(batch.sink)
    rows = members(ledger, slot, sealed)
    if len(rows) != sealed.frames:
        mend(ledger, slot, sealed, successors_of(ledger, slot, sealed, rows))
        return None
    frames: list[bytes] = []
    size = 0
    for row in rows:
        if row.id < start:
            continue
        if frames and size + row.size > _AT_ONCE:
            return Part(frames, row.id)
        data = frame_bytes(ledger, row)
        if data is None:
            _give_up_damaged(ledger, row)
            return None
        frames.append(data)
        size += row.size
    return Part(frames, None)


def frame_bytes(ledger: Ledger, row: FrameRow) -> bytes | None:
    """The frame's bytes, or None if they are not those that were committed."""
    return checked(row, [piece for (piece,) in ledger.database.rows(PIECES_OF_FRAME, pieces_of(row.id))])


def checked(row: FrameRow, pieces: list[bytes]) -> bytes | None:
    """The pieces as one, if together they have the frame's size and checksum."""
    if not all(type(piece) is bytes for piece in pieces):  # a damaged row may read as anything
        return None
    data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    return data if len(data) == row.size and zlib.crc32(data) == row.crc else None


def _give_up_damaged(ledger: Ledger, damaged: FrameRow) -> None:
    """Forget the frame for every sink; batches that had it are cut in two."""
    batches: list[Sealed] = []
    successors: list[Sealed] = []
    for slot in ledger.slots:
        for sealed in ledger.index.batches_of(damaged.partition_id):
            if sealed.slot == slot.number and sealed.holds(damaged.id) and damaged.sinks & slot.bit:
                rest = [row for row in members(ledger, slot, sealed) if row.id != damaged.id]
                batches.append(sealed)
                successors += successors_of(ledger, slot, sealed, rest, ahead=len(successors))
    give_up(ledger, [damaged], _DAMAGED, batches=batches, successors=successors)
