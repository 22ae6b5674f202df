"""Entries as requests within Datadog's limits, and what happens to those that it would throw away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from shipper.archive.codec import decompress
from shipper.entry import Entry, Failure
from shipper.model import Codec
from shipper.sinks.datadog.body import Body, Destination, Limits, compressed
from shipper.sinks.datadog.cut import cut
from shipper.sinks.datadog.options import DatadogOptions
from shipper.sinks.datadog.sink import DatadogSink
from shipper.sinks.port import Parcel
from tests.fakes.datadog import NOW_MS, event_entry, gap_entry, log_entry, partition_of

HOUR_MS = 3_600_000
LIMITS = Limits()


def packed(entries: Sequence[Entry], **options: Any) -> list[Parcel]:
    sink = DatadogSink("dd", DatadogOptions("key", **options), clock=lambda: NOW_MS / 1000)
    return list(sink.pack(partition_of(entries[0]), entries))


def body_of(parcel: Parcel) -> Any:
    assert isinstance(parcel.body, Body)
    return orjson.loads(parcel.body.data)


def ranges(parcels: Sequence[Parcel]) -> list[tuple[int, int, int]]:
    return [(parcel.start, parcel.stop, parcel.settles) for parcel in parcels]


def test_a_thousand_logs_fit_into_one_request() -> None:
    parcels = packed([log_entry(str(number)) for number in range(2 * LIMITS.most_logs + 1)])
    assert ranges(parcels) == [(0, 1000, 1000), (1000, 2000, 2000), (2000, 2001, 2001)]
    messages = [log["message"] for parcel in parcels for log in body_of(parcel)]
    assert messages == [str(number) for number in range(2 * LIMITS.most_logs + 1)]


def test_a_request_is_full_at_its_size() -> None:
    entries = [log_entry("x" * 900_000) for _ in range(10)]
    parcels = packed(entries)
    assert ranges(parcels) == [(0, 4, 4), (4, 8, 8), (8, 10, 10)]
    assert all(len(parcel.body.data) <= LIMITS.most_bytes for parcel in parcels)  # type: ignore[attr-defined]


def test_nothing_is_packed_of_nothing() -> None:
    sink = DatadogSink("dd", DatadogOptions("key"))
    assert list(sink.pack(partition_of(log_entry()), [])) == []


# ---- what is too long ----


@pytest.mark.parametrize(
    "character", ["x", "é", "日", "🚀", "\n", "\x00", "\\", '"', "\\u", "a\\", "x\n日\x01"], ids=ascii
)
def test_a_line_above_a_megabyte_is_cut_at_a_character_and_says_so(character: str) -> None:
    text = character * (4_000_000 // len(character.encode()))
    (parcel,) = packed([log_entry(text)])
    (log,) = body_of(parcel)
    (size,) = (len(parcel.body.data) - 2,)  # type: ignore[attr-defined]
    assert LIMITS.largest_log - 200 <= size <= LIMITS.largest_log
    kept, _, marker = log["message"].partition("… [cut by shipper: ")
    assert text.startswith(kept)
    left_out = len(text.encode()) - len(kept.encode())
    assert marker == f"{left_out} bytes more]"
    assert log["shipper"] == {"cut_bytes": left_out}
    assert parcel.altered == {"cut": 1}


def test_a_log_of_a_megabyte_is_left_whole() -> None:
    overhead = len(packed([log_entry("")])[0].body.data) - 2  # type: ignore[attr-defined]
    (whole,) = packed([log_entry("x" * (LIMITS.largest_log - overhead))])
    assert not whole.altered
    assert len(body_of(whole)[0]["message"]) == LIMITS.largest_log - overhead
    (one_more,) = packed([log_entry("x" * (LIMITS.largest_log - overhead + 1))])
    assert one_more.altered == {"cut": 1}


def test_of_a_line_whose_fields_are_too_large_the_text_is_left() -> None:
    line = orjson.dumps({"msg": "short", "blob": "x" * 2_000_000}).decode()
    (parcel,) = packed([log_entry(line, fields=orjson.loads(line))])
    (log,) = body_of(parcel)
    assert "blob" not in log
    assert log["message"].startswith('{"msg":"short","blob":"xxx')
    assert parcel.altered == {"cut": 1}


def test_a_stack_trace_that_is_too_large_with_its_copy_keeps_its_text() -> None:
    (parcel,) = packed([log_entry("y" * 700_000, failure=Failure("go", "panic", "m"), lines=9)])
    (log,) = body_of(parcel)
    assert log["message"] == "y" * 700_000
    assert log["shipper"] == {"lines": 9, "cut_bytes": 0}
    assert parcel.altered == {"cut": 9}


def test_however_large_an_id_is_the_log_is_not() -> None:
    (parcel,) = packed([log_entry("text", execution_id="i" * 3_000_000)])
    assert [log["message"] for log in body_of(parcel)] == ["text"]


def test_a_text_that_fits_is_not_cut() -> None:
    assert cut("a\nb", 4) == ("a\nb", 0)
    assert cut("a", -1)[1] == 1
    text, left_out = cut("a\nb", 3)
    assert left_out == 3
    assert text == "… [cut by shipper: 3 bytes more]"


# ---- what is too late ----


@pytest.mark.parametrize("age_ms", [0, 17 * HOUR_MS, -HOUR_MS])
def test_what_datadog_takes_keeps_its_own_time(age_ms: int) -> None:
    for late in ("restamp", "drop"):
        (parcel,) = packed([log_entry(timestamp_ms=NOW_MS - age_ms)], late=late)
        (log,) = body_of(parcel)
        assert log["timestamp"] == NOW_MS - age_ms
        assert not parcel.altered
        assert not parcel.dropped


@pytest.mark.parametrize("time_ms", [NOW_MS - 18 * HOUR_MS - 1, NOW_MS + 2 * HOUR_MS + 1, 0, -5, 2**62])
def test_a_late_record_is_restamped_and_counted(time_ms: int) -> None:
    (parcel,) = packed([log_entry(timestamp_ms=time_ms, lines=3)])
    (log,) = body_of(parcel)
    assert log["timestamp"] == NOW_MS
    assert log["shipper"]["original_timestamp"] == time_ms
    assert parcel.altered == {"restamped": 3}


def test_a_record_that_would_be_late_on_its_way_is_late() -> None:
    (parcel,) = packed([log_entry(timestamp_ms=NOW_MS - 18 * HOUR_MS + 9 * 60_000)])
    assert parcel.altered == {"restamped": 1}


def test_late_records_are_dropped_and_counted_where_that_is_wanted() -> None:
    late, soon = log_entry(timestamp_ms=NOW_MS - 19 * HOUR_MS, lines=2), log_entry(timestamp_ms=NOW_MS * 2)
    (parcel,) = packed([late, log_entry("kept"), soon, late], late="drop")
    assert [log["message"] for log in body_of(parcel)] == ["kept"]
    assert parcel.dropped == {"too_old": 4, "too_new": 1}
    assert ranges([parcel]) == [(0, 4, 4)]


def test_where_all_are_late_nothing_is_sent_and_all_is_settled() -> None:
    (parcel,) = packed([log_entry(timestamp_ms=0)] * 3, late="drop")
    assert parcel == Parcel(0, 3, 3, None, {"too_old": 3}, {})


def test_a_gap_is_restamped_like_any_record() -> None:
    (parcel,) = packed([gap_entry()])
    assert not parcel.altered


# ---- where events go ----


def test_events_are_logs_unless_told_otherwise() -> None:
    (parcel,) = packed([event_entry(), event_entry()])
    assert isinstance(parcel.body, Body)
    assert parcel.body.destination is Destination.LOGS
    assert ranges([parcel]) == [(0, 2, 2)]


def test_for_the_events_api_each_event_is_a_request_of_its_own() -> None:
    parcels = packed([event_entry("a"), event_entry("b")], events="api")
    assert ranges(parcels) == [(0, 1, 1), (1, 2, 2)]
    assert [body_of(parcel)["text"] for parcel in parcels] == ["OOMKilling: a", "OOMKilling: b"]
    assert {parcel.body.destination for parcel in parcels} == {Destination.EVENTS}  # type: ignore[attr-defined]


def test_lines_are_logs_wherever_events_go() -> None:
    (parcel,) = packed([log_entry()], events="api")
    assert isinstance(parcel.body, Body)
    assert parcel.body.destination is Destination.LOGS


def test_as_both_events_settle_once_they_are_both() -> None:
    entries = [event_entry("a"), event_entry("old", timestamp_ms=5)]
    logs, *events = packed(entries, events="both")
    assert (logs.start, logs.stop, logs.settles, logs.sort) == (0, 2, 0, "logs")
    assert len(body_of(logs)) == 2
    assert ranges(events) == [(0, 1, 1), (1, 2, 2)]
    assert [parcel.sort for parcel in events] == ["events"] * 2
    counts = [(parcel.dropped, parcel.altered) for parcel in (logs, *events)]
    assert counts == [({}, {}), ({}, {}), ({}, {"restamped": 1})]  # once, though it is restamped twice


def test_as_both_late_events_are_dropped_once() -> None:
    only = packed([event_entry(timestamp_ms=5)], events="both", late="drop")
    assert [(parcel.body, parcel.settles, parcel.dropped) for parcel in only] == [(None, 1, {"too_old": 1})]


def test_events_that_nobody_wants_are_counted() -> None:
    (parcel,) = packed([event_entry(), event_entry()], events="none")
    assert parcel == Parcel(0, 2, 2, None, {"filtered": 2})


# ---- compression ----


@pytest.mark.parametrize("codec", Codec)
def test_a_body_comes_out_of_its_compression_as_it_went_in(codec: Codec) -> None:
    data = b'[{"message":"x"}]' * 10_000
    assert decompress(codec, compressed(codec, data)) == data
