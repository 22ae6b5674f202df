"""The one table of every series that shipper exposes: name, type, unit, labels and help.

`docs/metrics.md` is generated from it, `telemetry.prometheus` serves it, and a test compares it with every call of a
meter in the source. Names are without the `shipper_` prefix.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shipper.model import GapReason, Kind, Unrouted

PREFIX: Final = "shipper_"
OTHER: Final = "_other"
"""The label value under which a series goes on when it has reached its `cap`."""


class SeriesType(StrEnum):
    """What a series is for Prometheus, and which method of the meter feeds it."""

    COUNTER = "counter"  # Meter.count
    GAUGE = "gauge"  # Meter.level
    HISTOGRAM = "histogram"  # Meter.observe


@dataclass(frozen=True, slots=True)
class Label:
    """A label and, where they are an enumeration, its values: those sets exist from the start, so that rate() works."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """One series. `cap` bounds its label sets whatever the platform does; `buckets` are a histogram's upper bounds."""

    name: str
    type: SeriesType
    unit: str
    help: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    cap: int = 300


def _counter(name: str, unit: str, text: str, *labels: Label) -> Series:
    return Series(name, SeriesType.COUNTER, unit, text, labels)


def _gauge(name: str, unit: str, text: str, *labels: Label, cap: int = 300) -> Series:
    return Series(name, SeriesType.GAUGE, unit, text, labels, cap=cap)


def _seconds(name: str, text: str, buckets: tuple[float, ...], *labels: Label) -> Series:
    return Series(name, SeriesType.HISTOGRAM, "seconds", text, labels, buckets)


def _sizes(name: str, unit: str, text: str, buckets: tuple[float, ...], *labels: Label) -> Series:
    return Series(name, SeriesType.HISTOGRAM, unit, text, labels, buckets)


STREAMED: Final = (Kind.LOGS.value, Kind.EVENTS.value, Kind.BUILDS.value)
KIND: Final = Label("kind", tuple(kind.value for kind in Kind))
STREAM_KIND: Final = Label("kind", STREAMED)
SINK: Final = Label("sink")  # the configured names: known to PrometheusMeter when it is made
GAP_REASON: Final = Label("reason", tuple(reason.value for reason in GapReason))
LOSS_REASON: Final = Label(
    "reason",
    tuple(
        reason.value
        for reason in (
            GapReason.BUFFER_FULL,
            GapReason.BUFFER_CORRUPT,
            GapReason.REJECTED,
            GapReason.SINK_REMOVED,
        )
    ),
)

_QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_CALL: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_DURABLE: Final = (0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
_JOURNEY: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0)
_TENFOLD: Final = tuple(float(10**power) for power in range(7))
_BYTES: Final = (1e3, 1e4, 1e5, 1e6, 4e6, 1.6e7, 6.4e7, 2.56e8)

SERIES: Final[tuple[Series, ...]] = (
    # from the platform
    _counter(
        "records_received_total",
        "records",
        "New records: what the platform's streams brought, and gaps.",
        KIND,
    ),
    _counter("duplicates_suppressed_total", "records", "Records that a replay brought again.", STREAM_KIND),
    _counter("undecodable_messages_total", "messages", "Messages that could not be decoded.", STREAM_KIND),
    _counter("gaps_total", "gaps", "Known losses, each of them also a record of kind gaps.", GAP_REASON),
    _gauge(
        "subscriptions",
        "subscriptions",
        "Subscriptions by what they are doing.",
        STREAM_KIND,
        Label("state", ("opening", "resuming", "live", "waiting", "parked", "leaving")),
    ),
    _counter(
        "reconnects_total",
        "reconnects",
        "Streams that ended, by why; done is an orderly end, stalled means silent while lines were there.",
        STREAM_KIND,
        Label("reason", ("done", "retry", "wait", "reauthenticate", "gone", "park", "stop", "stalled")),
    ),
    _gauge("replicas", "replicas", "Running replicas.", Label("app"), cap=1000),
    _counter(
        "polls_total",
        "polls",
        "ListAppReplicas calls by how they ended.",
        Label("outcome", ("ok", "failed", "denied")),
    ),
    _seconds("poll_seconds", "Duration of a ListAppReplicas call.", _CALL),
    _counter(
        "token_refreshes_total", "refreshes", "Requests for a token.", Label("outcome", ("ok", "failed"))
    ),
    _gauge("stream_lanes", "connections", "HTTP/2 connections to the platform that carry streams."),
    _gauge("streams_open", "streams", "Streams that are open on those connections."),
    # the buffer
    _gauge("buffer_bytes", "bytes", "What the frames and cursors in the buffer take."),
    _gauge(
        "buffer_disk_bytes", "bytes", "Size of the buffer's files, which shrink later than their content."
    ),
    _gauge("buffer_limit_bytes", "bytes", "buffer.max_size, which neither of them exceeds."),
    _gauge("buffer_frames", "frames", "Frames in the buffer."),
    _seconds("commit_seconds", "Duration of a commit of frames and cursors, until it is durable.", _QUICK),
    _seconds(
        "durable_seconds",
        "From a log line's own time to its commit; the newest line of a frame is observed.",
        _DURABLE,
    ),
    _counter("records_committed_total", "records", "Records that became durable in the buffer.", KIND),
    _counter("bytes_committed_total", "bytes", "Their size, compressed.", KIND),
    _counter(
        "commits_total",
        "commits",
        "Commits by how they ended.",
        Label("outcome", ("ok", "full", "unavailable")),
    ),
    _counter(
        "records_unrouted_total",
        "records",
        "Records that are for no sink, by kind, organization and app, and so are not stored: no route takes them, or "
        "one drops them.",
        KIND,
        Label("reason", tuple(reason.value for reason in Unrouted)),
    ),
    _gauge(
        "dead_letters", "records", "Records that the sink refused for good, kept for people to look at.", SINK
    ),
    _counter(
        "dead_letters_buried_total",
        "records",
        "Records that the sink refused for good, buried as dead letters.",
        SINK,
    ),
    _counter(
        "dead_letters_ended_total",
        "records",
        "Dead letters that are no longer kept: forgotten for want of room, dropped or replayed by a person.",
        SINK,
        Label("outcome", ("forgotten", "dropped", "replayed")),
    ),
    # the sinks
    _counter("records_delivered_total", "records", "Records that a sink acknowledged.", SINK, KIND),
    _counter("bytes_delivered_total", "bytes", "Their size, compressed.", SINK),
    _counter(
        "records_dropped_total",
        "records",
        "Records that a sink will never get. Of a loss (buffer_full, buffer_corrupt, rejected, sink_removed) a gap "
        "says so too; the rest is left out as routes (docs/routing.md) or the sink's limits (docs/sinks.md) want it.",
        SINK,
        LOSS_REASON,
    ),
    _counter(
        "records_altered_total",
        "records",
        "Records that a sink gets other than they came, by what was done to them: cut, restamped and so on.",
        SINK,
        Label("how", ("cut", "restamped")),
    ),
    _counter(
        "redactions_total",
        "redactions",
        "Texts that were taken out of records on their way to a sink, by the pattern that found them, built in or own.",
        SINK,
        Label("pattern", ("bearer_token", "jwt", "aws_key", "url_password", "email", "card_number", "ip")),
    ),
    _counter(
        "sink_requests_total",
        "requests",
        "Attempts to deliver a batch, or a parcel of one to a sink of records, by what the sink answered.",
        SINK,
        Label("outcome", ("delivered", "retry", "rejected", "parked", "too_large", "malformed", "dropped")),
    ),
    _seconds("sink_request_seconds", "Duration of an attempt to deliver a batch or a parcel.", _CALL, SINK),
    _gauge(
        "sink_state",
        "",
        "1 for the state that the sink is in: healthy, failing (tried again by itself) or parked (someone must act).",
        SINK,
        Label("state", ("healthy", "failing", "parked")),
    ),
    _gauge(
        "sink_backlog_records", "records", "Records in the buffer that the sink has not acknowledged.", SINK
    ),
    _gauge("sink_oldest_unacked_seconds", "seconds", "Age of the oldest of them, since its commit.", SINK),
    _seconds(
        "delivery_seconds",
        "From the record's own time to the acknowledgement; the oldest and the newest record of a batch are observed.",
        _JOURNEY,
        SINK,
    ),
    _sizes("batch_records", "records", "Records of a batch that a sink acknowledged.", _TENFOLD, SINK),
    _sizes("batch_bytes", "bytes", "Its size, compressed.", _BYTES, SINK),
    # the process
    _gauge("build_info", "", "Always 1; which version is running.", Label("version")),
    _gauge(
        "config_info",
        "",
        "Always 1; the SHA-256 of the configuration in force with every default, without the values of secrets.",
        Label("sha256"),
    ),
    _gauge(
        "config_last_reload_successful",
        "",
        "1 if the configuration could be taken over when it was last read; 0 means that the one before is in force.",
    ),
    _gauge(
        "config_last_reload_success_timestamp_seconds",
        "seconds",
        "When the configuration was last taken over, Unix time; at first the start.",
    ),
    _gauge(
        "event_loop_lag_seconds",
        "seconds",
        "How late a beat of the event loop came in the last minute, at most.",
    ),
    _gauge(
        "tasks",
        "tasks",
        "Tasks of the event loop: some for each subscription and sink; counted every ten seconds.",
    ),
    _counter(
        "log_lines_suppressed_total", "lines", "Repeated lines of the daemon's own log that were summed up."
    ),
)
