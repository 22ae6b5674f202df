"""What is read from a line, what is not, and that reading leaves the line as it is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from shipper.config.reading import ReadSettings
from shipper.entry import CodeFrame, Entry, Failure, Level
from shipper.model import Kind
from shipper.transform.fields import USUAL
from shipper.transform.reading import Reader
from tests.log_entries import entry_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def read(line: str | dict[str, Any], **settings: Any) -> Entry:
    entry = entry_of(line if isinstance(line, str) else orjson.dumps(line).decode())
    Reader.of([ReadSettings.model_validate(settings)]).read("shop", entry)
    return entry


# ---- which lines ----


def test_without_settings_nothing_is_read() -> None:
    entry = entry_of('{"level":"error","trace_id":"' + TRACE + '"}')
    untouched = entry_of(entry.text)
    Reader.of([]).read("shop", entry)
    assert entry == untouched


def test_the_first_entry_whose_app_matches_applies() -> None:
    settings = [
        {"app": "checkout-*", "level": {"field": "one"}},
        {"app": "*", "level": {"field": "two"}},
    ]
    reader = Reader.of([ReadSettings.model_validate(one) for one in settings])
    said = {}
    for app in ("checkout-eu", "shop", "checkout-eu"):
        entry = entry_of('{"one":"warn","two":"error"}')
        reader.read(app, entry)
        said[app] = entry.level
    assert said == {"checkout-eu": Level.WARN, "shop": Level.ERROR}


def test_an_app_that_no_entry_matches_is_not_read() -> None:
    entry = entry_of('{"level":"error"}')
    Reader.of([ReadSettings.model_validate({"app": "other"})]).read("shop", entry)
    assert (entry.level, entry.fields) == (None, None)


def test_events_are_not_read() -> None:
    entry = Entry({"message": '{"level":"error"}'}, Kind.EVENTS, 1, '{"level":"error"}')
    Reader.of([ReadSettings()]).read("shop", entry)
    assert (entry.level, entry.fields) == (None, None)


def test_a_line_on_standard_error_has_no_level_of_its_own() -> None:
    assert read("something on stderr", level="auto").level is None
    assert read({"message": "something"}).level is None


# ---- JSON ----


def test_a_line_that_is_an_object_becomes_fields_and_stays_as_it_was() -> None:
    line = ' {"not": "this"}'
    assert read(line).fields is None
    line = '{"level":"info", "nested":{"a":[1,2]}, "n":1.5}  '
    entry = read(line)
    assert entry.fields == {"level": "info", "nested": {"a": [1, 2]}, "n": 1.5}
    assert entry.text == entry.record["line"] == line


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "{}}",
        '{"a":1',
        "[1]",
        '"text"',
        "{'a':1}",
        '{"a":NaN}',
        "{a:1}",
        'x {"level":"error"}',
        '{"a":1} x',
        "",
    ],
)
def test_what_is_no_object_as_a_whole_has_no_fields(line: str) -> None:
    assert read(line).fields is None


def test_json_false_reads_no_fields() -> None:
    entry = read({"level": "error"}, json=False)
    assert (entry.fields, entry.level) == (None, None)


def test_an_object_that_is_too_deep_or_too_large_is_not_read() -> None:
    for depth, fits in ((31, True), (33, False), (1_000, False), (100_000, False)):
        line = '{"level":"error","a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"
        assert (read(line).fields is not None) is fits, depth
    wide = {"level": "error", "a": [[]] * 100}
    assert read(wide).level is Level.ERROR
    assert read({"level": "error", "a": "x" * (300 << 10)}).fields is None


def test_a_hostile_line_costs_milliseconds() -> None:
    keys = "{" + ",".join(f'"k{at}":"v"' for at in range(20_000)) + "}"
    lines = (
        keys,
        '{"a":' * 1_000_000,
        "{" * 10_000_000,
        '{"a":"' + "\\u0000" * 40_000 + '"}',
        "trace_id=" * 1_000_000,
        "level=" * 1_000_000,
        "[" * 10_000_000,
        '{"n":' + "9" * 200_000 + "}",
    )
    pattern = {"pattern": "(a|aa)+$"}
    for line in lines:
        entry = entry_of(line)
        reader = Reader.of(
            [ReadSettings.model_validate({"level": {"auto": True, **pattern}, "trace_id": pattern})]
        )
        began = time.process_time()
        for _ in range(3):
            reader.read("shop", entry)
        assert time.process_time() - began < 2, line[:20]


def test_lines_with_ever_new_names_do_not_fill_the_memory() -> None:
    reader = Reader.of([ReadSettings()])
    for at in range(2_000):
        entry = entry_of(orjson.dumps({f"k{at}": 1, "level": "warn"}).decode())
        reader.read("shop", entry)
        assert entry.level is Level.WARN
    names = reader._rules[0][1]._names
    assert len(names._shapes) <= 256


# ---- levels ----


@pytest.mark.parametrize(
    ("fields", "level"),
    [
        ({"level": "warn"}, Level.WARN),
        ({"severity": "CRITICAL"}, Level.FATAL),
        ({"lvl": "eror"}, Level.ERROR),
        ({"log.level": "debug"}, Level.DEBUG),
        ({"log": {"level": "debug"}}, Level.DEBUG),
        ({"levelname": "WARNING", "levelno": 30}, Level.WARN),
        ({"levelno": 50}, Level.FATAL),
        ({"level": 50, "pid": 1}, Level.ERROR),
        ({"level": 3, "version": "1.1"}, Level.ERROR),
        ({"level": 400, "level_name": "ERROR"}, Level.ERROR),
        ({"severity_number": 17}, Level.ERROR),
        ({"@level": "trace"}, Level.TRACE),
        ({"@l": "Error"}, Level.ERROR),
        ({"LogLevel": "Information"}, Level.INFO),
        ({"record": {"level": {"name": "WARNING", "no": 30}}}, Level.WARN),
        ({"PRIORITY": "6"}, Level.INFO),
        ({"status": "error"}, Level.ERROR),
        ({"status": 500}, None),
        ({"status": "200"}, None),
        ({"status": "error", "level": "info"}, Level.INFO),
        ({"level": "unheard of", "severity": "error"}, Level.ERROR),
        ({"level": None, "severity": "error"}, Level.ERROR),
        ({"level": {"deeper": 1}}, None),
        ({"message": "ERROR in the text"}, None),
        ({}, None),
    ],
)
def test_the_level_is_found_under_the_usual_names(fields: dict[str, Any], level: Level | None) -> None:
    assert read(fields).level is level


def test_a_field_of_one_s_own_is_the_only_one_that_counts() -> None:
    settings = {"level": {"field": "meta.gravity"}}
    assert read({"meta": {"gravity": "warn"}, "level": "error"}, **settings).level is Level.WARN
    assert read({"meta.gravity": "warn"}, **settings).level is Level.WARN
    assert read({"level": "error"}, **settings).level is None
    assert read({"meta": "warn", "level": "error"}, **settings).level is None


def test_a_pattern_finds_the_level_where_no_field_did() -> None:
    settings = {"level": {"pattern": r"^\w+ <(?P<level>\w+)>"}}
    assert read("shop <WARN> slow", **settings).level is Level.WARN
    assert read("shop <odd> slow", **settings).level is None
    assert read("shop slow", **settings).level is None
    assert read({"level": "error", "m": "x"}, **settings).level is Level.ERROR


def test_a_group_without_the_name_or_the_whole_match_will_do() -> None:
    assert read("it is (ERR)", level={"pattern": r"\((\w+)\)"}).level is Level.ERROR
    assert read("it is ERR", level={"pattern": "ERR|WRN"}).level is Level.ERROR


def test_auto_reads_text_and_says_error_of_a_trace_that_says_nothing() -> None:
    assert read("2026-11-24 10:00:00 WARN slow", level="auto").level is Level.WARN
    assert read("2026-11-24 10:00:00 WARN slow").level is None
    reader = Reader.of([ReadSettings.model_validate({"level": "auto"})])
    for text, level in (("Traceback ...", Level.ERROR), ("2026-11-24 WARN Traceback ...", Level.WARN)):
        entry = entry_of(text)
        entry.failure = Failure("python", "ValueError", "")
        reader.read("shop", entry)
        assert entry.level is level


def test_auto_does_not_read_the_text_of_an_object() -> None:
    assert read('{"message":"[ERROR] said somebody"}', level="auto").level is None


# ---- ids ----


@pytest.mark.parametrize(
    ("fields", "trace", "span"),
    [
        ({"trace_id": TRACE, "span_id": SPAN}, TRACE, SPAN),
        ({"traceId": TRACE.upper(), "spanId": SPAN.upper()}, TRACE, SPAN),
        ({"traceID": TRACE, "spanID": SPAN}, TRACE, SPAN),
        ({"TraceId": TRACE, "SpanId": SPAN}, TRACE, SPAN),
        ({"trace": {"id": TRACE}, "span": {"id": SPAN}}, TRACE, SPAN),
        ({"trace.id": TRACE, "span.id": SPAN}, TRACE, SPAN),
        ({"otelTraceID": TRACE, "otelSpanID": SPAN}, TRACE, SPAN),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, TRACE, SPAN),
        ({"headers": {"traceparent": f"00-{TRACE}-{SPAN}-01"}}, TRACE, SPAN),
        (
            {"dd": {"trace_id": "1234567890123456789", "span_id": "42"}},
            "0" * 16 + "112210f47de98115",
            "0" * 14 + "2a",
        ),
        (
            {"dd.trace_id": "1234567890123456789", "dd.span_id": 42},
            "0" * 16 + "112210f47de98115",
            "0" * 14 + "2a",
        ),
        ({"dd.trace_id": str(int(TRACE, 16))}, TRACE, None),
        ({"dd.trace_id": TRACE}, TRACE, None),
        ({"trace_id": SPAN}, "0" * 16 + SPAN, None),
        ({"trace_id": "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"}, TRACE, None),
        ({"logging.googleapis.com/trace": f"projects/acme/traces/{TRACE}"}, TRACE, None),
        ({"trace_id": "0" * 32, "span_id": "0" * 16}, None, None),
        ({"trace_id": "not-a-trace", "span_id": "short"}, None, None),
        ({"trace_id": TRACE + "00", "span_id": SPAN + "0"}, None, None),
        ({"trace_id": "g" * 32, "span_id": ["x"]}, None, None),
        ({"trace_id": "+" + TRACE[1:], "span_id": "0x" + SPAN[2:]}, None, None),
        ({"traceparent": f"{TRACE}-{SPAN}"}, None, None),
        ({"dd.trace_id": "9" * 40, "dd.span_id": str(1 << 64)}, None, None),
        ({"dd.trace_id": 0, "dd.span_id": -1}, None, None),
        ({"trace_id": 1.5, "span_id": True}, None, None),
    ],
)
def test_ids_of_traces_have_one_form_and_wrong_ones_are_ignored(
    fields: dict[str, Any], trace: str | None, span: str | None
) -> None:
    entry = read(fields)
    assert (entry.trace_id, entry.span_id) == (trace, span)


@pytest.mark.parametrize(
    ("line", "trace", "span"),
    [
        (f"took order trace_id={TRACE} span_id={SPAN}", TRACE, SPAN),
        (f'took order traceId="{TRACE}", spanId: {SPAN}', TRACE, SPAN),
        ("[dd.service=shop dd.trace_id=42 dd.span_id=7] took order", "0" * 30 + "2a", "0" * 15 + "7"),
        (f"traceparent: 00-{TRACE}-{SPAN}-01", TRACE, SPAN),
        (f"backtrace_id={TRACE}", None, None),
        ("trace_id=none", None, None),
        ("the trace of it", None, None),
    ],
)
def test_ids_are_found_in_text_by_their_names(line: str, trace: str | None, span: str | None) -> None:
    entry = read(line)
    assert (entry.trace_id, entry.span_id) == (trace, span)


@pytest.mark.parametrize(
    ("line", "execution"),
    [
        ({"execution_id": "ex-7"}, "ex-7"),
        ({"executionId": 7}, "7"),
        ({"execution": {"id": "ex-7"}}, "ex-7"),
        ({"headers": {"x-ignite-execution-id": "ex-7"}}, "ex-7"),
        ({"execution_id": "two words"}, None),
        ({"execution_id": "x" * 200}, None),
        ("took order execution_id=ex-7, next", "ex-7"),
        ("x-ignite-execution-id: ex-7", "ex-7"),
        ("execution took long", None),
    ],
)
def test_the_execution_is_found_by_its_names(line: str | dict[str, Any], execution: str | None) -> None:
    assert read(line).execution_id == execution


def test_where_an_id_has_a_place_of_its_own_no_other_counts() -> None:
    other = TRACE[::-1]
    settings = {
        "trace_id": {"field": "request.trace"},
        "execution_id": {"pattern": r"job (?P<execution_id>[a-z]\w+)"},
    }
    assert read({"request": {"trace": TRACE}, "trace_id": other}, **settings).trace_id == TRACE
    assert read(f"trace_id={other} execution_id=x9 job y7", **settings).trace_id is None
    assert read("execution_id=x9 job y7", **settings).execution_id == "y7"
    assert read("trace_id: {", trace_id={"pattern": r"trace (?P<trace_id>\w+)"}).trace_id is None


# ---- failures ----

PYTHON = 'Traceback (most recent call last):\n  File "/app/x.py", line 7, in take\n    take()\nLookupError: no items'
JAVA = "java.lang.IllegalStateException: no items\n\tat com.acme.Shop.take(Shop.java:7)\n"
NODE = "Error: no items\n    at take (/app/x.js:7:1)"
GO = "main.take\n\t/app/main.go:7\nmain.main\n\t/app/main.go:3"


@pytest.mark.parametrize(
    ("fields", "language", "kind", "message"),
    [
        ({"exc_info": PYTHON}, "python", "LookupError", "no items"),
        ({"exception": PYTHON, "level": "error"}, "python", "LookupError", "no items"),
        ({"stack_trace": JAVA}, "java", "java.lang.IllegalStateException", "no items"),
        (
            {"error": {"stack_trace": JAVA, "message": "no"}},
            "java",
            "java.lang.IllegalStateException",
            "no items",
        ),
        ({"exception.stacktrace": JAVA}, "java", "java.lang.IllegalStateException", "no items"),
        ({"err": {"stack": NODE, "message": "no items"}}, "node", "Error", "no items"),
        ({"stack": NODE}, "node", "Error", "no items"),
        ({"error": NODE}, "node", "Error", "no items"),
        ({"stacktrace": GO, "error": "no items", "msg": "taking"}, "go", "error", "no items"),
        ({"stacktrace": GO, "msg": "taking\nit"}, "go", "error", "taking"),
    ],
)
def test_a_stack_in_a_field_gives_a_failure(
    fields: dict[str, Any], language: str, kind: str, message: str
) -> None:
    failure = read(fields).failure
    assert failure is not None
    assert (failure.language, failure.type, failure.message) == (language, kind, message)
    assert failure.frames[-1].line == 7


@pytest.mark.parametrize(
    "fields",
    [
        {"stack": "web"},
        {"exception": None},
        {"error": "line one\nline two"},
        {"stack": {"a": 1}},
        {"message": PYTHON},
    ],
)
def test_a_field_without_a_stack_gives_no_failure(fields: dict[str, Any]) -> None:
    assert read(fields).failure is None


def test_a_failure_that_was_joined_is_kept() -> None:
    entry = entry_of(orjson.dumps({"stack": NODE}).decode())
    entry.failure = Failure("go", "panic", "", (CodeFrame("main"),))
    Reader.of([ReadSettings()]).read("shop", entry)
    assert entry.failure.language == "go"


# ---- settings ----


def test_a_pattern_that_is_no_expression_is_refused() -> None:
    with pytest.raises(ValidationError):
        ReadSettings.model_validate({"level": {"pattern": "(unclosed"}})


def test_level_auto_is_short_for_the_section() -> None:
    short = ReadSettings.model_validate({"level": "auto"})
    assert short == ReadSettings.model_validate({"level": {"auto": True}})
    with pytest.raises(ValidationError):
        ReadSettings.model_validate({"level": "sometimes"})


def test_the_page_lists_every_usual_name() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reading.md").read_text()
    for names in USUAL.values():
        for name, _ in names:
            assert f"`{name}`" in page, name
