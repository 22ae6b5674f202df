"""Gathers what the status shows from the parts at work. Loaded when somebody looks for the first time.

All of it runs on the event loop in one go, so that it is of one moment: with thousands of replicas some milliseconds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Set
from typing import TYPE_CHECKING, Final

from shipper import __version__
from shipper.daemon.rates import Rates
from shipper.daemon.sight import Sight
from shipper.daemon.surveying import Clock, survey
from shipper.deliver.worker import Worker
from shipper.ignite.auth import ClientCredentials, TokenFile
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.status import Code
from shipper.model import Kind
from shipper.telemetry.facts import (
    BufferFacts,
    ConfigFacts,
    Facts,
    Feature,
    PlatformFacts,
    ProcessFacts,
    Query,
    SinkFacts,
)
from shipper.telemetry.process import usage

if TYPE_CHECKING:
    from shipper.config.settings import Settings
    from shipper.daemon.serving import Daemon

REFUSED_LATELY_MS: Final = 120_000
_EVENTS: Final = ("StreamAppEvents", "GetAppEvents")
OF_CALLS: Final = {
    "StreamAppLogs": (Kind.LOGS, "streams of logs"),
    "GetAppLogs": (Kind.LOGS, "recent logs"),
    "StreamAppEvents": (Kind.EVENTS, "streams of events"),
    "GetAppEvents": (Kind.EVENTS, "recent events"),
    "GetDraftInfo": (Kind.BUILDS, "new compiles"),
    "StreamCompileLogs": (Kind.BUILDS, "compiles that run"),
    "ListBuilds": (Kind.BUILDS, "image builds"),
    "GetBuildLog": (Kind.BUILDS, "logs of builds"),
}


def gather(daemon: Daemon, settings: Settings, sight: Sight, query: Query) -> Facts:
    """The facts of this moment."""
    loop_now = asyncio.get_running_loop().time()
    now_ms = daemon.collector.context.now_ms()
    clock = Clock(now_ms, loop_now)
    if sight.rates is None:
        sight.rates = Rates()
    return Facts(
        now_ms=now_ms,
        query=query,
        counts=sight.counts,
        collect=survey(daemon.collector, query, clock, sight.rates),
        sinks=[_sink(worker, settings, daemon, sight, clock) for worker in daemon.workers],
        buffer=_buffer(daemon, settings),
        platform=_platform(daemon, settings, clock),
        config=ConfigFacts(sight.config_file, sight.config_since_ms, settings.as_data(), sight.reload),
        process=_process(daemon, sight),
        gaps=tuple(sight.gaps),
        unready=daemon.readiness.reasons(),
        draining=daemon.intake.closing,
    )


# ---- the platform ----


def _platform(daemon: Daemon, settings: Settings, clock: Clock) -> PlatformFacts:
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


def _token(daemon: Daemon, clock: Clock) -> tuple[int | None, str]:
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
    ] + list(_refused(daemon, {kind for kind, on in wanted.items() if on}))


def _refused(daemon: Daemon, wanted: Set[Kind]) -> Iterator[Feature]:
    """What the platform does not offer, or not to us."""
    refused = daemon.collector.context.offers.refused
    for call, (kind, name) in OF_CALLS.items():
        by_app = refused.get(call, {})
        if by_app and kind in wanted:
            apps = f" ({len(by_app)} apps)" if None not in by_app else ""
            yield Feature(name, False, f"{call}{apps}: {next(iter(by_app.values()))}")


def _lacks(daemon: Daemon, kind: Kind) -> str:
    """Why a kind cannot be had from this server; empty where nothing is known against it."""
    if kind is Kind.EVENTS and isinstance(daemon.platform, GrpcPlatform):
        known = daemon.platform.agreement.known
        if known is not None and not any(name in known.calls for name in _EVENTS):
            return f"the server does not have {' and '.join(_EVENTS)}"
    return ""


# ---- the rest ----


def _sink(worker: Worker, settings: Settings, daemon: Daemon, sight: Sight, clock: Clock) -> SinkFacts:
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
