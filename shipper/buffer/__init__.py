"""The durable buffer between collect and deliver: one SQLite file.

Records are committed to it together with the cursors of the streams that they came from; sinks take them as
sealed batches and acknowledge. See docs/decisions/0001-sqlite-buffer.md.
"""

from shipper.buffer.frames import FrameDraft, gap_frame, gap_frames, make_frames
from shipper.buffer.letterbox import DeadLetters
from shipper.buffer.quota import LARGEST_STATE, MINIMUM_SIZE
from shipper.buffer.store import Buffer
from shipper.buffer.values import (
    BufferStats,
    Committed,
    Dropped,
    LetterFilter,
    LetterTotals,
    OpenPartition,
    Recovery,
    Route,
    Sinks,
    WhenFull,
)

__all__ = [
    "LARGEST_STATE",
    "MINIMUM_SIZE",
    "Buffer",
    "BufferStats",
    "Committed",
    "DeadLetters",
    "Dropped",
    "FrameDraft",
    "LetterFilter",
    "LetterTotals",
    "OpenPartition",
    "Recovery",
    "Route",
    "Sinks",
    "WhenFull",
    "gap_frame",
    "gap_frames",
    "make_frames",
]
