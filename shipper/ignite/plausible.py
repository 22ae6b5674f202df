"""Whether decoded values can be true: the guard for servers without reflection, whose field numbers are only
guessed.
"""

from __future__ import annotations

from typing import Final

from shipper.errors import ImplausibleAnswer
from shipper.ignite.port import LogChunk
from shipper.model import Replica

_EARLIEST_MS: Final = (
    946_684_800_000  # 2000-01-01: before Kubernetes, with room for clocks that are wrong by years
)
_LATEST_MS: Final = 4_102_444_800_000  # 2100-01-01


def _explain(what: str) -> ImplausibleAnswer:
    return ImplausibleAnswer(
        f"{what}. The server offers no gRPC reflection, and the field numbers of the bundled .proto do not fit it. Nothing of this "
        "was archived; shipper stops, because what it would write could be garbage. Enable reflection on the endpoint or use an "
        "endpoint that has it."
    )


def check_replica(replica: Replica) -> None:
    """Raise ImplausibleAnswer for a replica that no platform would list."""
    if not replica.replica_id or not replica.replica_id.isprintable():
        raise _explain(f"ListAppReplicas of {replica.app} decodes to replica_id {replica.replica_id[:80]!r}")
    if replica.started_ms and not _EARLIEST_MS <= replica.started_ms <= _LATEST_MS:
        raise _explain(f"ListAppReplicas of {replica.app} decodes to started_ms {replica.started_ms}")


def check_lines(replica_id: str, chunk: LogChunk, received: int) -> None:
    """Raise ImplausibleAnswer for first lines that cannot be of this replica. `received` counts the messages
    they came in.
    """
    if received and not chunk.times:
        seen = ", ".join(repr(name[:80]) for name in sorted(chunk.others)[:3]) or "nothing that decodes"
        raise _explain(f"StreamAppLogs of replica {replica_id!r} decodes to lines of {seen}")
    if chunk.times and not any(_EARLIEST_MS <= time <= _LATEST_MS for time in chunk.times):
        raise _explain(f"StreamAppLogs of replica {replica_id!r} decodes to timestamp_ms {chunk.times[0]}")
