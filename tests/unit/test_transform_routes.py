"""Routes: which records a sink gets, which are dropped and why, and what is known before they are decoded."""

import pytest

from shipper.model import Kind, Unrouted
from shipper.transform.building import build_routes
from tests.fakes.pipelines import BEGIN_MS, event, gap, logs, partition, passed, pipeline, settings, texts

ALL = {"sinks": ["archive", "debug"]}


def reach(routes, **where):
    return build_routes(settings(routes=routes)).sinks_of(partition(**where))


def lines_of(sink, routes, *lines, **options):
    return texts(pipeline(sink, routes=routes), *lines, **options)


# ---- what a partition says ----


def test_without_routes_every_record_goes_to_every_sink():
    assert build_routes(settings()).sinks_of(partition()) == {"archive", "debug"}


@pytest.mark.parametrize(
    ("match", "where", "taken"),
    [
        ({"kind": "logs"}, {"kind": Kind.LOGS}, True),
        ({"kind": ["events", "gaps"]}, {"kind": Kind.LOGS}, False),
        ({"app": "shop-*"}, {"app": "shop-api"}, True),
        ({"app": ["a", "shop-?"]}, {"app": "shop-api"}, False),
        ({"organization": "ac*"}, {"organization": "acme"}, True),
        ({"organization": "other"}, {"organization": "acme"}, False),
        ({"not": {"app": "shop"}}, {"app": "shop"}, False),
        ({"not": {"app": "shop"}}, {"app": "pay"}, True),
        ({"not": {"app": "shop", "kind": "events"}}, {"app": "shop", "kind": Kind.LOGS}, True),
        ({"level": "error"}, {"kind": Kind.EVENTS}, False),
        ({"stream": "stderr"}, {"kind": Kind.GAPS}, False),
        ({"severity": "warning"}, {"kind": Kind.LOGS}, False),
        ({"event": "OOM_KILLED"}, {"kind": Kind.EVENTS}, True),
    ],
)
def test_kind_organization_and_app_decide_without_records(match, where, taken):
    assert reach([{"match": match, "sinks": "debug"}], **where) == ({"debug"} if taken else set())


def test_sink_that_any_record_may_reach_is_among_them():
    routes = [
        {"match": {"line": "x"}, "sinks": "debug"},
        {"match": {"level": "error"}, "drop": True},
        {"sinks": "archive"},
    ]
    assert reach(routes) == {"archive", "debug"}


def test_routes_below_one_that_takes_all_of_a_partition_count_for_nothing():
    assert reach([{"match": {"app": "shop"}, "sinks": "debug"}, {"sinks": "archive"}]) == {"debug"}
    assert reach([{"match": {"app": "shop"}, "drop": True}, ALL]) == set()


# ---- the first match, and going on ----


def test_first_route_that_matches_takes_a_record():
    routes = [{"match": {"line": "^a"}, "sinks": "debug"}, {"sinks": "archive"}]
    assert lines_of("debug", routes, "a1", "b1", "a2") == ["a1", "a2"]
    assert lines_of("archive", routes, "a1", "b1", "a2") == ["b1"]


def test_route_that_goes_on_lets_the_record_reach_more_sinks():
    routes = [{"match": {"line": "^a"}, "sinks": "debug", "continue": True}, {"sinks": "archive"}]
    assert lines_of("archive", routes, "a1", "b1") == ["a1", "b1"]


def test_conditions_have_to_hold_all_and_of_a_list_one():
    match = {"stream": ["stdout", "stderr"], "replica": ["shop-1", "x"], "line": "a", "not": {"line": "b"}}
    routes = [{"match": match, "sinks": "archive"}]
    assert lines_of("archive", routes, "a", "ab", "b") == ["a"]
    assert lines_of("archive", routes, "a", replica="shop-2") == []


def test_level_is_what_the_line_says_and_unknown_where_it_says_nothing():
    read = [{"level": "auto"}]
    lines = ["2026-01-01 12:00:00 ERROR no", "hello", "level=debug x"]
    for level, kept in (
        ("error", lines[:1]),
        ("unknown", lines[1:2]),
        (["error", "debug"], [lines[0], lines[2]]),
    ):
        made = pipeline("archive", read=read, routes=[{"match": {"level": level}, "sinks": "archive"}])
        assert texts(made, *lines) == kept


def test_severity_and_event_are_compared_without_case():
    routes = [{"match": {"event": "oom_killed", "severity": "Warning"}, "sinks": "archive"}]
    ndjson = (
        event(severity="WARNING")
        + event(severity="Normal")
        + event(kind="STARTED", severity="warning")
        + event(kind=7)
    )
    entries, _ = passed(pipeline(routes=routes), ndjson, Kind.EVENTS)
    assert [(entry.record["kind"], entry.record.get("severity")) for entry in entries] == [
        ("OOM_KILLED", "WARNING")
    ]


def test_line_of_an_event_is_its_message_and_of_a_gap_its_detail():
    made = pipeline(routes=[{"match": {"line": "disk"}, "sinks": "archive"}])
    kept, _ = passed(made, event(message="out of disk") + event(message="killed"), Kind.EVENTS)
    assert [entry.text for entry in kept] == ["out of disk"]
    kept, _ = passed(made, gap("disk full") + gap("rotated"), Kind.GAPS)
    assert [entry.text for entry in kept] == ["disk full"]


# ---- what is dropped, and who counts it ----


def endings(routes, *lines, **sections):
    ndjson = logs(lines)
    return {
        sink: passed(pipeline(sink, routes=routes, **sections), ndjson)[1] for sink in ("archive", "debug")
    }


def test_record_that_a_route_drops_or_none_takes_is_counted_by_one_sink_alone():
    routes = [{"match": {"line": "drop"}, "drop": True}, {"match": {"line": "take"}, **ALL}]
    found = endings(routes, "drop", "take", "else", "drop it")
    assert dict(found["archive"].dropped) == {"filtered": 2, "no_route": 1}
    assert dict(found["debug"].dropped) == {}
    assert [ending.elsewhere for ending in found.values()] == [0, 3]


def test_record_that_another_sink_gets_is_no_loss():
    found = endings([{"match": {"line": "a"}, "sinks": "debug"}, {"sinks": "archive"}], "a", "b", "b")
    assert [(dict(ending.dropped), ending.elsewhere) for ending in found.values()] == [({}, 1), ({}, 2)]


def test_record_that_was_taken_before_it_met_a_drop_is_no_loss():
    routes = [
        {"match": {"line": "a"}, "sinks": "archive", "continue": True},
        {"match": {"line": "a"}, "drop": True},
        ALL,
    ]
    found = endings(routes, "a", "b")
    assert [dict(ending.dropped) for ending in found.values()] == [{}, {}]
    assert lines_of("archive", routes, "a", "b") == ["a", "b"]
    assert lines_of("debug", routes, "a", "b") == ["b"]


def test_frames_of_a_sink_that_no_route_leads_to_any_more_are_counted():
    entries, ending = passed(pipeline("debug", routes=[{"sinks": "archive"}]), logs(["a", "b"]))
    assert (entries, dict(ending.dropped)) == ([], {"no_route": 2})
    entries, ending = passed(pipeline("debug", routes=[{"match": {"app": "x"}, **ALL}]), logs(["a"]))
    assert (entries, dict(ending.dropped)) == ([], {"no_route": 1})


# ---- samples ----


def test_sample_keeps_whole_replicas_always_the_same_ones():
    made = pipeline(routes=[{"sinks": "archive", "sample": 4}])
    kept = [
        name
        for name in map("shop-{}".format, range(400))
        if texts(made, "a", "b", replica=name) == ["a", "b"]
    ]
    assert 60 < len(kept) < 140
    assert kept[:5] == ["shop-3", "shop-8", "shop-15", "shop-19", "shop-25"]  # in every process and version


def test_what_a_sample_leaves_out_is_counted_for_each_of_its_sinks():
    found = endings([{**ALL, "sample": 1_000_000}], "a", "b")
    assert [dict(ending.dropped) for ending in found.values()] == [{"sampled": 2}, {"sampled": 2}]


def test_record_left_out_by_one_route_may_be_kept_by_another():
    routes = [
        {"sinks": "archive", "sample": 1_000_000, "continue": True},
        {"match": {"line": "a"}, "sinks": "archive"},
    ]
    entries, ending = passed(pipeline(routes=routes), logs(["a", "b"]))
    assert ([entry.text for entry in entries], dict(ending.dropped)) == (["a"], {"sampled": 1})


# ---- pace ----


def test_throttle_keeps_so_many_lines_of_each_second_by_their_own_time():
    made = pipeline(routes=[{"sinks": "archive", "throttle": "2/s"}])
    ndjson = logs(list("abcdef"), step_ms=400)  # 0 400 800 | 1200 1600 | 2000
    entries, ending = passed(made, ndjson)
    assert ([entry.text for entry in entries], dict(ending.dropped)) == (list("abdef"), {"throttled": 1})


def test_late_line_counts_in_its_own_second():
    made = pipeline(routes=[{"sinks": "archive", "throttle": "1/s"}])
    ndjson = (
        logs(["a"], begin_ms=BEGIN_MS + 5_000) + logs(["b", "c"]) + logs(["d"], begin_ms=BEGIN_MS + 5_999)
    )
    assert [entry.text for entry in passed(made, ndjson)[0]] == ["a", "b"]


def test_throttle_goes_on_where_the_pass_before_ended():
    made = pipeline(routes=[{"sinks": "archive", "throttle": "3/s"}])
    first, ending = passed(made, logs(["a", "b"]))
    second, _ = passed(made, logs(["c", "d"]), state=ending.state)
    assert [entry.text for entry in [*first, *second]] == ["a", "b", "c"]
    again, _ = passed(made, logs(["c", "d"]), state=ending.state)
    assert [entry.text for entry in again] == ["c"]


def test_state_that_nobody_wrote_is_no_state():
    made = pipeline(routes=[{"sinks": "archive", "throttle": "1/s"}])
    for state in (b"", b"\x01", b"\x01\xff\xff", b"nonsense", b"\x01\x05\x00\xff\x00\x00\x00"):
        assert len(passed(made, logs(["a", "b"]), state=state)[0]) == 1


def test_counts_of_a_route_that_is_gone_are_forgotten():
    _, ending = passed(pipeline(routes=[{"sinks": "archive", "throttle": "1/s"}]), logs(["a"]))
    assert ending.state
    entries, ending = passed(pipeline(routes=[{"sinks": "archive"}]), logs(["b"]), state=ending.state)
    assert ([entry.text for entry in entries], ending.state) == (["b"], b"")


def test_two_routes_that_do_the_same_count_apart():
    route = {"match": {"line": "a"}, "sinks": "archive", "throttle": "1/s", "continue": True}
    entries, _ = passed(pipeline(routes=[route, route]), logs(["a", "a", "a"]))
    assert len(entries) == 1


# ---- marks ----


def test_lines_that_a_route_wants_as_logs_carry_its_mark():
    sinks = {"errors": {"type": "sentry", "dsn": "https://k@h/1"}}
    routes = [{"match": {"line": "a"}, "sinks": "errors", "sentry_logs": True}, {"sinks": "errors"}]
    entries, _ = passed(pipeline("errors", sinks, routes=routes), logs(["a", "b"]))
    assert [entry.marks for entry in entries] == [{"logs"}, set()]


# ---- what is not decoded at all ----


@pytest.mark.parametrize(
    ("routes", "rewrites", "touches"),
    [
        ([ALL], False, False),
        ([{"match": {"kind": "events"}, "drop": True}, ALL], False, False),
        ([{"match": {"app": "x", "not": {"kind": "gaps"}}, "sinks": "debug"}, ALL], False, False),
        ([{"match": {"line": "x"}, "sinks": "debug", "continue": True}, ALL], False, False),
        ([{"match": {"line": "x"}, **ALL}, {"sinks": "archive"}], True, False),
        ([{"match": {"app": "pay", "line": "x"}, "drop": True}, ALL], True, False),
        ([{"match": {"line": "x"}, "drop": True}, ALL], True, True),
        ([{"match": {"line": "x"}, "sinks": "debug"}, ALL], True, True),
        ([{"match": {"line": "x"}, **ALL}, {"sinks": "debug"}], True, True),
        ([{**ALL, "sample": 2}], True, True),
        ([{**ALL, "throttle": "5/s"}], True, True),
        ([{**ALL, "throttle": "5/s", "continue": True}, ALL], True, False),
        ([{"match": {"app": "pay"}, **ALL, "throttle": "5/s"}, ALL], True, False),
    ],
)
def test_frames_whose_records_all_go_are_not_rewritten(routes, rewrites, touches):
    made = pipeline("archive", routes=routes)
    assert (made.rewrites, made.touches(partition())) == (rewrites, touches)


def test_the_buffer_learns_why_a_partition_is_for_no_sink() -> None:
    """What a route drops is not what no route takes."""
    table = build_routes(
        settings(
            routes=[
                {"match": {"app": "noise"}, "drop": True},
                {"match": {"app": "checkout"}, "sinks": ["archive"]},
            ]
        )
    )
    assert table.destination(partition(app="checkout")) == {"archive"}
    assert table.destination(partition(app="noise")) is Unrouted.FILTERED
    assert table.destination(partition(app="search")) is Unrouted.NO_ROUTE
