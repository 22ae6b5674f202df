"""Pipelines of made-up settings, and records to feed them with."""

from shipper.archive.codec import LogIdentity, encode_event, encode_gap, encode_log_run
from shipper.config.settings import Settings
from shipper.model import App, Gap, GapReason, Kind, Partition
from shipper.transform.building import build_pipeline

BEGIN_MS = 1_790_000_000_000 // 3_600_000 * 3_600_000
HOUR = BEGIN_MS // 3_600_000
SINKS = {"archive": {"type": "directory", "path": "archive"}, "debug": {"type": "stdout"}}


def settings(sinks=None, **sections):
    """Valid settings; sections are written as in YAML."""
    ignite = {"endpoint": "grpc://localhost:1", "organization": "acme", "auth": {"type": "none"}}
    return Settings.model_validate({"ignite": ignite, "sinks": sinks or SINKS, **sections})


def pipeline(sink="archive", sinks=None, **sections):
    """The pipeline of one sink."""
    return build_pipeline(settings(sinks, **sections), sink)


def partition(kind=Kind.LOGS, app="shop", organization="acme"):
    """A partition of the hour in which everything here happens."""
    return Partition(kind, organization, app, HOUR)


def logs(lines, app="shop", replica="shop-1", stream="stdout", begin_ms=BEGIN_MS, step_ms=1):
    """Lines of one replica as NDJSON."""
    identity = LogIdentity("acme", app, replica, "eu-1", "node-1")
    times = [begin_ms + number * step_ms for number in range(len(lines))]
    return encode_log_run(identity, times, [stream] * len(lines), lines)


def event(app="shop", at_ms=BEGIN_MS, **fields):
    """An event as NDJSON."""
    given = {
        "replica_id": "shop-1",
        "kind": "OOM_KILLED",
        "reason": "OOMKilled",
        "message": "killed",
        **fields,
    }
    return encode_event(App("acme", app), timestamp_ms=at_ms, **given)


def gap(detail="", app="shop"):
    """A gap as NDJSON."""
    return encode_gap(
        Gap(BEGIN_MS, App("acme", app), "shop-1", Kind.LOGS, BEGIN_MS, BEGIN_MS, GapReason.ROTATED, detail)
    )


def passed(pipeline, ndjson, kind=Kind.LOGS, app="shop", state=b""):
    """The entries of one pass that is fed once and flushed, and its ending."""
    step = pipeline.start(partition(kind, app), state)
    entries = [*step.feed(ndjson), *step.flush()]
    return entries, step.finish()


def texts(pipeline, *lines, **options):
    """What becomes of log lines."""
    return [entry.text for entry in passed(pipeline, logs(lines, **options))[0]]
