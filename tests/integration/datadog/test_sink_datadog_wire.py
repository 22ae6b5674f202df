"""What reaches Datadog: every record, within every limit, read back by an intake that enforces them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from shipper.entry import Level
from shipper.model import Codec
from shipper.sinks.port import Delivered
from tests.fakes.datadog import NOW_MS, build_entry, event_entry, gap_entry, log_entry, partition_of
from tests.integration.datadog.conftest import Opened, opened
from tests.integration.record_sink_conformance import PARTITION, RecordSinkContract, lines, send_all
from tests.servers.datadog_intake import KEY, DatadogIntake, read_by_the_client


class TestDatadog(RecordSinkContract):
    """The contract of every sink of records."""


@pytest.mark.parametrize("codec", Codec)
async def test_logs_arrive_whatever_they_are_compressed_with(intake: DatadogIntake, codec: Codec) -> None:
    async with opened(intake.url, compression=codec) as sink:
        await send_all(sink, lines(1500))
        await send_all(
            sink, [log_entry("x" * 900_000) for _ in range(5)]
        )  # 4 MB a request: a thread compresses it
    assert len(intake.messages) == 1505
    (first, *_) = intake.requests
    assert first.headers.get("Content-Encoding", "none") == codec.value
    assert (len(first.body) < 50_000) == (codec is not Codec.NONE)


async def test_a_request_has_the_key_in_its_header_and_nowhere_else(harness: Opened) -> None:
    await send_all(harness.sink, lines(1))
    (request,) = harness.intake.requests
    assert request.headers["DD-API-KEY"] == KEY
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["User-Agent"].startswith("shipper/")
    assert request.path == "/api/v2/logs"
    assert "Cookie" not in request.headers


async def test_everything_that_is_sent_stays_within_the_limits(harness: Opened) -> None:
    """The intake answers 202 to logs that it cuts or throws away: nothing of that kind may be sent."""
    entries = [log_entry("é" * size) for size in (0, 10, 400_000, 600_000, 5_000_000)]
    entries += [
        log_entry("old", timestamp_ms=NOW_MS - 40 * 3_600_000),
        log_entry("new", timestamp_ms=2 * NOW_MS),
    ]
    await send_all(harness.sink, entries)
    assert len(harness.intake.messages) == len(entries)
    assert harness.intake.cut == []
    assert harness.intake.vanished == []


async def test_datadogs_own_client_reads_what_was_sent(harness: Opened) -> None:
    """An independent reading of the contract: the client's model has these fields and any attribute besides."""
    entry = log_entry(
        "paid", level=Level.ERROR, fields={"msg": "paid", "user": {"id": 7}}, trace_id="7", lines=2
    )
    for one in (entry, event_entry(), build_entry(), gap_entry()):
        for parcel in harness.sink.pack(partition_of(one), [one]):
            assert isinstance(await harness.sink.send(parcel), Delivered)
    line, event, build, gap = read_by_the_client(harness.intake.logs)
    assert (line.message, line.service, line.ddsource, line.hostname) == (
        "paid",
        "checkout",
        "ignite",
        "ip-10-0-3-17",
    )
    assert "replica:checkout-7d9f6c5b4-x2x9p" in line.ddtags.split(",")
    assert (line.status, line.timestamp, line.user, line.dd) == (
        "error",
        NOW_MS,
        {"id": 7},
        {"trace_id": "7"},
    )
    assert (event.status, event.event["kind"]) == ("error", "OOM_KILLED")
    assert build.message.startswith("Step 3/9")
    assert (gap.ddsource, gap.status, gap.gap["reason"]) == ("shipper", "warn", "rotated")


@pytest.mark.parametrize(
    ("events", "logs", "api"), [("logs", 3, 0), ("api", 0, 3), ("both", 3, 3), ("none", 0, 0)]
)
async def test_events_go_where_they_are_wanted(
    intake: DatadogIntake, events: str, logs: int, api: int
) -> None:
    """The Events API refuses what Datadog's own model refuses, and what is older than 18 hours."""
    entries = [
        event_entry("a"),
        event_entry("日" * 10_000, replica_id="r" * 400),
        event_entry(timestamp_ms=1),
    ]
    async with opened(intake.url, events=events) as sink:
        for parcel in sink.pack(partition_of(entries[0]), entries):
            if parcel.body is not None:
                assert isinstance(await sink.send(parcel), Delivered)
    assert len(intake.logs) == logs
    assert len(intake.events) == api
    assert all(event["aggregation_key"].startswith("ignite/acme-corp/checkout/") for event in intake.events)


async def test_no_more_connections_are_opened_than_requests_at_once(intake: DatadogIntake) -> None:
    async with opened(intake.url, concurrency=2) as sink:
        parcels = [parcel for entry in lines(8) for parcel in sink.pack(PARTITION, [entry])]
        await asyncio.gather(*(sink.send(parcel) for parcel in parcels))
    assert len(intake.requests) == 8


async def test_the_key_is_in_no_log_whatever_happens(
    harness: Opened, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[Any] = []
    with caplog.at_level(logging.DEBUG):
        await send_all(harness.sink, lines(1))
        said.append(await harness.sink.check())
        await harness.intake.__aexit__(None, None, None)
        (parcel,) = harness.sink.pack(PARTITION, lines(1))
        said.append(await harness.sink.send(parcel))
        said.append(await harness.sink.check())
    assert KEY not in caplog.text
    assert KEY not in repr(said)
