"""From frames to Datadog: pipeline, delivery and sink together, against an intake that refuses on demand."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import orjson

from shipper.archive.codec import LogIdentity, compress, encode_event, encode_log_run
from shipper.archive.layout import hour_of
from shipper.config.settings import Settings
from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.breaker import Pace
from shipper.deliver.worker import Limits, Worker
from shipper.model import App, Codec, Frame, Kind, Partition
from shipper.sinks import make_sink
from shipper.transform.building import build_pipeline
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox
from tests.servers.datadog_intake import KEY, Canned, DatadogIntake, Fault

TRACEBACK: Final = (
    "Traceback (most recent call last):",
    '  File "/app/checkout/pay.py", line 88, in charge',
    '    raise PaymentError("card declined")',
    "checkout.pay.PaymentError: card declined",
)


@dataclass
class House:
    intake: DatadogIntake
    outbox: FakeOutbox
    meter: FakeMeter
    now_ms: int

    async def print(self, *texts: str, age_ms: int = 0) -> None:
        who = LogIdentity("acme-corp", "checkout", "r-1", "eu-1", "node-3")
        times = [self.now_ms - age_ms + number for number in range(len(texts))]
        await self._commit(
            Kind.LOGS, encode_log_run(who, times, ["stderr"] * len(texts), texts), len(texts), times[0]
        )

    async def happen(self, *messages: str) -> None:
        app = App("acme-corp", "checkout")
        ndjson = b"".join(
            encode_event(app, timestamp_ms=self.now_ms, replica_id="r-1", kind="OOM_KILLED", message=message)
            for message in messages
        )
        await self._commit(Kind.EVENTS, ndjson, len(messages), self.now_ms)

    async def _commit(self, kind: Kind, ndjson: bytes, records: int, time_ms: int) -> None:
        partition = Partition(kind, "acme-corp", "checkout", hour_of(time_ms))
        data = compress(Codec.ZSTD, ndjson)
        await self.outbox.commit([Frame(partition, Codec.ZSTD, records, time_ms, time_ms, len(ndjson), data)])

    async def until(self, records: int) -> None:
        """Wait until so many are delivered, dropped or buried."""
        async with asyncio.timeout(10):
            while self._settled() < records:
                await asyncio.sleep(0.01)

    def _settled(self) -> float:
        series = ("records_delivered_total", "records_dropped_total")
        counts = self.meter.counts.items()
        return sum(count for key, count in counts if key[0] in series) + len(self.outbox.letters)

    def counted(self, series: str, *labels: str) -> float:
        return self.meter.counts[series, "search", *labels]


@asynccontextmanager
async def house(**changes: Any) -> AsyncIterator[House]:
    """A worker of a Datadog sink that tries again at once."""
    async with DatadogIntake() as intake:
        section = {
            "type": "datadog",
            "api_key": KEY,
            "endpoint_url": intake.url,
            "join": {"max_wait": "100ms"},
            "request_timeout": "1s",
            **changes,
        }
        auth = {"type": "none"}
        ignite = {"endpoint": "grpc://127.0.0.1:1", "organization": "acme-corp", "auth": auth}
        settings = Settings.model_validate({"ignite": ignite, "sinks": {"search": section}})
        made = make_sink("search", settings.sinks["search"])
        outbox, meter = FakeOutbox(["search"], time.time), FakeMeter()
        worker = Worker(
            made,
            outbox,
            BatchPolicy(0.05, 1 << 20),
            meter,
            pipeline=build_pipeline(settings, "search"),
            draw=lambda: 0.01,
            limits=Limits(pace=Pace(parked_s=0.1)),
        )
        await made.open()
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(worker.run(), name="worker")
                yield House(intake, outbox, meter, int(time.time() * 1000))
                running.cancel()
        finally:
            await made.aclose()


def numbers(count: int) -> list[str]:
    return [f"line {number}" for number in range(count)]


async def test_whatever_is_answered_every_line_arrives() -> None:
    """Twice only where an answer was lost: that one request could have been the first to be taken."""
    async with house() as it:
        it.intake.plan(
            [
                Canned(429, {"X-RateLimit-Reset": "0.05"}),
                Canned(503),
                Fault.RESET,
                Canned(408),
                Fault.LOSE_ANSWER,
                Canned(500, {"Retry-After": "0"}),
                Canned(413),
                Fault.HANG,
                Canned(502),
            ]
        )
        await it.print(*numbers(2_500))
        await it.until(2_500)
        assert not it.intake.script
        found = Counter(it.intake.messages)
        assert set(found) == set(numbers(2_500))
        assert sum(found.values()) <= 2_500 + 1_000
        assert it.counted("records_delivered_total", "logs") == 2_500
        assert it.outbox.letters == []


async def test_a_request_that_is_too_large_is_halved_and_nothing_arrives_twice() -> None:
    async with house() as it:
        it.intake.judge = lambda logs: Canned(413) if len(logs) > 100 else None
        await it.print(*numbers(1_000))
        await it.until(1_000)
        assert Counter(it.intake.messages) == Counter(numbers(1_000))
        assert it.outbox.letters == []


async def test_a_record_that_is_never_taken_becomes_a_dead_letter_with_the_answer() -> None:
    async with house() as it:
        it.intake.judge = lambda logs: (
            Canned(400, body='{"errors":["bad log"]}')
            if any("poison" in log["message"] for log in logs)
            else None
        )
        await it.print(*numbers(500), "poison", *numbers(1_000)[500:])
        await it.until(1_001)
        assert Counter(it.intake.messages) == Counter(numbers(1_000))
        (letter,) = it.outbox.letters
        assert orjson.loads(letter.record)["line"] == "poison"
        assert "bad log" in letter.reason
        assert letter.sink == "search"


async def test_a_key_that_is_refused_parks_the_sink_and_loses_nothing() -> None:
    async with house() as it:
        it.intake.key = "rotated"
        await it.print(*numbers(10))
        async with asyncio.timeout(10):
            while it.meter.levels.get(("sink_state", "search", "parked")) != 1:
                await asyncio.sleep(0.01)
        assert it.intake.logs == []
        it.intake.key = KEY
        await it.until(10)
        assert it.intake.messages == numbers(10)
        assert it.outbox.letters == []


async def test_a_stack_trace_is_one_log_and_counts_as_its_lines() -> None:
    async with house() as it:
        await it.print("charging", *TRACEBACK, "next order")
        await it.until(6)
        first, trace, last = it.intake.logs
        assert (first["message"], last["message"]) == ("charging", "next order")
        assert trace["message"] == trace["error"]["stack"] == "\n".join(TRACEBACK)
        assert trace["error"]["kind"].endswith("PaymentError")
        assert trace["shipper"] == {"lines": 4}
        assert trace["status"] == "error"
        assert it.counted("records_delivered_total", "logs") == 6


async def test_what_is_altered_or_dropped_is_counted() -> None:
    day_ms = 24 * 3_600_000
    async with house() as it:
        await it.print("old", "older", age_ms=day_ms)
        await it.print("x" * 1_500_000)
        await it.until(3)
        assert it.counted("records_altered_total", "restamped") == 2
        assert it.counted("records_altered_total", "cut") == 1
        assert it.intake.vanished == []
        assert it.intake.cut == []
    async with house(late="drop") as it:
        await it.print("old", "older", age_ms=day_ms)
        await it.print("new")
        await it.until(3)
        assert it.intake.messages == ["new"]
        assert it.counted("records_dropped_total", "too_old") == 2
        assert it.counted("records_delivered_total", "logs") == 1


async def test_events_arrive_as_logs_and_as_events_and_count_once() -> None:
    async with house(events="both") as it:
        await it.happen("first", "second")
        await it.until(2)
        assert it.intake.messages == ["OOM_KILLED: first", "OOM_KILLED: second"]
        assert sorted(event["text"] for event in it.intake.events) == [
            "OOM_KILLED: first",
            "OOM_KILLED: second",
        ]
        assert it.counted("records_delivered_total", "events") == 2


async def test_events_refused_as_logs_are_not_sent_again_as_events() -> None:
    async with house(events="both") as it:
        it.intake.judge = lambda logs: Canned(413) if len(logs) > 1 else None
        await it.happen("first", "second", "third")
        await it.until(3)
        assert Counter(it.intake.messages).total() == 3
        assert len(it.intake.events) == 3
