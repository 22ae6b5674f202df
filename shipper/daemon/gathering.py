"""Gathers what the status shows from the parts at work. Loaded when somebody looks for the first time.

All of it runs on the event loop in one go, so that it is of one moment: with thousands of replicas some milliseconds.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shipper import __version__
from shipper.collect.states import Followed, State
from shipper.collect.subscription import LogSubscription
from shipper.collect.watch import AppWatch
from shipper.config.settings import Settings
from shipper.daemon.rates import Rates
from shipper.daemon.sight import Sight
from shipper.deliver.worker import Worker
from shipper.ignite.auth import ClientCredentials, TokenFile
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.status import Action, Code, Status
from shipper.model import Kind
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
from shipper.telemetry.process import usage

if TYPE_CHECKING:
    from shipper.daemon.serving import Daemon

OVERDUE_S: Final = 300.0
REFUSED_LATELY_MS: Final = 120_000
_REFUSED: Final = (Action.PARK, Action.STOP)
_WORST_FIRST: Final = (
    State.PARKED,
    State.WAITING,
    State.OPENING,
    State.RESUMING,
    State.LEAVING,
    State.LIVE,
    None,
)
_RANK: Final = {state: rank for rank, state in enumerate(_WORST_FIRST)}
_EVENTS: Final = ("StreamAppEvents", "GetAppEvents")


def gather(daemon: Daemon, settings: Settings, sight: Sight, query: Query) -> Facts:
    """The facts of this moment."""
    loop_now = asyncio.get_running_loop().time()
    now_ms = daemon.collector.context.now_ms()
    clock = _Clock(now_ms, loop_now)
    if sight.rates is None:
        sight.rates = Rates()
    return Facts(
        now_ms=now_ms,
        query=query,
        counts=sight.counts,
        collect=_collect(daemon, query, clock, sight.rates),
        sinks=[_sink(worker, settings, daemon, sight, clock) for worker in daemon.workers],
        buffer=_buffer(daemon, settings),
        platform=_platform(daemon, settings, clock),
        config=ConfigFacts(
            sight.config_file, sight.config_since_ms, settings.model_dump(mode="json"), sight.reload
        ),
        process=_process(daemon, sight),
        gaps=tuple(sight.gaps),
        unready=daemon.readiness.reasons(),
        draining=daemon.intake.closing,
    )


@dataclass(frozen=True, slots=True)
class _Clock:
    """One moment on the wall's clock and on the loop's."""

    now_ms: int
    now: float

    def ms(self, at: float) -> int:
        """A time of the loop's clock as Unix ms."""
        return self.now_ms - round((self.now - at) * 1000)


# ---- what comes in ----


def _collect(daemon: Daemon, query: Query, clock: _Clock, rates: Rates) -> CollectFacts:
    collector = daemon.collector
    watches = list(collector.watches.values())
    meant = [watch for watch in watches if query.takes_app(watch.app.organization, watch.app.name)]
    fitting = [
        (_RANK[one.state], watch.app.name, replica_id, one)
        for watch in meant
        for replica_id, one in watch.subscriptions.items()
        if query.takes_replica(replica_id)
    ]
    fitting.sort(key=lambda item: item[:3])
    shown = fitting[query.offset : query.offset + query.limit]
    every = [one for watch in watches for one in _followed(watch)]
    rates.sample({_key(watch, one): one.taken or 0 for watch, one in every}, clock.now)
    apps = [
        watch for watch in meant if not query.replica or any(map(query.takes_replica, watch.subscriptions))
    ]
    apps.sort(key=lambda watch: (_app_rank(watch), watch.app.name))
    return CollectFacts(
        states=_states(every),
        apps=[_app(watch, clock, rates) for watch in apps[: query.limit]],
        apps_total=len(watches),
        apps_matching=len(apps),
        replicas=[_replica(one, clock, rates) for *_, one in shown],
        replicas_total=sum(len(watch.subscriptions) for watch in watches),
        replicas_matching=len(fitting),
        overdue=sum(_is_overdue(one, clock.now) for _, one in every),
        unlisted=[_app(watch, clock, rates) for watch in watches if watch.problem is not None],
        problem=_said(collector.problem),
        refused=collector.problem is not None and collector.problem.action in _REFUSED,
    )


def _followed(watch: AppWatch) -> Iterator[tuple[AppWatch, Followed]]:
    for one in watch.subscriptions.values():
        yield watch, one
    for other in watch.followed():
        yield watch, other


def _key(watch: AppWatch, one: Followed) -> str:
    return one.cursor.key if isinstance(one, LogSubscription) else f"{one.kind} {watch.app}"


def _states(every: Sequence[tuple[AppWatch, Followed]]) -> Mapping[tuple[str, str], int]:
    counts = Counter((one.kind.value, one.state) for _, one in every if one.state is not None)
    return {
        (kind, state.value): count for (kind, state), count in sorted(counts.items()) if state is not None
    }


def _is_overdue(one: Followed, now: float) -> bool:
    return one.cut_at is not None and one.state is not State.PARKED and now - one.cut_at >= OVERDUE_S


def _app_rank(watch: AppWatch) -> int:
    if watch.problem is not None:
        return -1
    return min((_RANK[one.state] for _, one in _followed(watch)), default=len(_RANK))


def _app(watch: AppWatch, clock: _Clock, rates: Rates) -> AppFacts:
    subscriptions = watch.subscriptions.values()
    states = Counter(one.state.value for one in subscriptions if one.state is not None)
    known = [rates.rate(one.cursor.key, one.taken, clock.now) for one in subscriptions]
    measured = [rate for rate in known if rate is not None]
    return AppFacts(
        app=str(watch.app),
        replicas=len(watch.subscriptions) or watch.listed,
        states=states,
        streams=[_stream(watch, one, clock, rates) for one in watch.followed()],
        rate=sum(measured) if measured or not known else None,
        listed_ms=watch.listed_ms,
        problem=_said(watch.problem),
        refused=watch.problem is not None and watch.problem.action in _REFUSED,
    )


def _replica(one: LogSubscription, clock: _Clock, rates: Rates) -> ReplicaFacts:
    replica = one.replica
    stream = _told(one, rates.rate(one.cursor.key, one.taken, clock.now), clock)
    return ReplicaFacts(
        app=str(replica.app),
        replica=replica.replica_id,
        streams=(stream,),
        cluster=replica.cluster_id,
        node=replica.node_name,
        restarts=replica.restart_count,
        started_ms=replica.started_ms or None,
    )


def _stream(watch: AppWatch, one: Followed, clock: _Clock, rates: Rates) -> Stream:
    rate = None if one.taken is None else rates.rate(_key(watch, one), one.taken, clock.now)
    return _told(one, rate, clock)


def _told(one: Followed, rate: float | None, clock: _Clock) -> Stream:
    return Stream(
        kind=one.kind.value,
        state=one.state.value if one.state is not None else State.OPENING.value,
        since_ms=clock.ms(one.since),
        newest_ms=one.newest_ms,
        heard_ms=clock.ms(one.last_data) if one.last_data else None,
        taken=one.taken,
        rate=rate,
        reconnects=max(0, one.attempts - 1),
        reason=_said(one.ended, well="ended in good order"),
    )


def _said(status: Status | None, *, well: str = "") -> str:
    if status is None:
        return ""
    return well if status.code is Code.OK else str(status)


# ---- the platform ----


def _platform(daemon: Daemon, settings: Settings, clock: _Clock) -> PlatformFacts:
    platform, trouble = daemon.platform, daemon.collector.context.trouble
    expires_ms, problem = _token(daemon, clock)
    failed = trouble.status.code is not Code.OK
    return PlatformFacts(
        endpoint=str(settings.ignite.endpoint),
        organization=settings.ignite.organization,
        dialect=_dialect(daemon),
        token=settings.ignite.auth.type,
        token_expires_ms=expires_ms,
        token_problem=problem,
        connections=len(platform.lanes),
        streams=platform.lanes.open,
        error=str(trouble.status) if failed else "",
        error_ms=trouble.at_ms if failed else None,
        features=_features(daemon, settings),
    )


def _dialect(daemon: Daemon) -> str:
    platform = daemon.platform
    if not isinstance(platform, GrpcPlatform):
        return "JSON over HTTP"
    known = platform.agreement.known
    return f"gRPC, field numbers from {known.source.value}" if known is not None else "gRPC, not yet answered"


def _token(daemon: Daemon, clock: _Clock) -> tuple[int | None, str]:
    """When the token expires, and why there is none that is good."""
    tokens, trouble = daemon.collecting.connection.tokens.source, daemon.collector.context.trouble
    expires_ms, problem = None, ""
    if isinstance(tokens, ClientCredentials):
        left_s = tokens.expires_in_s
        expires_ms = None if left_s is None else clock.now_ms + round(left_s * 1000)
        problem = "" if left_s else tokens.problem
    elif isinstance(tokens, TokenFile):
        problem = tokens.problem
    refused = trouble.status.code is Code.UNAUTHENTICATED
    if not problem and refused and clock.now_ms - trouble.at_ms < REFUSED_LATELY_MS:
        problem = str(trouble.status)
    return expires_ms, problem


def _features(daemon: Daemon, settings: Settings) -> list[Feature]:
    wanted = {
        Kind.LOGS: settings.collect.logs,
        Kind.EVENTS: settings.collect.events,
        Kind.BUILDS: settings.collect.builds,
    }
    return [
        Feature(kind.value, True)
        if on and not (why := _lacks(daemon, kind))
        else Feature(kind.value, False, f"collect.{kind.value} is false" if not on else why)
        for kind, on in wanted.items()
    ]


def _lacks(daemon: Daemon, kind: Kind) -> str:
    """Why a kind cannot be had from this server; empty where nothing is known against it."""
    if kind is Kind.EVENTS and isinstance(daemon.platform, GrpcPlatform):
        known = daemon.platform.agreement.known
        missing = [name for name in _EVENTS if known is not None and name not in known.calls]
        if missing:
            return f"the server does not have {' and '.join(missing)}"
    return ""


# ---- the rest ----


def _sink(worker: Worker, settings: Settings, daemon: Daemon, sight: Sight, clock: _Clock) -> SinkFacts:
    health, stats, name = worker.health(), daemon.buffer.stats(), worker.sink.name
    letters = stats.dead_letters.get(name)
    words = health.words
    configured = settings.sinks.get(name)
    return SinkFacts(
        name=name,
        type=configured.type if configured is not None else "removed",
        state=health.state.value,
        since_ms=sight.started_ms if health.for_s is None else clock.ms(clock.now - health.for_s),
        concurrency=health.work.concurrency,
        in_flight=health.work.in_flight,
        backlog=stats.backlog_records.get(name, 0),
        max_age_s=health.work.max_age_s,
        oldest_ms=stats.oldest_committed_ms.get(name),
        retry_ms=None if health.again_s is None else clock.ms(clock.now + health.again_s),
        error=words.error,
        error_ms=None if words.error_ms is None else round(words.error_ms),
        delivered_ms=None if words.delivered_ms is None else round(words.delivered_ms),
        stuck=health.work.stuck,
        dead_letters=letters.letters if letters is not None else 0,
    )


def _buffer(daemon: Daemon, settings: Settings) -> BufferFacts:
    stats = daemon.buffer.stats()
    return BufferFacts(
        bytes=stats.bytes,
        limit_bytes=stats.limit_bytes,
        disk_bytes=stats.disk_bytes,
        frames=stats.frames,
        when_full=settings.buffer.when_full,
        oldest_ms=min(stats.oldest_committed_ms.values(), default=None),
        holding=daemon.intake.holding,
    )


def _process(daemon: Daemon, sight: Sight) -> ProcessFacts:
    used = usage()
    return ProcessFacts(
        version=__version__,
        started_ms=sight.started_ms,
        pid=os.getpid(),
        rss_bytes=used.rss_bytes,
        cpu_seconds=used.cpu_seconds,
        open_files=used.open_files,
        loop_lag_seconds=daemon.liveness.lag_s,
    )
