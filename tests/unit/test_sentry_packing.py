"""What parcels are made of records."""

from __future__ import annotations

from dataclasses import replace

from shipper.sinks.sentry.envelope import Envelope
from shipper.sinks.sentry.options import SentryOptions
from tests.fakes.sentry import LOGS, NOW_MS, event, line, traceback
from tests.fakes.sentry_packer import DSN, Packing, containers_of, events_of, logs_of


def test_a_container_has_a_hundred_logs_at_most() -> None:
    parcels = Packing().pack([line(f"line {number}") for number in range(250)])
    assert [len(container) for container in containers_of(parcels)] == [100, 100, 50]
    assert [(parcel.start, parcel.stop, parcel.settles) for parcel in parcels] == [
        (0, 100, 100),
        (100, 200, 200),
        (200, 250, 250),
    ]


def test_a_container_has_a_mebibyte_at_most() -> None:
    parcels = Packing().pack([line("x" * 60_000) for _ in range(40)])
    assert [len(container) for container in containers_of(parcels)] == [17, 17, 6]


def test_issues_go_before_logs_and_settle_nothing_by_themselves() -> None:
    entries = [line("before"), traceback(marks=LOGS), line("after")]
    parcels = Packing().pack(entries)
    assert [(parcel.start, parcel.stop, parcel.settles) for parcel in parcels] == [(1, 2, 0), (0, 3, 3)]
    assert len(events_of(parcels)) == 1
    assert [log["body"] for log in logs_of(parcels)] == [entry.text for entry in entries]


def test_after_issues_alone_a_parcel_without_a_body_settles_all() -> None:
    parcels = Packing().pack([line(marks=frozenset()), event(), line(marks=frozenset()), event(count=2)])
    assert [(parcel.start, parcel.stop, parcel.settles) for parcel in parcels] == [
        (1, 2, 0),
        (3, 4, 0),
        (0, 4, 4),
    ]
    assert parcels[-1].body is None
    assert [dict(parcel.dropped) for parcel in parcels] == [{}, {}, {"no_failure": 2}]


def test_what_is_wanted_in_no_way_is_counted() -> None:
    (parcel,) = Packing().pack([line(marks=frozenset()), line(marks=frozenset(), lines=3)])
    assert parcel.body is None
    assert parcel.settles == 2
    assert parcel.dropped == {"no_failure": 4}


def test_nothing_makes_no_parcel() -> None:
    assert Packing().pack([]) == []


def test_what_is_too_old_is_counted_and_not_sent() -> None:
    entries = [line(at=NOW_MS - 1), line(), event(at=NOW_MS - 1)]
    parcels = Packing().pack(entries, oldest_ms=NOW_MS)
    assert len(logs_of(parcels)) == 1
    assert parcels[-1].dropped == {"too_old": 2}


def test_issues_beyond_the_quota_are_counted() -> None:
    options = SentryOptions(DSN, issues_per_hour=4)
    parcels = Packing(options).pack([traceback(at=NOW_MS + number) for number in range(10)])
    assert len(events_of(parcels)) == 2
    assert sum(parcel.dropped.get("issue_quota", 0) for parcel in parcels) == 8 * 8


def test_a_failure_beyond_the_quota_that_is_a_log_too_leaves_as_a_log() -> None:
    options = SentryOptions(DSN, issues_per_hour=1)
    parcels = Packing(options).pack([traceback(at=NOW_MS + number, marks=LOGS) for number in range(3)])
    assert len(events_of(parcels)) == 1
    assert len(logs_of(parcels)) == 3
    assert parcels[-1].dropped == {}
    assert parcels[-1].altered == {"issue_quota": 16}


def test_an_issue_that_sentry_has_is_not_sent_again_and_not_counted_as_lost() -> None:
    packing = Packing()
    entries = [line(), traceback(marks=LOGS)]
    (sent,) = events_of(packing.pack(entries))
    packing.guard.delivered(sent["event_id"])
    (parcel,) = packing.pack(entries)
    assert len(logs_of([parcel])) == 2
    assert parcel.dropped == parcel.altered == {}
    (nothing,) = packing.pack([replace(entries[1], marks=frozenset())])
    assert nothing.body is None
    assert nothing.dropped == {}


def test_parcels_are_of_two_sorts() -> None:
    parcels = Packing().pack([line(), event(), event(count=2), line()])
    assert [parcel.sort for parcel in parcels] == ["issues", "issues", "logs"]


def test_an_envelope_knows_how_many_records_are_lost_without_it() -> None:
    parcels = Packing().pack([line(), traceback(), traceback("other", marks=LOGS)])
    bodies = [parcel.body for parcel in parcels]
    assert [(body.records, body.also_logs) for body in bodies if isinstance(body, Envelope)] == [
        (8, 0),
        (0, 8),
        (9, 0),
    ]


def test_a_body_that_is_too_long_is_cut_with_a_mark_and_counted() -> None:
    parcels = Packing().pack([line("ä" * 100_000), line("short")])
    long, short = logs_of(parcels)
    assert len(str(long["body"]).encode()) <= 64 * 1024
    assert str(long["body"]).endswith("[cut by shipper: 200000 bytes in all]")
    assert short["body"] == "short"
    assert parcels[-1].altered == {"cut": 1}


def test_an_issue_that_swells_in_json_leaves_without_its_lines() -> None:
    swelling = "\x01" * 100_000
    crumbs = tuple((NOW_MS, swelling) for _ in range(100))
    options = SentryOptions(DSN, breadcrumbs=100)
    parcels = Packing(options).pack([traceback(swelling, before=crumbs)])
    (sent,) = events_of(parcels)
    assert "breadcrumbs" not in sent
    assert parcels[-1].altered == {"cut": 8}
