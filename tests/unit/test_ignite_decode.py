"""From messages to the port's values: what is not UTF-8, what is garbage, what is unknown, what is another's."""

from __future__ import annotations

from typing import Any

import pytest

from shipper.emulator import Scenario
from shipper.emulator.descriptors import Schema
from shipper.ignite import decode
from shipper.ignite.contract import Source, bundled, derive
from shipper.ignite.decode import EventDecoder, LogDecoder
from shipper.ignite.framing import Messages
from shipper.ignite.names import EnumNames
from shipper.ignite.pb import ignite_compute_pb2 as pb
from shipper.ignite.port import LogChunk
from shipper.model import App

POD = "checkout-7c9d8-abcde"
GARBAGE = b"\xff\xff\xff\xff"
NOT_UTF8 = b"caf\xe9"


def line(text: str = "hello", **fields: Any) -> bytes:
    return pb.LogLine(
        **{"timestamp_ms": 1_000, "replica_id": POD, "stream": 1, "line": text, **fields}
    ).SerializeToString()


def with_bytes(raw: bytes, body: bytes) -> bytes:
    """The body with its line replaced by bytes that are no UTF-8."""
    return body + b"\x22" + bytes([len(raw)]) + raw


def chunk(*bodies: bytes, bad: int = 0, strict: bool = False) -> LogChunk:
    twin = bundled().calls["StreamAppLogs"].response
    return LogDecoder(twin, POD, strict).decode(Messages(list(bodies), bad))


def test_lines_are_columns_in_the_servers_order() -> None:
    got = chunk(line("b", timestamp_ms=2), line("a", timestamp_ms=1, stream=2))
    assert got == LogChunk([2, 1], ["stdout", "stderr"], ["b", "a"])


def test_empty_lines_zero_times_and_streams_that_are_not_sent_are_kept_in_their_place() -> None:
    bodies = [
        line("x" * 200),
        line(""),
        line("", timestamp_ms=0, stream=0),
        line("y" * 200, stream=0),
        line("z"),
    ]
    got = chunk(*bodies)
    assert got.lines == ["x" * 200, "", "", "y" * 200, "z"]
    assert got.times == [1_000, 1_000, 0, 1_000, 1_000]
    assert got.streams == ["stdout", "stdout", None, None, "stdout"]


def test_a_line_that_is_not_utf8_stays_bytes_and_its_neighbours_stay_text() -> None:
    got = chunk(line("before"), with_bytes(NOT_UTF8, line()), line("after"))
    assert got.lines == ["before", NOT_UTF8, "after"]
    assert got.undecodable == 0


def test_a_line_of_a_bytes_field_is_text_where_it_is_utf8() -> None:
    schema = Schema(Scenario(declare_line="bytes"))
    twin = derive(schema.files, Source.REFLECTION).calls["StreamAppLogs"].response
    bodies = [
        schema.message("LogLine")(timestamp_ms=1, replica_id=POD, line=text).SerializeToString()
        for text in ("é".encode(), NOT_UTF8)
    ]
    assert LogDecoder(twin, POD).decode(Messages(bodies)).lines == ["é", NOT_UTF8]


def test_a_message_that_cannot_be_decoded_is_counted_and_the_others_are_kept() -> None:
    got = chunk(line("before"), GARBAGE, line("after"), b"\x22\x7f", bad=1)
    assert got.lines == ["before", "after"]
    assert got.undecodable == 3


def test_garbage_cannot_swallow_the_message_after_it() -> None:
    cut = line("x" * 50)[:-40]  # says that 40 more bytes belong to it
    got = chunk(cut, line("y" * 20), line("z" * 20))
    assert (got.lines, got.undecodable) == (["y" * 20, "z" * 20], 1)


def test_lines_of_other_replicas_are_left_out_and_named() -> None:
    got = chunk(line("mine"), line("theirs", replica_id="other"), line("mine too"))
    assert got.lines == ["mine", "mine too"]
    assert got.others == {"other"}


def test_lines_that_name_no_replica_are_this_ones_unless_numbers_are_guessed() -> None:
    assert chunk(line("hello", replica_id="")).lines == ["hello"]
    assert chunk(line("hello", replica_id=""), strict=True) == LogChunk([], [], [])


def test_a_stream_value_that_is_not_known_is_kept_as_it_came() -> None:
    body = pb.LogLine(timestamp_ms=1, replica_id=POD, line="x").SerializeToString() + b"\x18\x09"
    negative = (
        pb.LogLine(timestamp_ms=1, replica_id=POD, line="x").SerializeToString()
        + b"\x18"
        + b"\xff" * 9
        + b"\x01"
    )
    assert chunk(body, negative).streams == ["9", "-1"]


def test_fields_that_are_newer_than_we_are_are_skipped() -> None:
    assert chunk(line("hello") + b"\xfa\x06\x03new", line("")).lines == ["hello", ""]


def test_a_field_sent_twice_counts_once_as_protobuf_says() -> None:
    twice = line("first") + pb.LogLine(line="second").SerializeToString()
    assert chunk(twice, line("x")).lines == ["second", "x"]


def test_an_empty_read_is_an_empty_chunk() -> None:
    assert chunk(bad=2) == LogChunk([], [], [], undecodable=2)


def test_times_of_any_size_are_kept() -> None:
    times = [0, -1, -(2**63), 2**63 - 1, 253_402_300_799_999]
    assert chunk(*(line(timestamp_ms=time) for time in times)).times == times


@pytest.mark.parametrize(
    ("value", "name"),
    [(0, None), (1, "stdout"), (7, "7"), ("LOG_STREAM_STDERR", "stderr"), ("", None), (b"LOG_STREAM_X", "x")],
)
def test_enum_values_are_named_as_the_archive_writes_them(value: int | str | bytes, name: str | None) -> None:
    names = EnumNames({0: "LOG_STREAM_UNSPECIFIED", 1: "LOG_STREAM_STDOUT"}, "LOG_STREAM_", lower=True)
    assert names[value] == name


def test_a_zero_with_a_meaning_keeps_it() -> None:
    assert EnumNames({0: "LOG_STREAM_STDOUT"}, "LOG_STREAM_", lower=True)[0] == "stdout"


def test_events_are_read_with_unknown_kinds_and_garbage_counted() -> None:
    twin = bundled().calls["StreamAppEvents"].response
    known = pb.AppEvent(
        timestamp_ms=1, kind=1, reason="OOMKilling", replica_id=POD, count=2, severity="Warning"
    )
    unknown = pb.AppEvent(timestamp_ms=2, reason="New").SerializeToString() + b"\x10\x63"
    not_text = pb.AppEvent(timestamp_ms=3).SerializeToString() + b"\x22\x04" + NOT_UTF8
    page = EventDecoder(twin).decode(Messages([known.SerializeToString(), unknown, GARBAGE, not_text]))
    assert [(event.kind, event.reason, event.message) for event in page.events] == [
        ("OOM_KILLED", "OOMKilling", ""),
        ("99", "New", ""),
        ("", "", "caf\ufffd"),
    ]
    assert page.undecodable == 1


def test_replicas_keep_the_platforms_words_for_their_status() -> None:
    twin = bundled().calls["ListAppReplicas"].response
    page = twin.text.FromString(
        pb.ListAppReplicasResponse(
            replicas=[
                {"replica_id": POD, "status": 1, "ready": True, "restart_count": 3},
                {"replica_id": "b"},
            ]
        ).SerializeToString()
    )
    first, second = decode.replicas(twin, App("acme", "a"), page.replicas)
    assert (first.status, first.ready, first.restart_count) == ("STATUS_RUNNING", True, 3)
    assert second.status == ""
