"""A sink's pipeline as delivery uses it: passes, what they leave, plans, and lines that nobody can decode."""

import time

import pytest

from shipper.archive.codec import LogIdentity, encode_log_run
from shipper.entry import Level
from shipper.model import Kind
from shipper.transform.port import Pipeline
from tests.fakes.pipelines import BEGIN_MS, SINKS, event, gap, logs, partition, passed, pipeline, settings

DATADOG = {"search": {"type": "datadog", "api_key": "0" * 32}}
SENTRY = {"errors": {"type": "sentry", "dsn": "https://key@localhost/1"}}
TRACE = ["Traceback (most recent call last):", '  File "a.py", line 1, in f', "    g()", "ValueError: bad"]


def unjoined(sinks):
    [(name, sink)] = sinks.items()
    return {name: {**sink, "join": {"enabled": False}}}


def test_it_is_what_delivery_knows_as_a_pipeline():
    made: Pipeline = pipeline()
    assert (made.rewrites, len(made.plan)) == (False, 16)


def test_entries_say_what_the_record_says():
    [entry], ending = passed(pipeline(), logs(["hello"], stream="stderr"))
    assert (entry.kind, entry.timestamp_ms, entry.text, entry.level) == (Kind.LOGS, BEGIN_MS, "hello", None)
    assert entry.record == {
        "timestamp_ms": BEGIN_MS, "organization": "acme", "app": "shop", "replica_id": "shop-1", "cluster_id": "eu-1",
        "node_name": "node-1", "stream": "stderr", "line": "hello",
    }  # fmt: skip
    assert (ending.state, ending.held, ending.hold_s, dict(ending.dropped), dict(ending.redacted)) == (
        b"",
        0,
        0.0,
        {},
        {},
    )


@pytest.mark.parametrize("ndjson", [b"", b"\n"])
def test_nothing_makes_nothing(ndjson):
    made = pipeline()
    assert made.encode(passed(made, ndjson)[0]) == b""


BAD = [
    b"nonsense",
    b"",
    b"[1]",
    b"{}",
    b'"x"',
    b'{"timestamp_ms":"1","line":"x"}',
    b'{"timestamp_ms":true,"line":""}',
    b'{"timestamp_ms":1,"line":7}',
    b'{"timestamp_ms":1,"line":"x","line_base64":"?"}',
    b'{"timestamp_ms":1},{"line":"x"}',
]


@pytest.mark.parametrize("bad", BAD)
def test_line_that_is_no_record_is_counted_and_those_around_it_are_not_lost(bad):
    entries, ending = passed(pipeline(), logs(["a"]) + bad + b"\n" + logs(["b"]))
    assert [entry.text for entry in entries] == ["a", "b"]
    assert dict(ending.dropped) == {"undecodable": 1}


def test_event_without_a_message_has_an_empty_text():
    [entry], _ = passed(pipeline(), event(message=""), Kind.EVENTS)
    assert (entry.text, "message" in entry.record) == ("", False)


# ---- reading ----


def test_archive_reads_levels_only_where_a_route_asks_for_them():
    read = [{"level": "auto"}]
    line = "2026-01-01 12:00:00 ERROR no"
    [entry], _ = passed(pipeline(read=read), logs([line]))
    assert entry.level is None
    routes = [{"match": {"level": "error"}, "sinks": "debug", "continue": True}, {"sinks": "archive"}]
    assert passed(pipeline(read=read, routes=routes), logs([line]))[0][0].level is None
    routes = [{"match": {"level": "error"}, "sinks": "archive"}, {"sinks": "debug"}]
    assert passed(pipeline(read=read, routes=routes), logs([line]))[0][0].level is Level.ERROR


def test_sink_of_records_gets_what_was_read():
    [entry], _ = passed(
        pipeline("search", DATADOG, read=[{"level": "auto"}]), logs(['{"level":"warn","a":1}'])
    )
    assert (entry.level, entry.fields) == (Level.WARN, {"level": "warn", "a": 1})


# ---- joining ----


def test_archive_keeps_the_lines_of_a_trace_apart():
    assert len(passed(pipeline(redact=[{}]), logs(TRACE))[0]) == len(TRACE)


def test_sink_that_joins_gets_a_trace_as_one():
    entries, ending = passed(pipeline("search", DATADOG), logs([*TRACE, "after"]))
    assert [(entry.lines, entry.text) for entry in entries] == [(4, "\n".join(TRACE)), (1, "after")]
    assert entries[0].failure.type == "ValueError"
    assert ending.held == 0


def test_open_end_of_a_trace_is_held_until_the_next_pass():
    made = pipeline("search", DATADOG)
    step = made.start(partition(), b"")
    assert step.feed(logs(TRACE[:2])) == []
    ending = step.finish()
    assert ending.held == 2
    assert ending.hold_s > 2
    assert made.start(partition(), ending.state).finish().hold_s == ending.hold_s
    step = made.start(partition(), ending.state)
    entries = [*step.feed(logs(TRACE[2:], begin_ms=BEGIN_MS + 2)), *step.flush()]
    assert [entry.text for entry in entries] == ["\n".join(TRACE)]
    assert (step.finish().held, step.finish().state) == (0, b"")


@pytest.mark.parametrize("how", ["feed", "flush"])
def test_what_a_sink_held_comes_out_when_it_joins_no_more(how):
    step = pipeline("search", DATADOG).start(partition(), b"")
    step.feed(logs(TRACE[:2]))
    state = step.finish().state
    made = pipeline("search", unjoined(DATADOG))
    idle = made.start(partition(), state).finish()
    assert (idle.held, idle.hold_s, idle.state != b"") == (2, 0.0, True)
    step = made.start(partition(), state)
    entries = step.feed(logs(["after"])) if how == "feed" else step.flush()
    assert sum(entry.lines for entry in entries) == (3 if how == "feed" else 2)
    assert (step.finish().held, step.finish().state) == (0, b"")


def test_routes_decide_on_the_trace_and_not_on_its_lines():
    routes = [{"match": {"line": "ValueError"}, "drop": True}, {"sinks": "search"}]
    entries, ending = passed(pipeline("search", DATADOG, routes=routes), logs([*TRACE, "after"]))
    assert ([entry.text for entry in entries], dict(ending.dropped)) == (["after"], {"filtered": 4})


def test_trace_counts_with_all_its_lines_against_a_pace_and_passes_where_there_is_room():
    routes = [{"sinks": "search", "throttle": "2/s"}]
    entries, ending = passed(pipeline("search", DATADOG, routes=routes), logs(["a", *TRACE, "b"]))
    assert ([entry.lines for entry in entries], dict(ending.dropped)) == ([1, 4], {"throttled": 1})


# ---- the lines before ----


def test_failure_shows_the_lines_before_it_without_their_secrets_wherever_routes_send_them():
    routes = [
        {"match": {"line": "^(Trace|  |ValueError)"}, "sinks": "errors"},
        {"match": {"kind": "logs"}, "drop": True},
        {"sinks": "errors"},
    ]
    made = pipeline("errors", SENTRY, routes=routes, redact=[{}])
    secret = "x" * 500 + " bob@example.com"  # lines before a failure are cut, and no secret is cut in two
    entries, ending = passed(made, logs(["login of bob@example.com", secret, *TRACE]))
    [entry] = entries
    assert [text for _, text in entry.before] == ["login of [redacted:email]", "x" * 500 + " [redacted:e"]
    assert dict(ending.redacted) == {}


def test_sink_without_breadcrumbs_remembers_no_lines():
    sinks = {"errors": {**SENTRY["errors"], "breadcrumbs": 0}}
    [_, entry], _ = passed(pipeline("errors", sinks), logs(["before", *TRACE]))
    assert entry.before == ()


# ---- plans ----


def test_plan_is_the_same_for_the_same_settings_and_another_for_others():
    plans = [
        pipeline(**sections).plan
        for sections in (
            {},
            {"routes": [{"sinks": "archive"}]},
            {"routes": [{"match": {"kind": "logs"}, "sinks": "archive"}]},
            {"routes": [{"sinks": "archive", "throttle": "9/s"}]},
            {"routes": [{"sinks": "archive", "continue": True}]},
            {"routes": [{"sinks": "debug", "continue": True}, {"sinks": "archive"}]},
            {"read": [{}]},
            {"redact": [{}]},
            {"redact": [{"patterns": ["ip"]}]},
        )
    ]
    assert len({*plans, pipeline("debug").plan}) == len(plans) + 1
    assert pipeline().plan == plans[0]
    assert pipeline("search", DATADOG).plan != pipeline("search", unjoined(DATADOG)).plan


def test_what_concerns_other_sinks_alone_is_no_part_of_the_plan():
    """A sink that is added, alone or to a route, does not make others begin a batch anew."""
    assert pipeline("archive", {**SINKS, "new": {"type": "directory", "path": "new"}}).plan == pipeline().plan
    alone, both = ({"routes": [{"sinks": names}]} for names in ("archive", ["archive", "debug"]))
    assert pipeline(**alone).plan == pipeline(**both).plan
    assert pipeline("debug", **alone).plan != pipeline("debug", **both).plan
    assert pipeline(redact=[{"sinks": "debug"}]).plan == pipeline().plan


def test_throttle_whose_counts_begin_anew_has_another_plan():
    """Its counts are found by the route's key, which names the sinks: other entries come out of the same lines."""
    alone, both = (
        {"routes": [{"sinks": names, "throttle": "9/s"}]} for names in ("archive", ["archive", "debug"])
    )
    assert pipeline(**alone).plan != pipeline(**both).plan


def test_settings_that_decide_nothing_are_no_part_of_the_plan():
    other = settings(log={"level": "debug"}, buffer={"path": "x"})
    assert other.log.level == "debug"
    assert pipeline(log={"level": "debug"}, buffer={"path": "x"}).plan == pipeline().plan


# ---- hostile ----


def test_line_of_ten_mebibytes_goes_through_all_of_it():
    drops = [{"match": {"line": "(x+x+)+y"}, "drop": True}, {"match": {"level": "error"}, "drop": True}]
    made = pipeline(
        routes=[*drops, {"sinks": "archive", "throttle": "9/s"}],
        read=[{"level": "auto"}],
        redact=[{"custom": [{"name": "own", "pattern": "(a+)+!"}]}],
    )
    line = "x" * (10 << 20)
    began = time.process_time()
    [entry], _ = passed(made, logs([line]))
    assert entry.text == line
    assert time.process_time() - began < 20


def test_thousands_of_routes_cost_only_those_that_fit_the_partition():
    routes = [{"match": {"app": f"app-{number}", "line": "x"}, "drop": True} for number in range(3_000)]
    made = pipeline(routes=[*routes, {"match": {"app": "shop"}, "sinks": "archive"}])
    assert not made.touches(partition(app="shop"))
    entries, _ = passed(made, logs(["x", "y"], app="app-7"), app="app-7")
    assert entries == []
    ndjson = logs(["x"] * 1_000)
    began = time.process_time()
    for _ in range(20):
        passed(made, ndjson)
    assert time.process_time() - began < 5


def test_thousands_of_routes_for_one_app_are_asked_in_columns():
    routes = [{"match": {"line": f"x{number}y"}, "drop": True} for number in range(300)]
    made = pipeline(routes=[*routes, {"sinks": "archive"}])
    entries, ending = passed(made, logs(["x299y", "z"] * 500))
    assert (len(entries), dict(ending.dropped)) == (500, {"filtered": 500})


def test_any_text_of_a_gap_comes_through():
    [entry], _ = passed(pipeline(redact=[{}]), gap("\ud800 \x00 \u2028"), Kind.GAPS)
    assert entry.text == "\ufffd\ufffd\ufffd \x00 \u2028"


def test_lines_with_the_names_of_fields_in_them_are_lines():
    identity = LogIdentity("acme", "shop")
    lines = ['"line_base64":"eA=="', '","line_base64":"eA==', '}\n{"a":1}', "\\"]
    made = pipeline(redact=[{}])
    ndjson = encode_log_run(identity, [1, 2, 3, 4], ["stdout"] * 4, lines)
    entries, _ = passed(made, ndjson)
    assert [entry.text for entry in entries] == lines
    assert made.encode(entries) == ndjson
