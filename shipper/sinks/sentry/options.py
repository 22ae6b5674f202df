"""What a Sentry sink is told: which project, what becomes an issue there, and how long it waits for room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from shipper.sinks.sentry.event_kinds import EventFailure

if TYPE_CHECKING:
    from shipper.config.sentry import SentrySettings

DEFAULT_EVENTS = frozenset(
    (EventFailure.OOM_KILLED, EventFailure.CRASH_LOOP, EventFailure.IMAGE_PULL, EventFailure.PROBE_FAILED)
)


@dataclass(frozen=True, slots=True)
class SentryOptions:
    """One project and how to write into it. The DSN is left out of `repr`.

    `events` and `tracebacks` say what becomes an issue, `breadcrumbs` how many lines before it are shown, `archive`
    where the archive's folders lie. `longest_hold_s` is the longest rate limit that is waited for, 0 for none.
    `max_age_s` is the age of a record from which on it is not sent. `timeout_s` bounds one request.
    """

    dsn: str = field(repr=False)
    ca_file: Path | None = None
    environment: str | None = None
    release: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    events: frozenset[EventFailure] = DEFAULT_EVENTS
    tracebacks: bool = True
    issues_per_hour: int = 60
    breadcrumbs: int = 30
    archive: str | None = None
    longest_hold_s: float = 600.0
    max_age_s: float = 86_400.0
    timeout_s: float = 30.0
    concurrency: int = 4

    @classmethod
    def of(cls, settings: SentrySettings) -> Self:
        """What the configuration says."""
        return cls(
            dsn=settings.dsn.reveal(),
            ca_file=settings.ca_file,
            environment=settings.environment,
            release=settings.release,
            tags=dict(settings.tags),
            events=frozenset(map(EventFailure, settings.issues.events)),
            tracebacks=settings.issues.tracebacks,
            issues_per_hour=settings.issues_per_hour,
            breadcrumbs=settings.breadcrumbs,
            archive=settings.archive,
            longest_hold_s=settings.longest_hold if settings.on_rate_limit == "hold" else 0.0,
            max_age_s=settings.max_age,
            timeout_s=settings.request_timeout,
            concurrency=settings.concurrency,
        )
