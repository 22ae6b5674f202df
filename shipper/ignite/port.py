"""The platform as the rest of shipper sees it, whatever the transport.

Every method may raise `CallFailed` (the status says what to do; see `ignite.status`) and `ImplausibleAnswer`
(stop).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from shipper.model import App, Replica


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Log lines that arrived together, as columns of equal length, in the server's order.

    `streams` holds `stdout`, `stderr`, another name as it came, or None where the platform sent none. `lines`
    are text, or bytes where the platform's field carries what is not UTF-8. `others` are the replica_ids of
    lines that belong to another replica than the one asked for; such lines are left out. `undecodable` counts
    messages that are not what their descriptor says.
    """

    times: list[int]
    streams: list[str | None]
    lines: Sequence[str | bytes]
    others: frozenset[str] = frozenset()
    undecodable: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """A platform event about a pod. Empty text and zero numbers mean that the platform sent none."""

    timestamp_ms: int
    kind: str
    reason: str
    message: str
    replica_id: str
    count: int
    severity: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """The answer of GetAppLogs."""

    chunk: LogChunk
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class EventPage:
    """The answer of GetAppEvents, or what arrived together on a stream of events."""

    events: tuple[Event, ...]
    truncated: bool = False
    undecodable: int = field(default=0)


@dataclass(frozen=True, slots=True)
class Draft:
    """An app's draft, as GetDraftInfo describes it. Empty text and zero mean that the platform sent none.

    `image_ref` is there where the draft is an image rather than code to compile.
    """

    deploy_id: str = ""
    image_ref: str = ""
    created_ms: int = 0


@dataclass(frozen=True, slots=True)
class Build:
    """A row of ListBuilds. `status` is `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED`, `CANCELLED`, another as it came,
    or None where the platform sent none.

    `name` is the build's or its image's; `app_name` may be empty, as builds need not know an app.
    """

    build_id: str
    name: str = ""
    app_name: str = ""
    status: str | None = None
    created_ms: int = 0


@dataclass(frozen=True, slots=True)
class Output:
    """What arrived together of what a build prints: bytes cut anywhere, and when each piece was printed (Unix ms)."""

    times: list[int]
    pieces: list[bytes]
    undecodable: int = 0


class BuildLog(Protocol):
    """The log of a completed build, read piece by piece; pieces are cut anywhere, and the log may be of any size.

    A pending read that is cancelled ends it. Raises CallFailed where it breaks off.
    """

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    @property
    def found(self) -> bool:
        """Once it is read to its end: whether the platform has such a log (any more)."""


class Platform(Protocol):
    """Ignite's observability calls.

    Unary calls are bounded in time by the transport (DEADLINE_EXCEEDED). A stream yields chunks until the
    server ends it: the iterator then stops (status OK) or raises CallFailed. Leaving the context cancels the
    stream. A chunk that was yielded is the caller's; cancellation of a pending read loses nothing that was
    yielded.
    """

    async def list_apps(self) -> list[str]:
        """Names of all apps of the organization, over all pages."""

    async def list_replicas(self, app: App) -> list[Replica]:
        """The running replicas of an app."""

    async def get_logs(self, app: App, replica_id: str, limit: int = 0) -> LogPage:
        """Recent lines of one replica, at most `limit` and what the platform allows; 0 is its default."""

    async def get_events(self, app: App) -> EventPage:
        """The events that the platform still remembers (about an hour)."""

    def stream_logs(
        self, app: App, replica_id: str, *, from_start: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[LogChunk]]:
        """A replica's full history from container start (unless it is not wanted), then its new lines."""

    def stream_events(self, app: App) -> AbstractAsyncContextManager[AsyncIterator[EventPage]]:
        """An app's events from now on; older ones are not replayed."""


class Builds(Protocol):
    """Ignite's calls for what builds print. Any of them may not be offered, which is UNIMPLEMENTED.

    Streams and logs are as those of `Platform`. None of these raises ImplausibleAnswer.
    """

    async def get_draft(self, app: App) -> Draft:
        """The app's draft; an empty one where it has none."""

    async def list_builds(self) -> list[Build]:
        """Image builds of the organization, over all pages, in the platform's order."""

    def get_build_log(self, app: App, build_id: str) -> AbstractAsyncContextManager[BuildLog]:
        """The whole log of a completed build."""

    def stream_compile_logs(
        self, deploy_id: str, *, from_start: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[Output]]:
        """What a compile printed from its beginning (unless it is not wanted), then what it prints, to its end."""

    def stream_build_logs(
        self, build_id: str, *, from_start: bool = True
    ) -> AbstractAsyncContextManager[AsyncIterator[Output]]:
        """The same of an image build."""
