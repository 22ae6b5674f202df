"""Whether decoded values can be true: the guard for servers without reflection, whose field numbers are only
guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from shipper.errors import ImplausibleAnswer
from shipper.ignite.port import Event, LogChunk
from shipper.model import Replica

_EARLIEST_MS: Final = 946_684_800_000  # 2000-01-01: before Kubernetes, with room for clocks wrong by years
_LATEST_MS: Final = 4_102_444_800_000  # 2100-01-01


def check_apps(names: Sequence[str]) -> None:
    """Raise ImplausibleAnswer for a name that no app can have."""
    for name in names:
        if not _is_name(name):
            raise _explain(f"ListApps decodes to an app named {name[:80]!r}")


def check_replicas(replicas: Sequence[Replica]) -> None:
    """Raise ImplausibleAnswer for a replica that no platform would list."""
    for replica in replicas:
        if not _is_name(replica.replica_id):
            raise _explain(
                f"ListAppReplicas of {replica.app} decodes to replica_id {replica.replica_id[:80]!r}"
            )
        if replica.started_ms and not _sane(replica.started_ms):
            raise _explain(f"ListAppReplicas of {replica.app} decodes to started_ms {replica.started_ms}")


def check_lines(replica_id: str, chunk: LogChunk) -> None:
    """Raise ImplausibleAnswer for first lines that cannot be of this replica."""
    if not chunk.times:
        seen = ", ".join(repr(name[:80]) for name in sorted(chunk.others)[:3]) or "no replica"
        raise _explain(f"log lines of replica {replica_id!r} decode to lines of {seen}")
    if not any(map(_sane, chunk.times)):
        raise _explain(f"log lines of replica {replica_id!r} decode to timestamp_ms {chunk.times[0]}")


def check_events(events: Sequence[Event]) -> None:
    """Raise ImplausibleAnswer for first events that say nothing, or at no time."""
    if events and not any(_sane(event.timestamp_ms) and (event.kind or event.reason) for event in events):
        raise _explain(
            f"events decode to timestamp_ms {events[0].timestamp_ms}, kind {events[0].kind[:80]!r}, "
            f"reason {events[0].reason[:80]!r}"
        )


def _sane(time_ms: int) -> bool:
    return _EARLIEST_MS <= time_ms <= _LATEST_MS


def _is_name(name: str) -> bool:
    return bool(name) and name.isprintable()


def _explain(what: str) -> ImplausibleAnswer:
    return ImplausibleAnswer(
        f"{what}. The server offers no gRPC reflection, and the field numbers of the bundled .proto do not fit it. "
        "Nothing of this was archived; shipper stops, because what it would write could be garbage. Enable "
        "reflection on the endpoint, or use an endpoint that has it."
    )
