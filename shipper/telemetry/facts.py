"""What the daemon tells of itself when somebody looks: plain values that `daemon` gathers and the status shows.

Times are Unix milliseconds; None where there is none. Texts come from the platform and from servers as they are: who
shows them escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

from shipper.model import Gap
from shipper.telemetry.recent import Counts

GLOB: Final = frozenset("*?[")
USUAL_LIMIT: Final = 100
MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Query:
    """Which apps and replicas are wanted: names, or globs as in `apps.include`; empty is all."""

    app: str = ""
    replica: str = ""
    offset: int = 0
    limit: int = USUAL_LIMIT

    def takes_app(self, organization: str, name: str) -> bool:
        """Whether an app is meant, by its name alone or with its organization."""
        return _fits(self.app, name) or _fits(self.app, f"{organization}/{name}")

    def takes_replica(self, replica_id: str) -> bool:
        """Whether a replica is meant."""
        return _fits(self.replica, replica_id)


@dataclass(frozen=True, slots=True)
class Stream:
    """A subscription. `newest_ms` is its newest record's own time, `heard_ms` when it last brought something or was
    opened; `taken` counts its records. `reason` says why its last stream ended. `build` is the one whose log it reads.
    """

    kind: str
    state: str
    since_ms: int
    newest_ms: int | None = None
    heard_ms: int | None = None
    taken: int | None = None
    rate: float | None = None
    reconnects: int = 0
    reason: str = ""
    build: str = ""


@dataclass(frozen=True, slots=True)
class ReplicaFacts:
    """A replica and what is followed of it."""

    app: str
    replica: str
    streams: Sequence[Stream]
    cluster: str = ""
    node: str = ""
    restarts: int = 0
    started_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AppFacts:
    """An app. `states` counts the log streams of its replicas; `streams` are its own subscriptions (events, builds).

    `problem` says why it cannot be listed, `refused` that only a person can mend that.
    """

    app: str
    replicas: int
    states: Mapping[str, int]
    streams: Sequence[Stream] = ()
    rate: float | None = None
    listed_ms: int | None = None
    problem: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class CollectFacts:
    """All apps, those that are meant, and a page of their replicas, the worst first.

    `states` counts all subscriptions by kind and state; `overdue` those that have not been open for minutes.
    """

    states: Mapping[tuple[str, str], int]
    apps: Sequence[AppFacts]
    apps_total: int
    apps_matching: int
    replicas: Sequence[ReplicaFacts]
    replicas_total: int
    replicas_matching: int
    overdue: int = 0
    unlisted: Sequence[AppFacts] = ()
    problem: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class SinkFacts:
    """A sink. `retry_ms` is when it is tried again, `stuck` counts batches that fail while others pass."""

    name: str
    type: str
    state: str
    since_ms: int
    concurrency: int
    in_flight: int
    backlog: int
    max_age_s: float
    oldest_ms: int | None = None
    retry_ms: int | None = None
    error: str = ""
    error_ms: int | None = None
    delivered_ms: int | None = None
    stuck: int = 0
    dead_letters: int = 0


@dataclass(frozen=True, slots=True)
class BufferFacts:
    """The buffer. `holding` says that streams are held back because it takes no more."""

    bytes: int
    limit_bytes: int
    disk_bytes: int
    frames: int
    when_full: str
    oldest_ms: int | None = None
    holding: bool = False


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that could be collected. `why` it is off."""

    name: str
    on: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class PlatformFacts:
    """The platform and how it is spoken to. `token_expires_ms` is None where that is not known."""

    endpoint: str
    organization: str
    dialect: str
    token: str
    token_expires_ms: int | None = None
    token_problem: str = ""
    connections: int = 0
    streams: int = 0
    error: str = ""
    error_ms: int | None = None
    features: Sequence[Feature] = ()


@dataclass(frozen=True, slots=True)
class ReloadFacts:
    """The last attempt to reload the configuration."""

    attempted_ms: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """The configuration in force; secrets in `settings` are hidden."""

    file: str
    since_ms: int
    settings: Mapping[str, Any]
    reload: ReloadFacts | None = None


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The process. `cpu` is the share of one core since the start."""

    version: str
    started_ms: int
    pid: int
    rss_bytes: int | None = None
    cpu_seconds: float | None = None
    open_files: int | None = None
    loop_lag_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything, at one moment. `unready` has the conditions that do not hold yet, with their reasons."""

    now_ms: int
    query: Query
    counts: Counts
    collect: CollectFacts
    sinks: Sequence[SinkFacts]
    buffer: BufferFacts
    platform: PlatformFacts
    config: ConfigFacts
    process: ProcessFacts
    gaps: Sequence[Gap] = ()
    unready: Mapping[str, str] = field(default_factory=dict)
    draining: bool = False


def _fits(pattern: str, name: str) -> bool:
    if not pattern or pattern == name:
        return True
    return bool(GLOB & set(pattern)) and fnmatchcase(name, pattern)
