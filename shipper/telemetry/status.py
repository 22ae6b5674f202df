"""The answer of /api/status: facts as one JSON object. docs/status.md describes it; the status page shows nothing else.

Keys may be added. What is there keeps its name and meaning while `v` is 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from shipper.model import Gap
from shipper.telemetry.advice import LOSSES, what_to_do
from shipper.telemetry.facts import (
    AppFacts,
    CollectFacts,
    ConfigFacts,
    Facts,
    PlatformFacts,
    ProcessFacts,
    Query,
    ReplicaFacts,
    SinkFacts,
    Stream,
)
from shipper.telemetry.recent import DAY_S, Labels, Recent
from shipper.telemetry.verdict import LATELY_S, verdict
from shipper.telemetry.words import instant

VERSION: Final = 1
RECENT_GAPS: Final = 100
_LONGEST: Final = 500

Json = dict[str, Any]


def status(facts: Facts, only: Iterable[str] = ()) -> Json:
    """The whole answer, or `v`, `at` and the keys that are named."""
    said = verdict(facts)
    whole: Json = {
        "v": VERSION,
        "at": instant(facts.now_ms),
        "verdict": {
            "level": said.level.value,
            "text": said.text,
            "findings": [
                {"level": one.level.value, "about": one.about, "text": _cut(one.text), "todo": one.todo}
                for one in said.findings
            ],
        },
        "draining": facts.draining,
        "not_ready": dict(facts.unready),
        "received": _received(facts.counts.received),
        "gaps": _gaps(facts.counts.gaps, facts.gaps),
        "drops": _drops(facts.counts.drops),
        "sinks": [_sink(sink, facts.now_ms) for sink in facts.sinks],
        "buffer": _buffer(facts),
        "streams": _states(facts.collect.states),
        "apps": _apps(facts),
        "replicas": _replicas(facts.collect, facts.query, facts.now_ms),
        "reconnects": _reconnects(facts.counts.reconnects),
        "platform": _platform(facts.platform),
        "configuration": _configuration(facts.config),
        "process": _process(facts.process, facts.now_ms),
    }
    wanted = {"v", "at", *only}
    return whole if len(wanted) == 2 else {key: value for key, value in whole.items() if key in wanted}


# ---- counts ----


def _windows(counted: Recent) -> dict[str, dict[Labels, float]]:
    return {
        "last_15_minutes": counted.within(LATELY_S),
        "last_24_hours": counted.within(DAY_S),
        "since_start": counted.totals(),
    }


def _received(counted: Recent) -> Json:
    return {
        "records_per_second": round(counted.per_second(), 1),
        "since_start": {kind: round(count) for (kind,), count in counted.totals().items()},
    }


def _gaps(counted: Recent, gaps: Sequence[Gap]) -> Json:
    windows = {
        name: {
            "total": round(sum(counts.values())),
            "by_reason": {reason: round(count) for (reason,), count in sorted(counts.items())},
        }
        for name, counts in _windows(counted).items()
    }
    newest_first = list(gaps)[-RECENT_GAPS:][::-1]
    return {**windows, "recent": [_gap(gap) for gap in newest_first]}


def _gap(gap: Gap) -> Json:
    return {
        "noticed_at": instant(gap.noticed_ms),
        "app": _cut(str(gap.app)),
        "replica": _cut(gap.replica_id),
        "kind": gap.stream_kind.value,
        "from": instant(gap.from_ms),
        "to": instant(gap.to_ms),
        "reason": gap.reason.value,
        "detail": _cut(gap.detail),
        "lost": gap.lost,
        "todo": what_to_do(gap.reason.value),
    }


def _drops(counted: Recent) -> Json:
    """Records that sinks will never get: `lost`, and what the routes or the sink's limits leave out."""
    answer: Json = {}
    for name, counts in _windows(counted).items():
        lost: dict[str, dict[str, int]] = {}
        left_out: dict[str, dict[str, int]] = {}
        for (sink, reason), count in sorted(counts.items()):
            place = lost if reason in LOSSES else left_out
            place.setdefault(sink, {})[reason] = round(count)
        total = sum(sum(reasons.values()) for reasons in lost.values())
        answer[name] = {"total": total, "lost": lost, "left_out": left_out}
    return answer


def _reconnects(counted: Recent) -> Json:
    answer: Json = {}
    for name, counts in _windows(counted).items():
        by_kind: dict[str, dict[str, int]] = {}
        for (kind, reason), count in sorted(counts.items()):
            by_kind.setdefault(kind, {})[reason] = round(count)
        answer[name] = {"total": round(sum(counts.values())), "by_kind": by_kind}
    return answer


# ---- what comes in ----


def _states(states: Mapping[tuple[str, str], int]) -> Json:
    answer: dict[str, dict[str, int]] = {}
    for (kind, state), count in states.items():
        if count:
            answer.setdefault(kind, {})[state] = count
    return answer


def _apps(facts: Facts) -> Json:
    collect = facts.collect
    return {
        "total": collect.apps_total,
        "matching": collect.apps_matching,
        "problem": _cut(collect.problem),
        "items": [_app(app, facts.now_ms) for app in collect.apps],
    }


def _app(app: AppFacts, now_ms: int) -> Json:
    return {
        "app": _cut(app.app),
        "replicas": app.replicas,
        "states": dict(app.states),
        "records_per_second": _rate(app.rate),
        "listed_at": instant(app.listed_ms),
        "problem": _cut(app.problem),
        "subscriptions": [_stream(stream, now_ms) for stream in app.streams],
    }


def _replicas(collect: CollectFacts, query: Query, now_ms: int) -> Json:
    return {
        "total": collect.replicas_total,
        "matching": collect.replicas_matching,
        "offset": query.offset,
        "limit": query.limit,
        "items": [_replica(replica, now_ms) for replica in collect.replicas],
    }


def _replica(replica: ReplicaFacts, now_ms: int) -> Json:
    return {
        "app": _cut(replica.app),
        "replica": _cut(replica.replica),
        "cluster": _cut(replica.cluster),
        "node": _cut(replica.node),
        "restarts": replica.restarts,
        "started_at": instant(replica.started_ms or None),
        "subscriptions": [_stream(stream, now_ms) for stream in replica.streams],
    }


def _stream(stream: Stream, now_ms: int) -> Json:
    build = {"build": _cut(stream.build)} if stream.build else {}
    return {
        "kind": stream.kind,
        **build,
        "state": stream.state,
        "since": instant(stream.since_ms),
        "newest_record_at": instant(stream.newest_ms),
        "lag_seconds": _age_s(stream.newest_ms, now_ms),
        "heard_at": instant(stream.heard_ms),
        "records": stream.taken,
        "records_per_second": _rate(stream.rate),
        "reconnects": stream.reconnects,
        "last_end": _cut(stream.reason),
    }


def _platform(platform: PlatformFacts) -> Json:
    return {
        "endpoint": platform.endpoint,
        "organization": platform.organization,
        "dialect": platform.dialect,
        "token": {
            "type": platform.token,
            "expires_at": instant(platform.token_expires_ms),
            "problem": _cut(platform.token_problem),
        },
        "connections": platform.connections,
        "streams": platform.streams,
        "last_error": _error(platform.error, platform.error_ms),
        "features": [{"name": one.name, "on": one.on, "why": _cut(one.why)} for one in platform.features],
    }


# ---- what lies in between, and what goes out ----


def _buffer(facts: Facts) -> Json:
    buffer = facts.buffer
    drops = facts.counts.drops.totals()
    full = sum(round(count) for (_, reason), count in drops.items() if reason == "buffer_full")
    return {
        "bytes": buffer.bytes,
        "limit_bytes": buffer.limit_bytes,
        "disk_bytes": buffer.disk_bytes,
        "frames": buffer.frames,
        "when_full": buffer.when_full,
        "holding_streams_back": buffer.holding,
        "oldest_at": instant(buffer.oldest_ms),
        "oldest_seconds": _age_s(buffer.oldest_ms, facts.now_ms),
        "dropped_since_start": full,
    }


def _sink(sink: SinkFacts, now_ms: int) -> Json:
    return {
        "name": sink.name,
        "type": sink.type,
        "state": sink.state,
        "since": instant(sink.since_ms),
        "next_attempt_at": instant(sink.retry_ms),
        "backlog_records": sink.backlog,
        "oldest_unacknowledged_at": instant(sink.oldest_ms),
        "oldest_unacknowledged_seconds": _age_s(sink.oldest_ms, now_ms),
        "last_error": _error(sink.error, sink.error_ms),
        "last_delivery_at": instant(sink.delivered_ms),
        "stuck_batches": sink.stuck,
        "dead_letters": sink.dead_letters,
        "in_flight": sink.in_flight,
        "concurrency": sink.concurrency,
    }


# ---- the daemon itself ----


def _configuration(config: ConfigFacts) -> Json:
    reload = config.reload
    return {
        "file": config.file,
        "since": instant(config.since_ms),
        "last_reload": reload and {"at": instant(reload.attempted_ms), "problem": _cut(reload.problem)},
        "settings": config.settings,
    }


def _process(process: ProcessFacts, now_ms: int) -> Json:
    up_s = max(0.0, (now_ms - process.started_ms) / 1000)
    cpu = process.cpu_seconds
    return {
        "version": process.version,
        "pid": process.pid,
        "started_at": instant(process.started_ms),
        "uptime_seconds": round(up_s),
        "resident_bytes": process.rss_bytes,
        "cpu_seconds": None if cpu is None else round(cpu, 1),
        "cpu_share": None if cpu is None or not up_s else round(cpu / up_s, 3),
        "open_files": process.open_files,
        "event_loop_lag_seconds": round(process.loop_lag_seconds, 3),
    }


def _error(text: str, at_ms: int | None) -> Json | None:
    return {"text": _cut(text), "at": instant(at_ms)} if text else None


def _age_s(at_ms: int | None, now_ms: int) -> float | None:
    return None if at_ms is None else round(max(0.0, (now_ms - at_ms) / 1000), 1)


def _rate(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 1)


def _cut(text: str) -> str:
    """Bounded, and text that can be encoded: names of the platform may hold lone surrogates."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
