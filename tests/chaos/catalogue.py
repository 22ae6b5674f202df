"""Every kind of fault that a run may have, with what it needs and what it cannot be mixed with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.chaos import (
    disk_faults,
    host_faults,
    kill_faults,
    network_faults,
    platform_faults,
    sink_faults,
    stream_faults,
)
from tests.chaos.faulty_disk import Step

if TYPE_CHECKING:
    import random

    from tests.chaos.site import Site

    Act = Callable[[Site, random.Random], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """`act` does it and undoes it. `needs` are sinks that must be there, `only` all that may be. `disk`: the library
    that makes system calls fail is there; `apart`: in a network namespace; `slow`: it is over, or found, after a
    minute.
    """

    name: str
    act: Act
    says: str
    needs: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    takes_s: float = 2.0
    not_with: frozenset[str] = frozenset()
    disk: bool = False
    apart: bool = False
    slow: bool = False

    def goes_with(self, other: FaultKind) -> bool:
        """Whether both may be in one run."""
        lonely = other.name in self.not_with or self.name in other.not_with
        clash = (self.only and not other.needs <= self.only) or (other.only and not self.needs <= other.only)
        return not lonely and not clash and not (self.only and other.only)


S3: Final = frozenset({"s3"})
FOLDER: Final = frozenset({"directory"})
FULL: Final = frozenset(
    {"buffer_full_block", "buffer_full_drop", "memory_limit", "disk_full_buffer", "clock_step"}
)
KILLS: Final = frozenset(
    {
        "kill_random",
        "kill_commit",
        "kill_seal",
        "kill_acknowledge",
        "kill_checkpoint",
        "kill_publish",
        "kill_upload",
        "kill_stored",
        "kill_answered",
        "kill_reload",
        "rotation_unclear",
    }
)
ENDS: Final = KILLS | {"sigterm", "buffer_read_only"}
BROKEN: Final = frozenset(
    {"buffer_sync_error", "buffer_write_error", "archive_sync_error", "archive_write_error"}
)

_ALL: Final = (
    FaultKind("cut_reset", stream_faults.reset, "every TCP connection to the platform is reset"),
    FaultKind("cut_unavailable", stream_faults.cut_unavailable, "streams end with UNAVAILABLE"),
    FaultKind("cut_ok", stream_faults.cut_ok, "streams end with OK while their replica prints on"),
    FaultKind(
        "half_open_stream",
        stream_faults.half_open_stream,
        "a stream stays open and brings nothing more",
        slow=True,
    ),
    FaultKind(
        "half_open_connection",
        stream_faults.half_open_connection,
        "connections stay open and carry nothing more",
        slow=True,
    ),
    FaultKind(
        "network_cut",
        stream_faults.network_cut,
        "nothing reaches the platform, then every connection is reset",
        takes_s=3.0,
    ),
    FaultKind(
        "packets_lost_platform",
        network_faults.packets_lost_platform,
        "packets from and to the platform vanish (iptables in a network namespace)",
        takes_s=4.0,
        apart=True,
    ),
    FaultKind(
        "packets_lost_s3",
        network_faults.packets_lost_s3,
        "packets from and to S3 vanish",
        needs=S3,
        takes_s=4.0,
        apart=True,
    ),
    FaultKind("slow_loris", stream_faults.slow_loris, "the platform's bytes come 40 at a time", takes_s=3.0),
    FaultKind(
        "reordering",
        stream_faults.reordering,
        "lines are up to a second out of order, each replay in an order of its own",
    ),
    FaultKind("duplicates", stream_faults.duplicates, "the server sends lines twice"),
    FaultKind("garbage", stream_faults.garbage, "messages that are none"),
    FaultKind("stream_cap", stream_faults.stream_cap, "two to four streams a connection"),
    FaultKind("listing_empty", platform_faults.listing_empty, "ListAppReplicas answers with an empty list"),
    FaultKind("listing_failing", platform_faults.listing_failing, "ListAppReplicas and ListApps fail"),
    FaultKind(
        "listing_wrong", platform_faults.listing_wrong, "ListAppReplicas leaves out replicas that print"
    ),
    FaultKind("brief_replicas", platform_faults.brief_replicas, "replicas that live a second", takes_s=3.0),
    FaultKind(
        "restart_in_place", platform_faults.restart_in_place, "containers crash and start again in their pod"
    ),
    FaultKind("rotation", platform_faults.rotation, "logs are rotated while streams are cut"),
    FaultKind(
        "rotation_unclear",
        platform_faults.rotation_unclear,
        "a rotation leaves one late line; SIGKILL before the next",
        takes_s=4.0,
        not_with=BROKEN,
    ),
    FaultKind("scale_to_zero", platform_faults.scale_to_zero, "an app's replicas go, others come"),
    FaultKind(
        "token_revoked",
        platform_faults.token_revoked,
        "tokens are revoked, the token endpoint is down",
        takes_s=3.0,
    ),
    FaultKind("server_restart", platform_faults.server_restart, "the platform's server goes and comes back"),
    FaultKind("s3_503", sink_faults.s3_503, "S3 answers 503", needs=S3),
    FaultKind("s3_reset", sink_faults.s3_reset, "S3 resets connections when a request is read", needs=S3),
    FaultKind(
        "s3_lost_answer",
        sink_faults.s3_lost_answer,
        "S3 stores the object; its answer is lost or cut short",
        needs=S3,
    ),
    FaultKind("s3_stall", sink_faults.s3_stall, "S3 reads requests and answers nothing", needs=S3),
    FaultKind(
        "datadog_trouble",
        sink_faults.datadog_trouble,
        "Datadog refuses, resets, loses answers",
        needs=frozenset({"datadog"}),
    ),
    FaultKind(
        "sentry_trouble",
        sink_faults.sentry_trouble,
        "Sentry refuses, resets, limits",
        needs=frozenset({"sentry"}),
    ),
    FaultKind(
        "buffer_full_block",
        sink_faults.buffer_full,
        "the only sink is down until the buffer is full, `when_full: block`",
        only=S3,
        takes_s=5.0,
        not_with=FULL,
    ),
    FaultKind(
        "buffer_full_drop",
        sink_faults.buffer_full,
        "the only sink is down until the buffer is full, `when_full: drop_oldest`",
        only=S3,
        takes_s=5.0,
        not_with=FULL,
    ),
    FaultKind(
        "disk_full_buffer",
        host_faults.disk_full_buffer,
        "the buffer's disk is full (a tmpfs)",
        takes_s=3.0,
        not_with=FULL,
    ),
    FaultKind(
        "disk_full_archive",
        host_faults.disk_full_archive,
        "the archive's disk is full (a tmpfs)",
        needs=FOLDER,
        takes_s=3.0,
    ),
    FaultKind(
        "archive_read_only",
        host_faults.archive_read_only,
        "the archive's file system (ext4) is mounted read-only, or aborted and mounted anew",
        needs=FOLDER,
        takes_s=3.0,
        not_with=frozenset({"disk_full_archive"}) | BROKEN,
        slow=True,
    ),
    FaultKind(
        "buffer_sync_error",
        disk_faults.buffer_sync_error,
        "fsync of the buffer fails with EIO",
        takes_s=4.0,
        not_with=FULL | BROKEN | ENDS,
        disk=True,
    ),
    FaultKind(
        "buffer_write_error",
        disk_faults.buffer_write_error,
        "writes to the buffer fail (EIO, ENOSPC, EDQUOT, EROFS) or are short",
        takes_s=4.0,
        not_with=FULL | BROKEN | ENDS,
        disk=True,
    ),
    FaultKind(
        "archive_sync_error",
        disk_faults.archive_sync_error,
        "fsync in the archive fails with EIO",
        needs=FOLDER,
        takes_s=4.0,
        not_with=BROKEN,
        disk=True,
    ),
    FaultKind(
        "archive_write_error",
        disk_faults.archive_write_error,
        "writes, renames and new files in the archive fail",
        needs=FOLDER,
        takes_s=4.0,
        not_with=BROKEN,
        disk=True,
        slow=True,
    ),
    FaultKind(
        "buffer_read_only",
        disk_faults.buffer_read_only,
        "the buffer's file system goes read-only (ext4, aborted) and is mounted anew",
        takes_s=3.0,
        not_with=FULL | BROKEN | KILLS,
    ),
    FaultKind("kill_random", host_faults.kill_random, "SIGKILL, three times, at any moment", takes_s=4.0),
    FaultKind(
        "kill_commit",
        kill_faults.in_step(Step.COMMIT),
        "SIGKILL before, within or after a system call of a commit",
        takes_s=3.0,
        disk=True,
        not_with=BROKEN,
    ),
    FaultKind(
        "kill_seal",
        kill_faults.in_step(Step.SEAL),
        "the same where a batch is sealed",
        takes_s=3.0,
        disk=True,
        not_with=BROKEN,
    ),
    FaultKind(
        "kill_acknowledge",
        kill_faults.in_step(Step.ACKNOWLEDGE),
        "the same where a batch is acknowledged",
        takes_s=3.0,
        disk=True,
        not_with=BROKEN,
    ),
    FaultKind(
        "kill_checkpoint",
        kill_faults.in_step(Step.CHECKPOINT),
        "the same where SQLite's log is emptied",
        takes_s=3.0,
        disk=True,
        not_with=BROKEN,
    ),
    FaultKind(
        "kill_publish",
        kill_faults.in_step(Step.UPLOAD),
        "the same where the directory sink writes a file",
        needs=FOLDER,
        takes_s=3.0,
        disk=True,
        not_with=BROKEN,
    ),
    FaultKind(
        "kill_reload",
        kill_faults.kill_reload,
        "SIGHUP adds, drains or discards a sink; SIGKILL within 0.3 s",
        takes_s=4.0,
        disk=True,
        not_with=BROKEN,
    ),
    FaultKind(
        "kill_upload",
        host_faults.kill_upload,
        "SIGKILL when S3 has read a request and not looked at it",
        needs=S3,
        takes_s=3.0,
    ),
    FaultKind(
        "kill_stored",
        host_faults.kill_stored,
        "SIGKILL when S3 has stored an object and not answered",
        needs=S3,
        takes_s=3.0,
    ),
    FaultKind(
        "kill_answered",
        host_faults.kill_answered,
        "SIGKILL when S3 has answered",
        needs=S3,
        takes_s=3.0,
    ),
    FaultKind("sigterm", host_faults.sigterm, "SIGTERM, and a new start", takes_s=4.0),
    FaultKind("sigstop", host_faults.sigstop, "SIGSTOP for two to four seconds", takes_s=4.0),
    FaultKind(
        "sigstop_minute",
        host_faults.sigstop_minute,
        "SIGSTOP for sixty seconds",
        not_with=ENDS,
        slow=True,
    ),
    FaultKind(
        "second_daemon", host_faults.second_daemon, "a second daemon on the same buffer", not_with=ENDS
    ),
    FaultKind(
        "clock_step", host_faults.clock_step, "the daemon's wall clock jumps (libfaketime)", not_with=FULL
    ),
    FaultKind(
        "memory_limit",
        host_faults.memory_limit,
        "a cgroup of 160 MiB and four times the lines",
        not_with=FULL,
    ),
)

FAULTS: Final[dict[str, FaultKind]] = {kind.name: kind for kind in _ALL}
