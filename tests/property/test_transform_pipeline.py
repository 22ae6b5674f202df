"""Pipelines over whatever bytes: nothing is lost, nothing changes that need not, and cuts do not show."""

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.archive.codec import LogIdentity, encode_event, encode_gap, encode_log_run
from shipper.model import App, Gap, GapReason, Kind
from shipper.transform.decoding import decode, encode
from tests.fakes.pipelines import BEGIN_MS, logs, partition, pipeline

names = st.text(max_size=6)
times = st.integers(-(2**62), 2**62)
lines = st.text(max_size=12) | st.binary(max_size=12)
runs = st.builds(
    lambda identity, rows: encode_log_run(identity, *map(list, zip(*rows, strict=True))) if rows else b"",
    st.builds(LogIdentity, names, names, names, names, names),
    st.lists(st.tuples(times, st.sampled_from(["stdout", "stderr", None, "other"]), lines), max_size=6),
)
events = st.builds(
    lambda app, ms, kind, message, count: encode_event(
        app,
        timestamp_ms=ms,
        replica_id="r",
        kind=kind,
        reason=message,
        message=message,
        count=count,
        severity="x",
    ),
    st.builds(App, names, names),
    times,
    st.none() | st.integers(0, 2**31) | names,
    names,
    st.none() | st.integers(0, 2**31),
)
gaps = st.builds(
    lambda app, ms, detail, lost: encode_gap(Gap(ms, app, "r", Kind.LOGS, ms, ms, GapReason.ROTATED, detail, lost)),
    st.builds(App, names, names), times, names, st.none() | st.integers(0, 2**31),
)  # fmt: skip
whole = (
    st.tuples(st.just(Kind.LOGS), runs)
    | st.tuples(st.just(Kind.EVENTS), st.lists(events, max_size=4).map(b"".join))
    | st.tuples(st.just(Kind.GAPS), st.lists(gaps, max_size=4).map(b"".join))
)


@given(whole)
def test_records_that_nobody_changed_are_encoded_to_the_bytes_that_they_were(given_whole):
    kind, ndjson = given_whole
    entries, undecodable = decode(kind, ndjson)
    assert undecodable == 0
    assert encode(entries) == ndjson


@given(whole, st.integers(0, 2**32))
def test_damaged_bytes_are_counted_by_lines_and_never_raise(given_whole, seed):
    kind, ndjson = given_whole
    if ndjson:
        place = seed % len(ndjson)
        ndjson = ndjson[:place] + bytes([seed >> 8 & 0xFF]) + ndjson[place + 1 :]
    entries, undecodable = decode(kind, ndjson)
    assert len(entries) + undecodable == ndjson.removesuffix(b"\n").count(b"\n") + bool(
        ndjson.removesuffix(b"\n")
    )


TEXTS = [
    "Traceback (most recent call last):", '  File "a.py", line 1, in f', "    g()", "ValueError: bad a@b.example",
    "INFO hello", "ERROR a@b.example", '{"level":"warn","m":"a\\u0040b.example"}', "", "panic: x",
    "goroutine 1 [running]:",
]  # fmt: skip
printed = st.lists(
    st.tuples(st.sampled_from(TEXTS), st.sampled_from(["shop-1", "shop-2"]), st.sampled_from([0, 1, 5_000])),
    max_size=16,
)
SINKS = {"search": {"type": "datadog", "api_key": "0" * 32}, "archive": {"type": "directory", "path": "x"}}
ROUTES = [
    {"match": {"line": "^INFO"}, "drop": True},
    {"match": {"level": "warn"}, "sinks": "archive"},
    {"sinks": "search", "throttle": "4/s", "continue": True},
    {"sinks": "archive", "sample": 2},
]


PIPELINES = {
    sink: pipeline(sink, SINKS, routes=ROUTES, read=[{"level": "auto"}], redact=[{}]) for sink in SINKS
}


def drive(sink, chunks):
    """Passes and feeds as they are cut; every pass but the last keeps what is open."""
    made = PIPELINES[sink]
    out, dropped, redacted, elsewhere, state = [], Counter(), Counter(), 0, b""
    for last, feeds in ((number == len(chunks) - 1, feeds) for number, feeds in enumerate(chunks)):
        step = made.start(partition(), state)
        for ndjson in feeds:
            out += step.feed(ndjson)
        if last:
            out += step.flush()
        ending = step.finish()
        state, elsewhere = ending.state, elsewhere + ending.elsewhere
        dropped.update(ending.dropped)
        redacted.update(ending.redacted)
    assert ending.held == 0
    shown = [(entry.text, entry.lines, entry.level, entry.record["replica_id"]) for entry in out]
    return shown, dropped, redacted, elsewhere


@settings(deadline=None)
@given(rows=printed, data=st.data())
def test_cuts_into_feeds_and_passes_do_not_show_and_nothing_is_lost(rows, data):
    ndjson = [logs([line], replica=replica, begin_ms=BEGIN_MS + ms) for line, replica, ms in rows]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    bounds = [0, *cuts, len(rows)]
    chunks = [[b"".join(ndjson[begin:end])] for begin, end in pairwise(bounds)]
    for sink in SINKS:
        at_once = drive(sink, [[b"".join(ndjson)]])
        assert drive(sink, [ndjson]) == at_once
        assert drive(sink, chunks) == at_once
        shown, dropped, _, elsewhere = at_once
        assert sum(lines for _, lines, _, _ in shown) + dropped.total() + elsewhere == len(rows)
        assert not any("a@b" in text or "u0040" in text for text, _, _, _ in shown)
