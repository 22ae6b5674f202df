"""ProtoJSON as servers write it, generously read; what is none of it is left out and counted."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from shipper.ignite.gateway import protojson
from shipper.ignite.gateway.parsing import parsed
from shipper.ignite.gateway.protojson import LogLines, NotProtoJson
from shipper.ignite.port import Event, LogChunk
from shipper.model import App, Replica

LINE = {"timestampMs": "1716894000123", "replicaId": "pod", "stream": "LOG_STREAM_STDOUT", "line": "x"}


def one(**fields: Any) -> LogChunk:
    """A line with other fields; None leaves one out."""
    message = {name: value for name, value in (LINE | fields).items() if value is not ...}
    return LogLines("pod").chunk([message])


@pytest.mark.parametrize(
    ("value", "number"),
    [("5", 5), (5, 5), (5.0, 5), (None, 0), (..., 0), ("-1", -1), ("9223372036854775807", 2**63 - 1)],
)
def test_a_64_bit_integer_is_text_or_a_number(value: Any, number: int) -> None:
    assert one(timestampMs=value).times == [number]


@pytest.mark.parametrize("value", ["", "1.5", "now", 1.5, True, [], {}, 2**63, "1" * 5_000, 1e300])
def test_what_is_no_64_bit_integer_is_counted_and_left_out(value: Any) -> None:
    assert one(timestampMs=value) == LogChunk([], [], [], undecodable=1)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("LOG_STREAM_STDERR", "stderr"),
        ("LOG_STREAM_UNSPECIFIED", None),
        ("LOG_STREAM_AUDIT", "audit"),
        (1, "stdout"),
        (2, "stderr"),
        (0, None),
        (17, "17"),  # not in the bundled .proto: kept as it came
        (None, None),
        (..., None),
        ("", None),
    ],
)
def test_an_enum_is_a_name_or_a_number(value: Any, name: str | None) -> None:
    assert one(stream=value).streams == [name]


@pytest.mark.parametrize("value", [1.5, True, [], {}])
def test_what_is_no_enum_is_counted(value: Any) -> None:
    assert one(stream=value).undecodable == 1


def test_names_are_in_camel_or_snake_case_and_unknown_ones_are_ignored() -> None:
    snake = {"timestamp_ms": 7, "replica_id": "pod", "line": "y", "new_field": {"a": [1]}}
    lines = LogLines("pod")
    assert lines.chunk([snake, snake]) == LogChunk([7, 7], [None, None], ["y", "y"])
    assert lines.chunk([LINE, snake]).times == [1716894000123, 7]
    assert lines.chunk([snake, LINE]).lines == ["y", "x"]


def test_lines_of_others_are_named_and_left_out_and_lines_of_nobody_are_ours() -> None:
    chunk = LogLines("pod").chunk([LINE, LINE | {"replicaId": "b"}, LINE | {"replicaId": ""}])
    assert (chunk.lines, chunk.others) == (["x", "x"], {"b"})


def test_an_object_that_is_no_line_is_counted_and_an_empty_one_keeps_a_connection_alive() -> None:
    assert LogLines("pod").chunk([LINE, {"hello": 1}, {}], bad=2) == LogChunk(
        [1716894000123], ["stdout"], ["x"], undecodable=3
    )


def test_text_that_is_no_unicode_is_its_bytes() -> None:
    raw = b'{"timestampMs":"1","replicaId":"pod","line":"%b"}'
    for inside, exact in (
        (b"caf\xe9", b"caf\xe9"),
        (b"\\ud800 half", b"\xed\xa0\x80 half"),
        (b"\\ud83d\\ude80", "🚀".encode()),
    ):
        (line,) = LogLines("pod").chunk([parsed(raw % inside)]).lines
        assert (line.encode() if isinstance(line, str) else line) == exact
    named = parsed(b'{"timestampMs":"1","reason":"caf\xe9"}')
    assert protojson.event(named).reason == "caf\ufffd"


@pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe>>>???", b"Step 1/8\n", b"a", b"ab"])
def test_bytes_are_base64_of_either_kind_with_or_without_padding(data: bytes) -> None:
    for encoded in (base64.b64encode(data), base64.urlsafe_b64encode(data)):
        for text in (encoded.decode(), encoded.decode().rstrip("=")):
            assert protojson.data({"data": text}, "data") == data
    for nonsense in ("a", "####", "ab\ncd", 5):
        with pytest.raises(NotProtoJson):
            protojson.data({"data": nonsense}, "data")


def test_events_and_replicas_have_defaults_for_what_is_absent() -> None:
    assert protojson.event({"timestampMs": 5}) == Event(5, "", "", "", "", 0, "")
    app = App("acme-corp", "checkout")
    assert protojson.replica(app)({"replicaId": "pod", "ready": True, "status": 1}) == Replica(
        app, "pod", status="STATUS_RUNNING", ready=True
    )
    assert protojson.event({"kind": "APP_EVENT_KIND_NEW"}).kind == "NEW"
    good, bad = protojson.each(
        protojson.event, [{"count": "3"}, {"count": "x"}, {"reason": 5}, {"message": []}]
    )
    assert ([event.count for event in good], bad) == ([3], 3)


def test_rows_may_be_what_an_envelope_holds() -> None:
    assert protojson.rows({"apps": [{"name": "a"}]}, "apps") == [{"name": "a"}]
    assert protojson.rows({"data": [{"name": "a"}]}, "apps") == [{"name": "a"}]
    assert protojson.rows({}, "apps") == []
    for nonsense in ({"apps": 5}, {"apps": [5]}, {"apps": {}, "data": 5}):
        with pytest.raises(NotProtoJson):
            protojson.rows(nonsense, "apps")
