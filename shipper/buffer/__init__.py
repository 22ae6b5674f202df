"""The durable buffer between collect and deliver: one SQLite file.

Records are committed to it together with the cursors of the streams that they came from; sinks take them as
sealed batches and acknowledge. See docs/decisions/0001-sqlite-buffer.md.
"""

from shipper.buffer.frames import FrameDraft, gap_frame, gap_frames, make_frames
from shipper.buffer.quota import MINIMUM_SIZE
from shipper.buffer.store import Buffer
from shipper.buffer.values import (
    BufferStats,
    Committed,
    Dropped,
    OpenPartition,
    Recovery,
    Sinks,
    WhenFull,
)

__all__ = [
    "MINIMUM_SIZE",
    "Buffer",
    "BufferStats",
    "Committed",
    "Dropped",
    "FrameDraft",
    "OpenPartition",
    "Recovery",
    "Sinks",
    "WhenFull",
    "gap_frame",
    "gap_frames",
    "make_frames",
]
