"""The panels of the dashboard by row: overview, sources, buffer, sinks, process."""

from __future__ import annotations

from typing import Final

from helm.generate.panel import Panel, heat, lines, stat

S: Final = 'cluster=~"$cluster",namespace=~"$namespace",job=~"$job"'
LOSSES: Final = 'reason=~"buffer_full|buffer_corrupt|rejected|sink_removed"'
RATE: Final = "$__rate_interval"


def _series(name: str, *matchers: str) -> str:
    return f"shipper_{name}{{{','.join((S, *matchers))}}}"


def _rate(by: str, name: str, *matchers: str) -> str:
    """The rate of a counter, summed by some labels; by none where `by` is empty."""
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} (rate({_series(name, *matchers)}[{RATE}]))"


def _quantile(share: float, name: str, by: str = "") -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, {_rate(labels, f'{name}_bucket')})"


_OPEN_STREAMS: Final = _series("subscriptions", 'kind="logs"', 'state=~"live|resuming|leaving"')

_OVERVIEW: Final = (
    stat(
        "Gaps",
        "short",
        f"sum (increase({_series('gaps_total')}[$__range]))",
        "Known losses in the time that is shown. 0 means that everything the platform offered is there.",
        (1.0,),
    ),
    stat(
        "Records dropped",
        "short",
        f"sum (increase({_series('records_dropped_total', LOSSES)}[$__range]))",
        "Records that a sink will never get, without those that routes leave out.",
        (1.0,),
    ),
    stat("In", "cps", _rate("", "records_received_total"), "New records a second."),
    stat(
        "Out",
        "cps",
        _rate("", "records_delivered_total"),
        "Records a second that sinks acknowledged, summed over sinks.",
    ),
    stat(
        "Oldest undelivered",
        "s",
        f"max ({_series('sink_oldest_unacked_seconds')})",
        "Age of the oldest record that a sink has not acknowledged. Up to batch.max_age is normal.",
        (600.0, 3600.0),
    ),
    stat(
        "Buffer",
        "percentunit",
        f"max ({_series('buffer_bytes')} / {_series('buffer_limit_bytes')})",
        "Fill of the buffer.",
        (0.5, 0.8),
    ),
    lines("Records in", "cps", ("{{kind}}", _rate("kind", "records_received_total")), stacked=True),
    lines("Records out", "cps", ("{{sink}} {{kind}}", _rate("sink, kind", "records_delivered_total"))),
    lines(
        "Gaps and drops",
        "short",
        ("gap: {{reason}}", f"sum by (reason) (increase({_series('gaps_total')}[{RATE}])) > 0"),
        (
            "{{sink}}: {{reason}}",
            f"sum by (sink, reason) (increase({_series('records_dropped_total')}[{RATE}])) > 0",
        ),
        description="Also what routes and limits leave out on purpose.",
    ),
)

_SOURCES: Final = (
    lines(
        "Replicas and their log streams",
        "short",
        ("running replicas", f"sum ({_series('replicas')})"),
        ("open log streams", f"sum ({_OPEN_STREAMS})"),
        description="More replicas than streams for long means that some logs are not read.",
    ),
    lines(
        "Subscriptions",
        "short",
        ("{{kind}} {{state}}", f"sum by (kind, state) ({_series('subscriptions')}) > 0"),
        stacked=True,
    ),
    lines(
        "Reconnects",
        "cps",
        ("{{kind}} {{reason}}", f"{_rate('kind, reason', 'reconnects_total')} > 0"),
        description="done is an orderly end; stalled: silent while lines were there.",
    ),
    lines(
        "Duplicates suppressed",
        "cps",
        ("{{kind}}", _rate("kind", "duplicates_suppressed_total")),
        description="What replays brought again. A peak after each reconnect is normal.",
    ),
    lines("Listing replicas", "cps", ("{{outcome}}", _rate("outcome", "polls_total")), stacked=True),
    lines(
        "Time to list", "s", ("p50", _quantile(0.5, "poll_seconds")), ("p99", _quantile(0.99, "poll_seconds"))
    ),
    lines("Token refreshes", "cps", ("{{outcome}}", _rate("outcome", "token_refreshes_total"))),
    lines(
        "Connections",
        "short",
        ("connections", f"sum ({_series('stream_lanes')})"),
        ("streams", f"sum ({_series('streams_open')})"),
    ),
    lines("Undecodable messages", "cps", ("{{kind}}", _rate("kind", "undecodable_messages_total"))),
)

_BUFFER: Final = (
    lines(
        "Size",
        "bytes",
        ("content", f"sum ({_series('buffer_bytes')})"),
        ("files", f"sum ({_series('buffer_disk_bytes')})"),
        ("limit", f"sum ({_series('buffer_limit_bytes')})"),
    ),
    lines("Frames", "short", ("frames", f"sum ({_series('buffer_frames')})")),
    lines(
        "Commits",
        "cps",
        ("{{outcome}}", _rate("outcome", "commits_total")),
        stacked=True,
        description="full: no room; unavailable: the disk or the file.",
    ),
    heat("Time to commit", "s", _rate("le", "commit_seconds_bucket")),
    lines(
        "From a line's time to its commit",
        "s",
        ("p50", _quantile(0.5, "durable_seconds")),
        ("p99", _quantile(0.99, "durable_seconds")),
    ),
    lines(
        "Committed", "Bps", ("{{kind}}", _rate("kind", "bytes_committed_total")), description="Compressed."
    ),
)

_SINKS: Final = (
    lines(
        "State",
        "short",
        ("{{sink}} {{state}}", f"max by (sink, state) ({_series('sink_state')}) > 0"),
        description="healthy; failing is tried again by itself; parked waits for somebody to act.",
    ),
    lines("Backlog", "short", ("{{sink}}", f"sum by (sink) ({_series('sink_backlog_records')})")),
    lines(
        "Oldest undelivered", "s", ("{{sink}}", f"max by (sink) ({_series('sink_oldest_unacked_seconds')})")
    ),
    lines(
        "Requests", "reqps", ("{{sink}} {{outcome}}", f"{_rate('sink, outcome', 'sink_requests_total')} > 0")
    ),
    lines(
        "Share that fails",
        "percentunit",
        (
            "{{sink}}",
            _rate("sink", "sink_requests_total", 'outcome=~"retry|rejected|parked|malformed"')
            + " / "
            + _rate("sink", "sink_requests_total"),
        ),
    ),
    lines(
        "Delivered", "Bps", ("{{sink}}", _rate("sink", "bytes_delivered_total")), description="Compressed."
    ),
    heat("From a record's time to its acknowledgement", "s", _rate("le", "delivery_seconds_bucket")),
    lines("The same, p99", "s", ("{{sink}}", _quantile(0.99, "delivery_seconds", "sink"))),
    lines(
        "Time of a request",
        "s",
        ("{{sink}} p50", _quantile(0.5, "sink_request_seconds", "sink")),
        ("{{sink}} p99", _quantile(0.99, "sink_request_seconds", "sink")),
    ),
    lines(
        "Records in a request",
        "short",
        (
            "{{sink}}",
            _rate("sink", "records_delivered_total")
            + " / "
            + _rate("sink", "sink_requests_total", 'outcome="delivered"'),
        ),
    ),
    lines("Dead letters", "short", ("{{sink}}", f"sum by (sink) ({_series('dead_letters')})")),
    lines(
        "Altered and redacted",
        "cps",
        ("{{sink}} {{how}}", _rate("sink, how", "records_altered_total")),
        ("{{sink}} {{pattern}}", _rate("sink, pattern", "redactions_total")),
    ),
)

_PROCESS: Final = (
    lines(
        "CPU",
        "percentunit",
        ("{{namespace}} {{pod}}", f"rate(process_cpu_seconds_total{{{S}}}[{RATE}])"),
        description="Of one core.",
    ),
    lines("Memory", "bytes", ("{{namespace}} {{pod}}", f"process_resident_memory_bytes{{{S}}}")),
    lines(
        "Open files",
        "short",
        ("{{namespace}} {{pod}}", f"process_open_fds{{{S}}}"),
        ("limit", f"min (process_max_fds{{{S}}})"),
    ),
    lines(
        "Event loop lag",
        "s",
        ("{{namespace}} {{pod}}", _series("event_loop_lag_seconds")),
        description="How late a beat of the event loop came in the last minute, at most.",
    ),
    lines(
        "Garbage collections",
        "cps",
        (
            "generation {{generation}}",
            f"sum by (generation) (rate(python_gc_collections_total{{{S}}}[{RATE}]))",
        ),
    ),
    lines(
        "Configurations in force",
        "short",
        ("{{sha256}}", f"count by (sha256) ({_series('config_info')})"),
        ("refused", f"sum (1 - {_series('config_last_reload_successful')})"),
        description="refused: daemons that could not take over what they read last.",
        stacked=True,
    ),
    lines(
        "Versions", "short", ("{{version}}", f"count by (version) ({_series('build_info')})"), stacked=True
    ),
)

ROWS: Final[tuple[tuple[str, tuple[Panel, ...]], ...]] = (
    ("Overview", _OVERVIEW),
    ("Sources", _SOURCES),
    ("Buffer", _BUFFER),
    ("Sinks", _SINKS),
    ("Process", _PROCESS),
)
