"""Facts as a daemon would tell them, in any state that a test wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from shipper.model import App, Gap, GapReason, Kind
from shipper.telemetry.facts import (
    AppFacts,
    BufferFacts,
    CollectFacts,
    ConfigFacts,
    Facts,
    Feature,
    PlatformFacts,
    ProcessFacts,
    Query,
    ReplicaFacts,
    SinkFacts,
    Stream,
)
from shipper.telemetry.recent import Counts

NOW_MS = 1_790_000_000_000
ORG = "acme-corp"


def stream(state: str = "live", *, kind: str = "logs", quiet_s: float = 3, **others: object) -> Stream:
    known = Stream(
        kind,
        state,
        since_ms=NOW_MS - 3_600_000,
        newest_ms=NOW_MS - int(quiet_s * 1000),
        heard_ms=NOW_MS - int(quiet_s * 1000),
        taken=12_345,
        rate=12.0,
    )
    return replace(known, **others)  # type: ignore[arg-type]


def replica(number: int = 0, app: str = "checkout", *streams: Stream) -> ReplicaFacts:
    return ReplicaFacts(
        f"{ORG}/{app}",
        f"{app}-7c9d8f6b5-{number:05d}",
        streams or (stream(),),
        cluster="eu-1",
        node=f"node-{number % 7}",
        restarts=number % 3,
        started_ms=NOW_MS - 7_200_000,
    )


def sink(name: str = "archive", state: str = "healthy", **others: object) -> SinkFacts:
    known = SinkFacts(
        name,
        "s3",
        state,
        since_ms=NOW_MS - 3_600_000,
        concurrency=4,
        in_flight=1,
        backlog=1_200,
        max_age_s=300.0,
        oldest_ms=NOW_MS - 120_000,
        delivered_ms=NOW_MS - 4_000,
    )
    return replace(known, **others)  # type: ignore[arg-type]


def collect(
    replicas: Sequence[ReplicaFacts] = (replica(),), query: Query | None = None, **others: object
) -> CollectFacts:
    """What is known of these replicas; the page of them that the query wants."""
    query = query or Query()
    states: Counter[tuple[str, str]] = Counter()
    by_app: dict[str, Counter[str]] = {}
    for one in replicas:
        for each in one.streams:
            states[each.kind, each.state] += 1
            by_app.setdefault(one.app, Counter())[each.state] += 1
    apps = tuple(
        AppFacts(
            app,
            sum(counts.values()),
            counts,
            (stream(kind="events", quiet_s=90),),
            rate=12.0 * sum(counts.values()),
            listed_ms=NOW_MS - 2_000,
        )
        for app, counts in by_app.items()
    )
    states["events", "live"] += len(apps)
    fitting = [
        one
        for one in replicas
        if query.takes_app(*one.app.split("/", 1)) and query.takes_replica(one.replica)
    ]
    known = CollectFacts(
        states=states,
        apps=[app for app in apps if query.takes_app(*app.app.split("/", 1))][: query.limit],
        apps_total=len(apps),
        apps_matching=sum(query.takes_app(*app.app.split("/", 1)) for app in apps),
        replicas=fitting[query.offset : query.offset + query.limit],
        replicas_total=len(replicas),
        replicas_matching=len(fitting),
    )
    return replace(known, **others)  # type: ignore[arg-type]


def gap(reason: GapReason = GapReason.ROTATED, *, ago_s: float = 60, **others: object) -> Gap:
    noticed = NOW_MS - int(ago_s * 1000)
    known = Gap(
        noticed,
        App(ORG, "checkout"),
        "checkout-7c9d8f6b5-00001",
        Kind.LOGS,
        noticed - 90_000,
        noticed - 30_000,
        reason,
        "the platform's history begins later than what had been taken",
    )
    return replace(known, **others)  # type: ignore[arg-type]


def facts(**others: object) -> Facts:
    """A daemon that is well."""
    known = Facts(
        now_ms=NOW_MS,
        query=Query(),
        counts=Counts(),
        collect=collect(),
        sinks=(sink(),),
        buffer=BufferFacts(40 << 20, 10 << 30, 64 << 20, 812, "block", oldest_ms=NOW_MS - 120_000),
        platform=PlatformFacts(
            "grpcs://rpc.dodil.io:443",
            ORG,
            "gRPC, field numbers from server reflection",
            "client_credentials",
            token_expires_ms=NOW_MS + 240_000,
            connections=1,
            streams=2,
            features=(
                Feature("logs", True),
                Feature("events", True),
                Feature("builds", False, "collect.builds is false"),
            ),
        ),
        config=ConfigFacts(
            "/etc/shipper/shipper.yaml", NOW_MS - 3_600_000, {"ignite": {"organization": ORG}}
        ),
        process=ProcessFacts("0.1.0", NOW_MS - 3_600_000, 42, 68 << 20, 41.0, 23, 0.004),
    )
    return replace(known, **others)  # type: ignore[arg-type]
