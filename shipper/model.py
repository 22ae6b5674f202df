"""The frozen values that every room shares.

Times are integers: `*_ms` is Unix milliseconds (UTC), as the platform gives them; they may be zero, negative or absurd.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

MS_PER_HOUR: Final = 3_600_000


class Kind(StrEnum):
    """What a record is; the first level of the archive's layout."""

    LOGS = "logs"
    EVENTS = "events"
    BUILDS = "builds"
    GAPS = "gaps"


class Codec(StrEnum):
    """How the bytes of a frame are compressed. Frames of one codec may be concatenated."""

    ZSTD = "zstd"
    GZIP = "gzip"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class App:
    """An Ignite app: the pair that the platform keys everything by."""

    organization: str
    name: str

    def __str__(self) -> str:
        return f"{self.organization}/{self.name}"


@dataclass(frozen=True, slots=True)
class Replica:
    """A running pod of an app, as ListAppReplicas describes it. `replica_id` outlives container restarts."""

    app: App
    replica_id: str
    cluster_id: str = ""
    node_name: str = ""
    status: str = ""
    ready: bool = False
    restart_count: int = 0
    started_ms: int = 0


@dataclass(frozen=True, slots=True)
class Partition:
    """Which folder of the archive a record belongs to.

    `hour` is whole hours since the Unix epoch, of the record's own time; `archive.layout.hour_of` makes it and keeps it
    within the years 1 to 9999.
    """

    kind: Kind
    organization: str
    app: str
    hour: int


class Unrouted(StrEnum):
    """Why a partition's records are for no sink. The values are public: metrics use them."""

    NO_ROUTE = "no_route"  # no route takes them
    FILTERED = "filtered"  # a route drops them


class GapReason(StrEnum):
    """Why records could not be had. The values are public: archive, metrics and docs use them."""

    ROTATED = "rotated"  # the replay began later than what had been taken
    RESTARTED = "restarted"  # the container restarted in place while no stream was open to it
    REPLICA_GONE = "replica_gone"  # the replica went before its history was read (to its end)
    REPLICA_UNSEEN = "replica_unseen"  # an event named a replica that no poll ever listed
    TRUNCATED = "truncated"  # the platform's answer was cut and does not reach back to what had been taken
    BUILD_GONE = "build_gone"  # the platform has no log (any more) of a build that it names
    BUILD_CHANGED = "build_changed"  # a build's log was replayed, and did not begin with what had been taken
    UNDECODABLE = "undecodable"  # a message that is not what its descriptor says
    BUFFER_FULL = "buffer_full"  # when_full: drop_oldest
    BUFFER_CORRUPT = "buffer_corrupt"  # the buffer file was damaged
    REJECTED = "rejected"  # a sink refused the batch for good
    SINK_REMOVED = "sink_removed"  # only a sink that is no longer configured was still to get the records


@dataclass(frozen=True, slots=True)
class Gap:
    """A known, recorded loss. `lost` is a count of records, or None when it cannot be known."""

    noticed_ms: int
    app: App
    replica_id: str
    stream_kind: Kind
    from_ms: int
    to_ms: int
    reason: GapReason
    detail: str = ""
    lost: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """The records of one partition from one commit, as compressed NDJSON: what lies in the buffer and in the archive.

    `raw_size` is the size of the NDJSON in bytes, `data` its compressed form.
    """

    partition: Partition
    codec: Codec
    records: int
    first_ms: int
    last_ms: int
    raw_size: int
    data: bytes


@dataclass(frozen=True, slots=True)
class CursorWrite:
    """What one commit stores of one cursor. The store does not look inside.

    `key` names the subscription. `state` replaces what was stored. `segments` are (sequence number, bytes) rows to
    insert or replace; rows below `drop_below` are forgotten. `delete` forgets all of it (the rest is then ignored).
    """

    key: str
    state: bytes
    segments: tuple[tuple[int, bytes], ...] = ()
    drop_below: int = 0
    delete: bool = False


@dataclass(frozen=True, slots=True)
class StoredCursor:
    """A cursor as it was committed; `segments` in ascending order of their sequence numbers."""

    key: str
    state: bytes
    segments: tuple[tuple[int, bytes], ...]
    updated_ms: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The frames of one partition that a sink takes at once. Once sealed, its name and bytes never change.

    `batch_id` identifies it in the buffer; `name` is the object's base name without extension: a pure function of the
    batch that sorts by time. `size` is the sum of the frames' compressed sizes in bytes. `done` says how many of the
    entries that the pipeline called `plan` makes of the batch are delivered; under another plan it means nothing.
    """

    batch_id: int
    sink: str
    partition: Partition
    name: str
    codec: Codec
    records: int
    size: int
    first_ms: int
    last_ms: int
    attempts: int = 0
    done: int = 0
    plan: str = ""


@dataclass(frozen=True, slots=True)
class Carried:
    """What a sink's pipeline holds back of a partition until more comes: the open end of a stack trace, counts.

    `state` is the pipeline's own. `records` counts those that are held in it and not delivered, since `since_ms`.
    """

    partition: Partition
    state: bytes
    records: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that a sink refused for good, kept with the answer so that a person can look and send it again.

    `record` is one line of NDJSON, as it was to leave. `letter_id` is 0 until the buffer has stored it.
    """

    sink: str
    partition: Partition
    buried_ms: int
    timestamp_ms: int
    reason: str
    record: bytes
    letter_id: int = 0
