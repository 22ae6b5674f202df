"""What to do about each reason for which records are lost."""

from __future__ import annotations

from typing import Final

from shipper.model import GapReason

LOSSES: Final = frozenset(
    reason.value
    for reason in (
        GapReason.BUFFER_FULL,
        GapReason.BUFFER_CORRUPT,
        GapReason.REJECTED,
        GapReason.SINK_REMOVED,
    )
)
"""Reasons of dropped records that are losses. What is dropped for another reason is left out as the routes want it."""

WHAT_TO_DO: Final[dict[str, str]] = {
    GapReason.ROTATED: (
        "The platform had already forgotten lines when a stream was opened again. Look why streams were not open "
        "(reconnects, the platform's last error, a full buffer), and whether the app prints more than the platform "
        "keeps."
    ),
    GapReason.RESTARTED: (
        "A container restarted while no stream was open to it, and its lines went with it. Look why it restarts, and "
        "why no stream was open."
    ),
    GapReason.REPLICA_GONE: (
        "A replica went before it was read to its end. If this repeats: shorter collect.poll_interval, fewer "
        "reconnects, a buffer that is not full."
    ),
    GapReason.REPLICA_UNSEEN: (
        "A replica lived for less than a listing takes to show it. If this repeats, lower collect.poll_interval."
    ),
    GapReason.TRUNCATED: (
        "The platform's answer was cut before it reached what had been taken. The app prints more than GetAppLogs "
        "gives at once; only streams that stay open help."
    ),
    GapReason.BUILD_GONE: (
        "The platform had no log of a build any more, or could not give it before the days for which it keeps one were "
        "over. Look why shipper did not run, or was refused, while it had."
    ),
    GapReason.BUILD_CHANGED: (
        "The log of a build, read again from its beginning, was not what had been taken. What was new by the number of "
        "its lines was taken; compare with the platform's own log."
    ),
    GapReason.UNDECODABLE: (
        "The platform sent messages that are not what its own description says. Update shipper; if it is up to date, "
        "report it with the daemon's log."
    ),
    GapReason.BUFFER_FULL: (
        "The buffer is full and the oldest records are dropped. Mend the sink that takes nothing, or raise "
        "buffer.max_size."
    ),
    GapReason.BUFFER_CORRUPT: (
        "The buffer file was damaged; what could be read was saved, and the damaged file lies beside it. Check the "
        "disk under buffer.path."
    ),
    GapReason.REJECTED: (
        "A sink refused records for good; the gap has its answer. Where the sink keeps dead letters: shipper "
        "deadletter list."
    ),
    GapReason.SINK_REMOVED: (
        "A sink was taken out of the configuration while records waited for it alone. Nothing to do if that was meant."
    ),
}


def what_to_do(reason: str) -> str:
    """A sentence or two for the reason of a gap."""
    return WHAT_TO_DO.get(reason, "See the gap's detail.")
