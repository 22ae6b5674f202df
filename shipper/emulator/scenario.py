"""The settings of an emulated Ignite: frozen values with defaults that suit a test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from shipper.emulator.http_style import HttpStyle

Clock = Callable[[], int]  # wall time in Unix milliseconds


def wall_clock() -> int:
    """The machine's own time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Reflection(StrEnum):
    """Which generations of gRPC server reflection are served (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md)."""

    BOTH = "both"
    V1 = "v1"
    V1ALPHA = "v1alpha"
    OFF = "off"


class ReplayOrder(StrEnum):
    """How `from_start` and GetAppLogs order what was printed; a live stream always brings lines as they arrive."""

    TIME = "time"
    ARRIVAL = "arrival"
    SHUFFLED = "shuffled"  # by the second; within a second each replay has an order of its own


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM texts of the server's certificate; with `client_ca` every client must show one of that authority's."""

    certificate: bytes
    key: bytes
    client_ca: bytes | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the seeded driver does to the world. Times are seconds, rates are lines a second over all apps."""

    apps: int = 4
    replicas: int = 2  # of an app that is awake; the driver varies it by one
    rate: float = 200.0
    pod_life_s: float = 15.0  # mean; the least is `least_life_s`
    least_life_s: float = 4.0
    crash_share: float = 0.4  # of the lives that end: by a crash in place
    evict_share: float = 0.3  # of the lives that end: by an eviction; the rest are replaced in good order
    sleep_every_s: float = 20.0  # mean time that an app is awake; 0 keeps every app awake
    nap_s: float = 3.0
    rotate_every_s: float = 0.0  # mean time between rotations of a replica's history; 0 never rotates
    rotate_keep: int = 500
    leave_s: float = 2.5  # a pod that has ended stays listed this long, with its history
    back_off_s: float = 2.5  # between a crash and the restart in place
    stderr_share: float = 0.1
    twin_share: float = 0.01  # of lines that are printed twice in the same millisecond
    late_share: float = 0.0  # of lines that arrive up to `late_s` after their own time
    late_s: float = 2.0
    builds_every_s: float = 0.0  # mean time between builds (or compiles) of an app; 0 builds nothing
    build_life_s: float = 4.0
    clock_offset_s: float = 0.0  # one replica in ten has a clock that is wrong by up to this much
    patience_s: float = (
        0.0  # a pod whose log nobody has read to its end yet leaves (restarts) up to this much later
    )
    tick_s: float = 0.05


@dataclass(frozen=True, slots=True)
class Scenario:
    """One emulated Ignite. Every default is the friendly case; tests name what they need otherwise."""

    organization: str = "acme-corp"
    seed: int = 1
    host: str = "127.0.0.1"
    port: int = 0  # 0: a free one
    clock: Clock = wall_clock

    # Who may call: `token` is accepted for ever; None lets everyone in without one.
    token: str | None = "emulator-token"  # noqa: S105 - a public default for loopback
    token_endpoint: bool = False
    client_id: str = "emulator-client"
    client_secret: str = "emulator-secret"  # noqa: S105 - a public default for loopback
    token_lifetime_s: float = 300.0

    # Descriptors.
    renumber: int | None = None  # a seed: every field number and enum value differs from the bundled .proto
    reflection: Reflection = Reflection.BOTH
    reflection_needs_token: bool = True
    reflection_with_imports: bool = True  # answer with imported files too, as most servers do
    split_files: bool = False  # enums live in an imported ignite_common.proto
    declare_line: str = "string"  # or "bytes": what LogLine.line is in the descriptors (the wire is the same)

    # Transport.
    gzip: bool = False  # for clients that accept it
    max_concurrent_streams: int | None = None  # for each connection
    tls: Tls | None = None
    http: HttpStyle | None = None  # None: the HTTP gateway is not served
    http_host: str | None = None  # None: as for gRPC
    http_port: int = 0  # 0: a free one

    # What the calls give.
    history_lines: int = 100_000  # of one container that can be replayed
    replay_order: ReplayOrder = ReplayOrder.TIME
    page_size: int = 100  # the most that one ListApps answer holds
    logs_cap: int = 10_000  # the server's own cap of GetAppLogs
    events_cap: int = 1_000
    event_ttl_s: float = 3600.0  # https://docs.dodil.io/ignite/compute/api-reference/observability: "~1h"
    unknown_replica_is_error: bool = (
        True  # GetAppLogs of a replica that is gone: NOT_FOUND, or an empty answer
    )

    # Builds.
    builds: bool = True  # False: neither their calls nor BuildService are there
    builds_name_apps: bool = True  # whether rows of ListBuilds say whose builds they are (not documented)

    # Bookkeeping.
    keep_ledger: bool = True  # False only counts, for emulators that run for days
    traffic: Traffic | None = None  # None: the world moves only by hand
