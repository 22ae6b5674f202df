"""A record as a Datadog log: what becomes which attribute."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shipper.entry import CodeFrame, Entry, Failure, Level
from shipper.sinks.datadog.fields import RESERVED
from shipper.sinks.datadog.ids import datadog_id
from shipper.sinks.datadog.labels import Labels
from shipper.sinks.datadog.mapping import LogWriter, log_of
from tests.fakes.datadog import NODE, NOW_MS, build_entry, event_entry, gap_entry, log_entry, partition_of

TAGS = "organization:acme-corp,app:checkout,replica:checkout-7d9f6c5b4-x2x9p"
LABELS = {
    "ddsource": "ignite",
    "service": "checkout",
    "hostname": NODE,
    "ddtags": f"{TAGS},cluster:eu-1,stream:stderr",
}
TRACE = 'Traceback (most recent call last):\n  File "/app/pay.py", line 88, in charge\nValueError: no card'


def labels(**changes: Any) -> Labels:
    settings = {"source": "ignite", "service": "{app}", "hostname": "{node}", "tags": ()} | changes
    return Labels(**settings)


def shown(entry: Entry, stamp_ms: int | None = None, **changes: Any) -> dict[str, Any]:
    log: dict[str, Any] = orjson.loads(
        LogWriter(labels(**changes), partition_of(entry)).encode(entry, stamp_ms)
    )
    return log


def test_a_plain_line_is_its_text_its_time_and_whose_it_is() -> None:
    assert shown(log_entry("hello")) == LABELS | {"timestamp": NOW_MS, "message": "hello"}


@pytest.mark.parametrize("level", Level)
def test_a_level_is_the_status_by_its_own_name(level: Level) -> None:
    """Datadog reads a status by its first letters: d and t are Debug, i Info, w Warning, err Error, f Emergency."""
    assert shown(log_entry(level=level))["status"] == level.value


def test_a_line_that_says_no_level_has_no_status_whatever_its_stream() -> None:
    assert "status" not in shown(log_entry("E", record={"stream": "stderr"}))


def test_what_the_platform_did_not_say_is_left_out() -> None:
    log = shown(log_entry(record={"node_name": None, "cluster_id": None, "stream": None}))
    assert "hostname" not in log
    assert log["ddtags"] == TAGS


def test_templates_are_filled_in_and_what_is_left_empty_is_left_out() -> None:
    log = shown(
        log_entry(record={"node_name": None}),
        service="{organization}-{app}.{stream}",
        source="{cluster}",
        hostname="{node}",
        tags=("env:prod", "team:pay"),
    )
    assert (log["service"], log["ddsource"]) == ("acme-corp-checkout.stderr", "eu-1")
    assert log["ddtags"].endswith(",stream:stderr,env:prod,team:pay")
    assert "hostname" not in log


def test_a_name_cannot_add_a_tag_or_fill_a_log() -> None:
    """A comma ends a tag, and Datadog keeps 200 characters of one."""
    log = shown(log_entry(record={"app": "a,admin:true b", "replica_id": "x" * 500}), service="{replica}")
    tags = log["ddtags"].split(",")
    assert "app:a_admin:true_b" in tags
    assert max(map(len, tags)) == 200
    assert len(log["service"]) == 255


def test_ids_are_sent_as_printed_and_in_datadogs_own_form() -> None:
    """https://docs.datadoghq.com/tracing/other_telemetry/connect_logs_and_traces/opentelemetry/"""
    entry = log_entry(
        execution_id="exec-9",
        trace_id="5b8efff798038103d269b633813fc60c",
        span_id="eee19b7ec3c1b174",
    )
    assert shown(entry) == LABELS | {
        "timestamp": NOW_MS,
        "message": "hello",
        "execution_id": "exec-9",
        "trace_id": "5b8efff798038103d269b633813fc60c",
        "span_id": "eee19b7ec3c1b174",
        "dd": {"trace_id": "15161849952847513100", "span_id": "17213210219539181940"},
    }


def test_an_id_of_another_kind_is_sent_as_it_is() -> None:
    log = shown(log_entry(trace_id="Root=1-67891233-abcdef012345678912345678"))
    assert log["trace_id"].startswith("Root=")
    assert "dd" not in log


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0000000000000000d269b633813fc60c", "15161849952847513100"),
        ("D269B633813FC60C", "15161849952847513100"),
        ("5b8efff7-9803-8103-d269-b633813fc60c", "15161849952847513100"),
        ("15161849952847513100", "15161849952847513100"),
        ("7", "7"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", None),
        ("0", None),
        ("00000000000000000000000000000000", None),
        ("0000000000000000", None),
        ("xyz", None),
        ("", None),
        ("-1", None),
        ("٣", None),
        ("d269b633813fc60", None),
    ],
)
def test_an_id_becomes_64_bits_in_decimal_or_nothing(text: str, number: str | None) -> None:
    assert datadog_id(text) == number


def test_a_stack_trace_is_an_error_for_error_tracking() -> None:
    failure = Failure("python", "ValueError", "no card", (CodeFrame("charge", "/app/pay.py", 88),))
    log = shown(log_entry(TRACE, failure=failure, lines=3, level=Level.ERROR))
    assert log["message"] == TRACE
    assert log["error"] == {"kind": "ValueError", "message": "no card", "stack": TRACE}
    assert log["status"] == "error"
    assert log["shipper"] == {"lines": 3}


def test_a_stack_trace_is_an_error_unless_its_lines_say_otherwise() -> None:
    failure = Failure("python", "ValueError", "no card")
    assert shown(log_entry(TRACE, failure=failure))["status"] == "error"
    assert shown(log_entry(TRACE, failure=failure, level=Level.WARN))["status"] == "warn"


@pytest.mark.parametrize(
    "fields",
    [
        {"msg": "m", "stack_trace": TRACE},
        {"msg": "m", "exc_info": TRACE, "note": "a longer text\n" * 50},
        {"msg": "m", "error": {"stack": TRACE, "message": "no card", "code": 7}},
    ],
)
def test_the_stack_of_a_json_line_is_the_field_that_has_it(fields: dict[str, Any]) -> None:
    line = orjson.dumps(fields).decode()
    log = shown(log_entry(line, fields=fields, failure=Failure("python", "ValueError", "no card")))
    ours = {"kind": "ValueError", "message": "no card", "stack": TRACE}
    assert log["message"] == "m"
    if "error" in fields:
        assert log["error"] == ours | {"code": 7}
        assert "fields" not in log
    else:
        assert log["error"] == ours


def test_what_a_line_says_otherwise_about_its_error_goes_aside() -> None:
    fields = {"msg": "m", "error": {"kind": "Mine", "stack": TRACE}}
    log = shown(log_entry("{}", fields=fields, failure=Failure("python", "ValueError", "no card")))
    assert log["error"]["kind"] == "ValueError"
    assert log["fields"] == {"error": {"kind": "Mine"}}
    log = shown(log_entry("{}", fields={"error": "text"}, failure=Failure("go", "panic", "boom")))
    assert log["fields"] == {"error": "text"}


def test_fields_become_attributes_and_the_lines_own_message_the_message() -> None:
    line = '{"msg":"paid","user":{"id":7},"amount":9.5,"ok":true,"note":null,"http.status":200}'
    log = shown(log_entry(line, fields=orjson.loads(line)))
    assert log == LABELS | {
        "timestamp": NOW_MS,
        "message": "paid",
        "user": {"id": 7},
        "amount": 9.5,
        "ok": True,
        "note": None,
        "http.status": 200,
    }


def test_fields_do_not_override_what_is_reserved() -> None:
    """Datadog would read time, status, host and service from them, some before ours; so they go aside."""
    line = (
        '{"message":"m","@timestamp":"1999-01-01","status":200,"host":"evil","service":"x","ddtags":"a:b","level":"warn",'
        '"syslog":{"timestamp":1},"dd.service":"y","shipper":1,"fields":2,"path":"/x"}'
    )
    fields = orjson.loads(line)
    log = shown(log_entry(line, fields=fields, level=Level.WARN))
    assert {name: log[name] for name in LABELS} == LABELS
    assert (log["timestamp"], log["status"], log["message"]) == (NOW_MS, "warn", "m")
    assert log["path"] == "/x"
    assert log["fields"] == {key: value for key, value in fields.items() if key not in ("message", "path")}
    assert set(log) == {*LABELS, "timestamp", "status", "message", "path", "fields"}


def test_a_field_that_is_an_id_already_is_not_there_twice() -> None:
    fields = {"msg": "m", "trace_id": "7", "execution_id": "other", "error": "no"}
    log = shown(log_entry("{}", fields=fields, trace_id="7", execution_id="e"))
    assert (log["trace_id"], log["execution_id"], log["error"]) == ("7", "e", "no")
    assert log["fields"] == {"execution_id": "other"}


def test_a_json_line_without_a_text_stands_for_itself() -> None:
    line = '{"method":"GET","path":"/x"}'
    log = shown(log_entry(line, fields=orjson.loads(line)))
    assert log["message"] == line
    assert (log["method"], log["path"]) == ("GET", "/x")


def test_a_json_line_without_a_text_says_nothing_reserved_in_its_message() -> None:
    """Datadog parses a message that is JSON, and would find the line's own time in it."""
    line = '{"ts":1,"timestamp":"1999-01-01T00:00:00Z","status":500,"path":"/x"}'
    log = shown(log_entry(line, fields=orjson.loads(line)))
    assert orjson.loads(log["message"]) == {"ts": 1, "path": "/x"}
    assert log["fields"] == {"timestamp": "1999-01-01T00:00:00Z", "status": 500}
    assert log["timestamp"] == NOW_MS


@pytest.mark.parametrize("key", sorted(RESERVED - {"message"}))
def test_a_reserved_name_goes_aside_and_changes_nothing_else(key: str) -> None:
    ours = shown(log_entry("{}", fields={"message": "t"}))
    for name in (key, f"{key}.x"):
        log = shown(log_entry("{}", fields={"message": "t", name: "evil"}))
        assert log == ours | {"fields": {name: "evil"}}


def test_fields_that_no_json_can_hold_again_are_left_to_the_text() -> None:
    deep: Any = 1
    for _ in range(300):
        deep = {"a": deep}
    log = shown(log_entry("the line", fields=deep, level=Level.INFO))
    assert log == LABELS | {"timestamp": NOW_MS, "status": "info", "message": "the line"}


def test_a_lone_surrogate_is_shown_as_a_question_mark() -> None:
    log = shown(log_entry("a\ud800b", record={"app": "x\ud800"}))
    assert log["message"] == "a?b"
    assert log["service"] == "x?"


def test_a_restamped_record_keeps_its_own_time_in_an_attribute() -> None:
    log = shown(log_entry(timestamp_ms=5), stamp_ms=NOW_MS)
    assert log["timestamp"] == NOW_MS
    assert log["shipper"] == {"original_timestamp": 5}


@pytest.mark.parametrize(
    ("changes", "message", "status"),
    [
        ({}, "OOMKilling: Memory cgroup out of memory", "error"),
        ({"severity": "Normal"}, "OOMKilling: Memory cgroup out of memory", "error"),
        ({"kind": "BACK_OFF", "reason": "BackOff", "count": 3, "text": "no"}, "BackOff: no (3 times)", "warn"),
        ({"kind": 17, "reason": "Pulled", "severity": "Normal"}, "Pulled: Memory cgroup out of memory", "info"),
        ({"kind": 17, "reason": None, "severity": None, "text": ""}, "17", "info"),
        ({"kind": None, "reason": None, "severity": "ERROR", "text": ""}, "event", "error"),
        ({"kind": "X", "severity": "critical"}, "OOMKilling: Memory cgroup out of memory", "fatal"),
    ],
)  # fmt: skip
def test_an_event_as_a_log_says_what_happened_and_how_bad_it_is(
    changes: dict[str, Any], message: str, status: str
) -> None:
    log = shown(event_entry(**changes))
    assert (log["message"], log["status"]) == (message, status)


def test_an_event_as_a_log_can_be_filtered_and_searched_by_its_facts() -> None:
    log = shown(event_entry())
    assert log["ddtags"] == f"{TAGS},kind:events,event:OOM_KILLED,event_reason:OOMKilling,severity:Warning"
    assert log["event"] == {"kind": "OOM_KILLED", "reason": "OOMKilling", "severity": "Warning", "count": 1}
    assert "hostname" not in log


def test_a_build_is_filed_under_its_app_and_build() -> None:
    assert shown(build_entry()) == {
        "ddsource": "ignite",
        "service": "checkout",
        "ddtags": "organization:acme-corp,app:checkout,kind:builds,build:b-4711,build_source:build",
        "timestamp": NOW_MS,
        "message": "Step 3/9 : RUN pip install .",
    }


def test_a_gap_is_a_warning_of_shippers_own() -> None:
    log = shown(gap_entry("read up to 12:00", lost=1234))
    assert (log["ddsource"], log["status"]) == ("shipper", "warn")
    assert log["ddtags"] == f"{TAGS},kind:gaps,reason:rotated,stream_kind:logs"
    assert log["message"] == (
        "gap: 1234 records of logs of checkout-7d9f6c5b4-x2x9p could not be had (rotated), from "
        "2026-09-21T14:12:20.000+00:00 to 2026-09-21T14:13:19.000+00:00: read up to 12:00"
    )
    assert log["gap"] == {
        "stream_kind": "logs", "reason": "rotated", "from_ms": NOW_MS - 60_000, "to_ms": NOW_MS - 1000, "lost": 1234,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"lost": None}, "gap: records of logs"),
        ({"lost": 1}, "gap: 1 record of logs"),
        ({"replica_id": ""}, "of checkout could"),
        ({"from_ms": 0}, "from an unknown time"),
        ({"from_ms": 10**17}, "from 100000000000000000 ms"),
        ({"from_ms": None}, "from an unknown time"),
    ],
)
def test_a_gap_is_told_however_little_is_known_of_it(changes: dict[str, Any], part: str) -> None:
    assert part in shown(gap_entry(**changes))["message"]


def test_labels_are_kept_and_memory_is_bounded() -> None:
    kept = labels()
    writer = LogWriter(kept, partition_of(log_entry()))
    first = writer.encode(log_entry())
    assert len(kept.openings(partition_of(log_entry()))) == 1
    for number in range(10_000):
        entry = log_entry(record={"replica_id": f"r{number}"})
        assert f"replica:r{number},".encode() in writer.encode(entry)
    assert sum(map(len, kept._openings.values())) <= 4096
    assert writer.encode(log_entry()) == first


@pytest.mark.parametrize("level", [None, *Level])
def test_the_short_way_writes_what_the_long_way_does(level: Level | None) -> None:
    """Plain lines are written by a template, all others as an object."""
    for text in ("", "plain", 'quotes " and \\ and \n', "\x00\x1f", "日本 🚀", "</script>", "%d %b"):
        plain = log_entry(text, level=level, timestamp_ms=-5)
        assert shown(plain) == LABELS | log_of(plain)
