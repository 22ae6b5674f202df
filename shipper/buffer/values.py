"""What the buffer is told and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from shipper.model import Codec, Kind, Partition

Sinks = Mapping[str, frozenset[Kind] | None]
"""Each sink's name and the kinds it takes; None is all of them."""


class WhenFull(StrEnum):
    """What a commit does that does not fit in `max_size`."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"


@dataclass(frozen=True, slots=True)
class Dropped:
    """Records that were given up for these sinks, of one partition."""

    partition: Partition
    sinks: tuple[str, ...]
    records: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did. A frame that no sink takes, or that was dropped at once, has the id 0."""

    frame_ids: tuple[int, ...]
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenPartition:
    """The frames of one partition that are committed and not yet sealed for a sink.

    `codec` is that of the oldest frame; frames of another codec (from before a change of configuration) are
    sealed apart. `size` is the sum of the compressed sizes in bytes.
    """

    partition: Partition
    codec: Codec
    frames: int
    records: int
    size: int
    oldest_committed_ms: int


@dataclass(frozen=True, slots=True)
class BufferStats:
    """How full the buffer is.

    `bytes` is what frames, cursors and their indexes take, `disk_bytes` the files' sizes: a file shrinks
    later than its content. Neither exceeds `limit_bytes`. `oldest_committed_ms` and `backlog_records` are
    of frames that the sink has not acknowledged; a sink without such is absent from the former.
    """

    bytes: int
    limit_bytes: int
    disk_bytes: int
    frames: int
    oldest_committed_ms: Mapping[str, int]
    backlog_records: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Recovery:
    """A damaged file was moved aside to `path`; the rest says what could be saved into its successor.

    `lost_records` are counted losses; `complete` is False when there may be others that cannot be counted.
    """

    path: Path
    problem: str
    cursors: int
    frames: int
    records: int
    lost_records: int
    complete: bool
