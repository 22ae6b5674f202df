"""Issues at a real server: taken, grouped, counted once; wrong keys, bodies that are too large, quotas."""

from __future__ import annotations

from typing import Any

import pytest

from shipper.entry import Entry
from shipper.sinks.port import Answer, Delivered, Malformed, Parcel, Parked, Retry, TooLarge
from shipper.sinks.sentry.envelope import Envelope, of_event
from shipper.sinks.sentry.options import SentryOptions
from shipper.sinks.sentry.sink import SentrySink
from tests.fakes.sentry import NOW_MS, event, line, partition, traceback
from tests.servers.bugsink import QUOTA, Bugsink

PROBE = "Liveness probe failed: HTTP probe failed with statuscode: 500"
ENTRIES = (
    traceback("card 1", replica="checkout-7d9f8b6c5-x2x9p", before=((NOW_MS - 1000, "charging card 1"),)),
    traceback("card 2", replica="checkout-5c4d3b2a1-abcde", at=NOW_MS + 5000),
    event(),
    event(count=2, at=NOW_MS + 60_000, replica="checkout-5c4d3b2a1-abcde"),
    event("Unhealthy", message=PROBE),
)


async def send(dsn: str, *entries: Entry, **options: Any) -> list[Answer]:
    """By a new sink, which remembers nothing of earlier ones."""
    sink = SentrySink("errors", SentryOptions(dsn, **options), clock=lambda: NOW_MS / 1000)
    await sink.open()
    try:
        return [
            await sink.send(parcel) for parcel in sink.pack(partition(), entries) if parcel.body is not None
        ]
    finally:
        await sink.aclose()


async def test_failures_become_issues_that_are_grouped_and_repeats_are_counted_once(
    issues_server: Bugsink,
) -> None:
    dsn = issues_server.dsns["checkout"]
    for _ in range(2):  # a daemon that was killed before it could write down that all was taken
        assert (
            await send(dsn, *ENTRIES, environment="staging", archive="s3://acme-logs/ignite")
            == [Delivered()] * 5
        )
    found = issues_server.issues("checkout")
    assert {
        (issue["calculated_type"], issue["calculated_value"]): issue["digested_event_count"]
        for issue in found
    } == {
        ("PaymentError", "card 2"): 2,
        ("Log Message", "OOM killed: Memory cgroup out of memory: Killed process 1"): 2,
        ("Log Message", f"Probe failed: {PROBE}"): 1,
    }
    failure = next(issue for issue in found if issue["calculated_type"] == "PaymentError")
    events = issues_server.events(failure)
    assert {found["data"]["exception"]["values"][0]["value"] for found in events} == {"card 1", "card 2"}
    assert {found["data"]["tags"]["replica"] for found in events} == {
        "checkout-7d9f8b6c5-x2x9p",
        "checkout-5c4d3b2a1-abcde",
    }
    first = next(found["data"] for found in events if "breadcrumbs" in found["data"])
    assert first["breadcrumbs"]["values"][0]["message"] == "charging card 1"
    assert first["contexts"]["archive"]["logs"].startswith(
        "s3://acme-logs/ignite/kind=logs/org=acme-corp/app=checkout/"
    )
    assert first["environment"] == "staging"
    assert "sent_at" not in first


async def test_the_same_failures_of_another_app_are_other_issues(issues_server: Bugsink) -> None:
    dsn = issues_server.dsns["billing"]
    await send(dsn, event(), event(app="billing"))
    assert len(issues_server.issues("billing")) == 2


async def test_a_quota_that_is_used_up_is_a_rate_limit_of_a_minute(issues_server: Bugsink) -> None:
    entries = [event(count=number) for number in range(QUOTA + 2)]
    answers = await send(issues_server.dsns["flooded"], *entries, issues_per_hour=1000)
    assert answers[:QUOTA] == [Delivered()] * QUOTA
    for answer in answers[QUOTA:]:
        assert isinstance(answer, Retry)
        assert answer.after_s == pytest.approx(60, abs=5)


async def test_a_wrong_key_parks(issues_server: Bugsink) -> None:
    key = issues_server.dsns["checkout"].partition("//")[2].partition("@")[0]
    (answer,) = await send(issues_server.dsns["checkout"].replace(key, "0" * 32), event())
    assert isinstance(answer, Parked)


async def test_an_event_that_is_too_large_is_told_apart(issues_server: Bugsink) -> None:
    sink = SentrySink("errors", SentryOptions(issues_server.dsns["checkout"]))
    body = of_event(
        {"event_id": "1" * 32, "timestamp": 1.0, "platform": "other", "extra": {"x": "y" * 1_100_000}}
    )
    await sink.open()
    answer = await sink.send(Parcel(0, 1, 1, body))
    await sink.aclose()
    assert isinstance(answer, TooLarge)


async def test_logs_are_taken(issues_server: Bugsink) -> None:
    assert await send(issues_server.dsns["checkout"], line(), line()) == [Delivered()]


@pytest.mark.parametrize("good", [True, False])
async def test_a_check_knows_a_good_key_from_a_wrong_one(issues_server: Bugsink, good: bool) -> None:
    dsn = issues_server.dsns["billing"]
    key = dsn.partition("//")[2].partition("@")[0]
    before = len(issues_server.issues("billing"))
    sink = SentrySink("errors", SentryOptions(dsn if good else dsn.replace(key, "0" * 32)))
    await sink.open()
    assert isinstance(await sink.check(), Delivered if good else Parked)
    await sink.aclose()
    assert len(issues_server.issues("billing")) == before


async def test_what_is_no_envelope_is_malformed(issues_server: Bugsink) -> None:
    sink = SentrySink("errors", SentryOptions(issues_server.dsns["checkout"]))
    await sink.open()
    answer = await sink.send(Parcel(0, 1, 1, Envelope(b"nonsense", ("error",))))
    await sink.aclose()
    assert isinstance(answer, Malformed)
