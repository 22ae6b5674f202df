"""From frames to Sentry: pipeline, delivery and sink together, against a server that refuses on demand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from shipper.archive.codec import LogIdentity, compress, encode_event, encode_log_run
from shipper.archive.layout import hour_of
from shipper.config.settings import Settings
from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.worker import Worker
from shipper.model import App, Codec, Frame, Kind, Partition
from shipper.sinks import make_sink
from shipper.transform.building import build_pipeline
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox
from tests.servers.sentry_envelope import Envelope
from tests.servers.sentry_stub import Scripted, SentryStub, sentry_stub

TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "/app/checkout/views.py", line 40, in handle',
    "    charge(order)",
    '  File "/app/checkout/pay.py", line 88, in charge',
    '    raise PaymentError("card declined")',
    "checkout.pay.PaymentError: card declined",
)


@dataclass
class House:
    stub: SentryStub
    outbox: FakeOutbox
    meter: FakeMeter
    now_ms: int

    async def print(self, *texts: str, replica: str = "r-1") -> None:
        who = LogIdentity("acme-corp", "checkout", replica, "eu-1", "node-3")
        times = [self.now_ms + number for number in range(len(texts))]
        await self._commit(Kind.LOGS, encode_log_run(who, times, ["stderr"] * len(texts), texts), len(texts))

    async def happen(self, reason: str, message: str, replica: str = "r-1") -> None:
        app = App("acme-corp", "checkout")
        record = encode_event(
            app, timestamp_ms=self.now_ms + 1000, replica_id=replica, reason=reason, message=message, count=1
        )
        await self._commit(Kind.EVENTS, record, 1)

    async def _commit(self, kind: Kind, ndjson: bytes, records: int) -> None:
        partition = Partition(kind, "acme-corp", "checkout", hour_of(self.now_ms))
        data = compress(Codec.ZSTD, ndjson)
        frame = Frame(partition, Codec.ZSTD, records, self.now_ms, self.now_ms + 1000, len(ndjson), data)
        await self.outbox.commit([frame])

    async def until(self, records: int) -> None:
        """Wait until so many are delivered, dropped or buried. A trace's end is known only a second after it."""
        async with asyncio.timeout(10):
            while self._settled() < records:
                await asyncio.sleep(0.01)

    def _settled(self) -> float:
        series = ("records_delivered_total", "records_dropped_total")
        counts = self.meter.counts.items()
        return sum(count for key, count in counts if key[0] in series) + len(self.outbox.letters)

    def counted(self, series: str, *labels: str) -> float:
        return self.meter.counts[series, "errors", *labels]


@asynccontextmanager
async def house(**sink: Any) -> AsyncIterator[House]:
    """A worker of a Sentry sink that gets every line as a log."""
    async with sentry_stub() as stub:
        settings = Settings.model_validate(
            {
                "ignite": {
                    "endpoint": "grpc://127.0.0.1:1",
                    "organization": "acme-corp",
                    "auth": {"type": "none"},
                },
                "sinks": {
                    "errors": {"type": "sentry", "dsn": stub.dsn, "join": {"max_wait": "100ms"}, **sink}
                },
                "routes": [{"sinks": ["errors"], "sentry_logs": "true"}],
            }
        )
        made = make_sink("errors", settings.sinks["errors"])
        pipeline = build_pipeline(settings, "errors")
        outbox, meter = FakeOutbox(["errors"], time.time), FakeMeter()
        worker = Worker(made, outbox, BatchPolicy(0.05, 1 << 20), meter, pipeline=pipeline)
        await made.open()
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(worker.run(), name="worker")
                yield House(stub, outbox, meter, int(time.time() * 1000))
                running.cancel()
        finally:
            await made.aclose()


def bodies(stub: SentryStub) -> list[str]:
    return [str(log["body"]) for log in stub.logs]


async def test_a_traceback_in_lines_is_one_issue_with_the_lines_before_it_and_one_log() -> None:
    async with house() as it:
        await it.print("charging card 1", *TRACEBACK, "next order")
        await it.until(8)
        (issue,) = it.stub.events
        assert bodies(it.stub) == ["charging card 1", "\n".join(TRACEBACK), "next order"]
        assert it.counted("records_delivered_total", "logs") == 8
    exception = issue["exception"]["values"][0]  # type: ignore[index]
    assert exception["type"].endswith("PaymentError")
    assert exception["value"] == "card declined"
    assert [frame["function"] for frame in exception["stacktrace"]["frames"]] == ["handle", "charge"]
    assert [crumb["message"] for crumb in issue["breadcrumbs"]["values"]] == ["charging card 1"]  # type: ignore[index]


async def test_an_event_that_is_a_failure_shows_what_its_replica_said_last() -> None:
    async with house() as it:
        await it.print("loading 3 GB", "loading 4 GB")
        await it.until(2)
        await it.happen("OOMKilling", "Memory cgroup out of memory")
        await it.until(3)
        (issue,) = it.stub.events
    assert issue["logentry"] == {"formatted": "OOM killed: Memory cgroup out of memory"}
    crumbs = issue["breadcrumbs"]["values"]  # type: ignore[index]
    assert [crumb["message"] for crumb in crumbs] == ["loading 3 GB", "loading 4 GB"]


async def test_a_container_that_is_too_large_is_halved_and_its_issue_is_not_sent_again() -> None:
    async with house() as it:
        it.stub.judge = lambda sent: (
            Scripted(413) if sent.item.type == "log" and len(sent.logs) > 20 else None
        )
        await it.print(*(f"line {number}" for number in range(100)), *TRACEBACK, "the end")
        await it.until(107)
        assert sorted(bodies(it.stub)) == sorted(
            [*(f"line {number}" for number in range(100)), "\n".join(TRACEBACK), "the end"]
        )
        assert len(it.stub.events) == 1
        assert it.counted("records_delivered_total", "logs") == 107


async def test_a_record_that_is_never_taken_becomes_a_dead_letter_and_the_others_arrive() -> None:
    def poisoned(sent: Envelope) -> Scripted | None:
        bad = sent.item.type == "log" and any("poison" in log["body"] for log in sent.logs)
        return Scripted(400, body='{"detail": "bad log"}') if bad else None

    async with house() as it:
        it.stub.judge = poisoned
        await it.print(*(f"line {number}" for number in range(30)), "poison", "after")
        await it.until(32)
        assert sorted(bodies(it.stub)) == sorted([*(f"line {number}" for number in range(30)), "after"])
        (letter,) = it.outbox.letters
        assert b"poison" in letter.record
        assert "bad log" in letter.reason


async def test_logs_that_are_limited_for_long_are_dropped_and_counted_while_issues_arrive() -> None:
    async with house() as it:
        it.stub.only = "log"
        it.stub.script = [Scripted(429, {"X-Sentry-Rate-Limits": "86400:log_item:organization:quota"})]
        await it.print("a", *TRACEBACK, "b")
        await it.print("c")
        await it.until(9)
        assert len(it.stub.events) == 1
        assert it.stub.logs == []
        assert it.counted("records_dropped_total", "rate_limited") == 9
        assert it.counted("records_delivered_total", "logs") == 0


async def test_what_is_held_for_a_short_limit_arrives_when_it_is_over() -> None:
    async with house() as it:
        it.stub.script = [Scripted(429, {"X-Sentry-Rate-Limits": "0.3::organization"})]
        await it.print("a", "b")
        await it.until(2)
        assert bodies(it.stub) == ["a", "b"]
        assert it.counted("records_delivered_total", "logs") == 2
        assert len(it.stub.requests) == 2
