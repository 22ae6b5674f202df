"""How a record looks in Sentry Logs."""

from __future__ import annotations

import math
from typing import Any

import pytest

from shipper.entry import Entry, Level
from shipper.sinks.sentry.options import SentryOptions
from tests.fakes.sentry import LOGS, NOW_MS, event, gap, line, traceback
from tests.fakes.sentry_packer import DSN, Packing, logs_of

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def written(*entries: Entry, **options: Any) -> list[dict[str, Any]]:
    return logs_of(Packing(SentryOptions(DSN, **options)).pack(entries, oldest_ms=-math.inf))


def values(log: dict[str, Any]) -> dict[str, Any]:
    return {name: attribute["value"] for name, attribute in log["attributes"].items()}


def test_a_line_has_its_time_its_text_and_whose_it_is() -> None:
    (log,) = written(line("paid", level=Level.WARN, execution_id="ex-1"))
    assert (log["timestamp"], log["body"], log["level"]) == (NOW_MS / 1000, "paid", "warn")
    assert values(log) == {
        "organization": "acme-corp",
        "app": "checkout",
        "replica": "checkout-7d9f8b6c5-x2x9p",
        "node": "node-3",
        "cluster": "eu-1",
        "stream": "stderr",
        "execution_id": "ex-1",
        "sentry.timestamp.sequence": 0,
        "shipper.record": values(log)["shipper.record"],
    }


def test_environment_release_and_own_tags_come_with_it() -> None:
    (log,) = written(line(), environment="staging", release="{app}/{organization}@1", tags={"team": "pay"})
    found = values(log)
    assert found["sentry.environment"] == "staging"
    assert found["sentry.release"] == "checkout-acme-corp@1"
    assert found["team"] == "pay"


def test_a_line_that_says_no_level_is_info_also_on_stderr() -> None:
    assert [log["level"] for log in written(line())] == ["info"]


@pytest.mark.parametrize(
    ("entry", "level", "body"),
    [
        (event(marks=LOGS), "fatal", "Memory cgroup out of memory: Killed process 1"),
        (event("BackOff", message="Back-off restarting failed container", marks=LOGS), "error", None),
        (event("Scheduled", message="", marks=LOGS), "warn", "Scheduled"),
        (gap(marks=LOGS), "warn", "the replay began late"),
        (traceback(marks=LOGS), "error", None),
    ],
)
def test_other_records_have_the_level_that_they_mean(entry: Entry, level: str, body: str | None) -> None:
    (log,) = written(entry)
    assert log["level"] == level
    assert body is None or log["body"] == body


def test_an_event_shows_its_facts() -> None:
    (log,) = written(event(kind="OOM_KILLED", marks=LOGS))
    found = values(log)
    assert (found["kind"], found["event.kind"], found["event.count"]) == ("events", "OOM_KILLED", 1)


def test_lines_of_one_millisecond_keep_their_order() -> None:
    logs = written(line("a"), line("b"), line("c", at=NOW_MS + 1), line("d"))
    assert [values(log)["sentry.timestamp.sequence"] for log in logs] == [0, 1, 0, 2]


def test_a_record_that_is_sent_twice_can_be_told_by_its_id() -> None:
    first, again, other = written(line("a"), line("a"), line("b"))
    assert (
        values(first)["shipper.record"] == values(again)["shipper.record"] != values(other)["shipper.record"]
    )


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (TRACE_ID, TRACE_ID),
        (TRACE_ID.upper(), TRACE_ID),
        ("4bf92f35-77b3-4da6-a3ce-929d0e0e4736", TRACE_ID),
        ("a3ce929d0e0e4736", "0" * 16 + "a3ce929d0e0e4736"),
    ],
)
def test_the_apps_own_trace_is_used_where_it_is_one(given: str, sent: str) -> None:
    (log,) = written(line(trace_id=given, span_id="00f067aa0ba902b7"))
    assert (log["trace_id"], log["span_id"]) == (sent, "00f067aa0ba902b7")


@pytest.mark.parametrize("given", ["", "0" * 32, "not hex at all", "12345", TRACE_ID + "00", "١" * 32])
def test_a_replicas_lines_are_one_trace_where_the_app_names_none(given: str) -> None:
    first, again, other = written(line(trace_id=given, span_id=given), line("b"), line(replica="another"))
    assert first["trace_id"] == again["trace_id"] != other["trace_id"]
    assert "span_id" not in first


def test_fields_become_typed_attributes() -> None:
    fields = {
        "user": "ann",
        "ok": True,
        "took": 1.5,
        "items": 3,
        "huge": 2**64,
        "http": {"status": 500, "headers": {"x": {"y": {"z": 1}}}},
        "list": [1, "two"],
        "nothing": None,
        "": "no name",
    }
    (log,) = written(line(fields=fields))
    found = values(log)
    assert {name: found[name] for name in ("user", "ok", "took", "items", "huge", "http.status", "list")} == {
        "user": "ann",
        "ok": True,
        "took": 1.5,
        "items": 3,
        "huge": str(2**64),
        "http.status": 500,
        "list": '[1,"two"]',
    }
    assert found["http.headers.x.y"] == '{"z":1}'
    assert "nothing" not in found


def test_the_message_of_a_json_line_is_its_body_and_no_attribute_besides() -> None:
    (log,) = written(line('{"msg":"paid","order":1}', fields={"msg": "paid", "order": 1}))
    assert log["body"] == "paid"
    assert "msg" not in log["attributes"]
    (log,) = written(line('{"order":1}', fields={"order": 1}))
    assert log["body"] == '{"order":1}'


def test_fields_cannot_take_the_names_of_what_the_platform_says() -> None:
    (log,) = written(
        line(fields={"app": "forged", "sentry": {"release": "forged"}, "kind": "x", "execution_id": "y"})
    )
    found = values(log)
    assert found["app"] == "checkout"
    assert (found["fields.app"], found["fields.sentry.release"], found["fields.kind"]) == (
        "forged",
        "forged",
        "x",
    )


def test_a_flood_of_fields_is_bounded() -> None:
    fields = {f"name {number} {'n' * 300}": "v" * 10_000 for number in range(1000)}
    (log,) = written(line(fields=fields))
    assert len(log["attributes"]) <= 80
    assert all(len(str(value)) <= 2048 for value in values(log).values())


def test_times_that_no_calendar_has_are_moved_to_the_nearest_that_it_has() -> None:
    early, late = written(line(at=-5), line(at=10**18))
    assert (early["timestamp"], late["timestamp"]) == (0.0, 253_402_300_799.999)


def test_a_log_that_swells_in_json_leaves_without_its_fields() -> None:
    swelling = "\x01" * 70_000
    (parcel,) = Packing().pack([line(swelling, fields={f"f{n}": swelling for n in range(64)})])
    (log,) = logs_of([parcel])
    assert "f1" not in log["attributes"]
    assert parcel.altered == {"cut": 1}
