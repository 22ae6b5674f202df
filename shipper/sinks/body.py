"""The bytes of an archive object: a batch's frames end to end, in the sink's own codec."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shipper.archive.codec import recode
from shipper.model import Batch, Codec


def body_of(batch: Batch, frames: Sequence[bytes], codec: Codec) -> Iterator[bytes]:
    """The object's bytes, piece by piece; the same batch gives the same bytes each time.

    Frames that are in `codec` already are not touched. Others are unpacked and packed again one at a time,
    which takes processor time: call it in a thread. Raises ArchiveDamaged for a frame that cannot be
    unpacked.
    """
    if batch.codec is codec:
        yield from frames
        return
    for frame in frames:
        yield recode(frame, batch.codec, codec)
