"""What the buffer is told and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from shipper.model import Codec, Kind, Partition, Unrouted

Sinks = Mapping[str, frozenset[Kind] | None]
"""Each sink's name and the kinds it takes; None is all of them."""


class WhenFull(StrEnum):
    """What a commit does that does not fit in `max_size`."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"


Route = Callable[[Partition], frozenset[str] | Unrouted]
"""The sinks that are to get a partition's records, or why none does. It is asked once for each partition, in the
buffer's thread.
"""


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
class LetterTotals:
    """How many dead letters there are, and about how many bytes they take in the file."""

    letters: int = 0
    bytes: int = 0

    def plus(self, other: LetterTotals) -> LetterTotals:
        """Both."""
        return LetterTotals(self.letters + other.letters, self.bytes + other.bytes)

    def minus(self, other: LetterTotals) -> LetterTotals:
        """The former without the latter."""
        return LetterTotals(self.letters - other.letters, self.bytes - other.bytes)


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters are meant: those that meet everything that is given.

    `since_ms` (inclusive) and `until_ms` (exclusive) are about `buried_ms`; `reason` is a part of the letter's.
    """

    sink: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    reason: str = ""
    ids: frozenset[int] | None = None

    def takes(self, letter_id: int, sink: str, buried_ms: int, reason: str) -> bool:
        """Whether such a letter is meant."""
        return (
            (self.sink is None or self.sink == sink)
            and (self.since_ms is None or buried_ms >= self.since_ms)
            and (self.until_ms is None or buried_ms < self.until_ms)
            and self.reason in reason
            and (self.ids is None or letter_id in self.ids)
        )


@dataclass(frozen=True, slots=True)
class BufferStats:
    """How full the buffer is.

    `bytes` is what frames, cursors, dead letters and their indexes take, `disk_bytes` the files' sizes: a file
    shrinks later than its content. Neither exceeds `limit_bytes`. `oldest_committed_ms` and `backlog_records` are
    of frames that the sink has not acknowledged and of records that its pipeline holds back; a sink without such
    is absent from the former. A sink without dead letters is absent from `dead_letters`; one that is no longer
    configured may be in it.
    """

    bytes: int
    limit_bytes: int
    disk_bytes: int
    frames: int
    oldest_committed_ms: Mapping[str, int]
    backlog_records: Mapping[str, int]
    dead_letters: Mapping[str, LetterTotals] = field(default_factory=dict)


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
