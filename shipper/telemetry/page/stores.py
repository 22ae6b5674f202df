"""The parts of the page about what is kept and what goes out: sinks, buffer, gaps; configuration and process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from shipper.telemetry.page.markup import Content, Markup, join, tag
from shipper.telemetry.page.parts import (
    NOTHING,
    Column,
    ago,
    app_name,
    clock,
    counted,
    dim,
    lasted,
    number,
    pairs,
    section,
    state,
    table,
)
from shipper.telemetry.words import bytes_of, lasting

Json = Mapping[str, Any]

_SINKS: Final = (
    Column("Sink"),
    Column("State"),
    Column("Waiting", "n"),
    Column("Oldest", "n", wide=True),
    Column("Last delivery", "n", wide=True),
    Column("Last error", "t"),
    Column("Dead letters", "n", wide=True),
    Column("In flight", "n", wide=True),
)
_GAPS: Final = (
    Column("Noticed"),
    Column("App"),
    Column("Replica", wide=True),
    Column("Kind", wide=True),
    Column("Reason"),
    Column("From", wide=True),
    Column("To", wide=True),
    Column("Lost", "n"),
    Column("Detail", "t", wide=True),
)


def sinks(status: Json) -> Markup:
    """Each sink and how it does."""
    now = status["at"]
    return section("sinks", "Sinks", table("Sinks", _SINKS, (_sink(sink, now) for sink in status["sinks"])))


def _sink(sink: Json, now: str) -> list[Content]:
    error = sink["last_error"]
    told: Content = dim("none")
    if error:
        told = join(error["text"], " ", dim(ago(error["at"], now)))
    again = sink["next_attempt_at"]
    oldest = sink["oldest_unacknowledged_seconds"]
    return [
        join(sink["name"], " ", dim(sink["type"])),
        join(
            state(sink["state"]),
            dim(" for ", lasted(sink["since"], now)),
            tag("div", dim("tried again ", ago(again, now))) if again else None,
        ),
        number(sink["backlog_records"]),
        NOTHING if oldest is None else lasting(oldest),
        ago(sink["last_delivery_at"], now),
        told,
        number(sink["dead_letters"]),
        f"{sink['in_flight']} of {sink['concurrency']}",
    ]


def buffer(status: Json) -> Markup:
    """How full the buffer is."""
    known = status["buffer"]
    share = known["bytes"] / known["limit_bytes"] if known["limit_bytes"] else 0.0
    full = f"{bytes_of(known['bytes'])} of {bytes_of(known['limit_bytes'])} ({share:.1%})"
    gauge = tag(
        "meter",
        full,
        min=0,
        max=known["limit_bytes"],
        high=int(0.8 * known["limit_bytes"]),
        optimum=0,
        value=known["bytes"],
        aria_label=f"Buffer: {full}",
    )
    then = "streams are held back" if known["when_full"] == "block" else "the oldest records are dropped"
    oldest = known["oldest_seconds"]
    return section(
        "buffer",
        "Buffer",
        gauge,
        pairs(
            ("Holds", full),
            ("On disk", bytes_of(known["disk_bytes"])),
            ("Oldest record", NOTHING if oldest is None else lasting(oldest)),
            ("When full", then),
            ("Takes records", "no: streams are held back" if known["holding_streams_back"] else "yes"),
            ("Dropped since start", number(known["dropped_since_start"])),
        ),
    )


def gaps(status: Json) -> Markup:
    """What is known to be lost."""
    recent = status["gaps"]["recent"]
    if not recent:
        body: Markup = tag("p", "No gap since the start.")
    else:
        body = table(
            f"The last {len(recent)} gaps, newest first", _GAPS, (_gap(gap, status) for gap in recent)
        )
    return section("gaps", "Gaps: what is known to be lost", body)


def _gap(gap: Json, status: Json) -> list[Content]:
    return [
        ago(gap["noticed_at"], status["at"]),
        app_name(gap["app"], status),
        gap["replica"],
        gap["kind"],
        tag("strong", gap["reason"], title=gap["todo"]),
        clock(gap["from"]),
        clock(gap["to"]),
        "unknown" if gap["lost"] is None else number(gap["lost"]),
        dim(gap["detail"]),
    ]


def drops(status: Json) -> Markup:
    """Records that sinks will never get, or did not want."""
    windows = status["drops"]
    since_start = windows["since_start"]
    names = [
        (sink, reason, how)
        for how in ("lost", "left_out")
        for sink, reasons in since_start[how].items()
        for reason in reasons
    ]
    columns = (
        Column("Sink"),
        Column("Reason"),
        Column("Meaning"),
        Column("15 min", "n"),
        Column("24 h", "n"),
        Column("Since start", "n"),
    )
    rows = (
        [
            sink,
            reason,
            "lost" if how == "lost" else "left out as configured",
            *(number(one[how].get(sink, {}).get(reason, 0)) for one in windows.values()),
        ]
        for sink, reason, how in names
    )
    body = table("Dropped records", columns, rows) if names else tag("p", "None since the start.")
    return section("drops", "Records that sinks do not get", body)


def configuration(status: Json) -> Markup:
    """The configuration in force; secrets are hidden already."""
    known, now = status["configuration"], status["at"]
    reload = known["last_reload"]
    tried: Content = "none since the start"
    if reload:
        failed = reload["problem"]
        how = tag("span", f"refused: {failed}", class_="poor") if failed else "taken over"
        tried = join(ago(reload["at"], now), ", ", how)
    written = json.dumps(known["settings"], indent=2, ensure_ascii=False)
    return section(
        "configuration",
        "Configuration",
        pairs(("File", known["file"]), ("In force since", clock(known["since"])), ("Last reload", tried)),
        tag("details", tag("summary", "What is in force, secrets hidden"), tag("pre", *_lines(written))),
    )


def _lines(written: str) -> list[Content]:
    return [join(line, Markup("\n")) for line in written.splitlines()]


def process(status: Json) -> Markup:
    """The process itself."""
    known = status["process"]
    memory, cpu = known["resident_bytes"], known["cpu_share"]
    return section(
        "process",
        "Process",
        pairs(
            ("Version", known["version"]),
            ("Up", lasting(known["uptime_seconds"])),
            ("Memory", NOTHING if memory is None else bytes_of(memory)),
            ("CPU", NOTHING if cpu is None else f"{cpu:.1%} of a core since the start"),
            ("Open files", number(known["open_files"])),
            (
                "Event loop lag",
                f"{known['event_loop_lag_seconds'] * 1000:,.0f} ms at most in the last minute",
            ),
            ("Received since start", counted(status["received"]["since_start"])),
        ),
    )
