"""A worker with a sink and a buffer in memory, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.worker import Worker
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox
from tests.fakes.pipeline import FakePipeline
from tests.fakes.record_sink import FakeRecordSink
from tests.fakes.sink import FakeSink
from tests.virtual_time import elapsed

EPOCH_S = 1_700_000_000.0
POLICY = BatchPolicy(max_age_s=60.0, max_size=1000)
RECORD_POLICY = BatchPolicy(max_age_s=1.0, max_size=1_000_000)


def wall() -> float:
    """The wall clock that belongs to virtual time."""
    return EPOCH_S + elapsed()


def half() -> float:
    """Randomness of which the outcome is known."""
    return 0.5


@dataclass
class House:
    sink: FakeSink
    outbox: FakeOutbox
    meter: FakeMeter
    worker: Worker

    async def until_delivered(self, count: int, within_s: float = 3600.0) -> None:
        """Wait until that many batches are acknowledged."""
        async with asyncio.timeout(within_s):
            while len(self.outbox.acknowledged) < count:
                await asyncio.sleep(0.05)

    def delivered(self) -> float:
        """How many records were counted as delivered."""
        return sum(value for key, value in self.meter.counts.items() if key[0] == "records_delivered_total")


@asynccontextmanager
async def house(
    sink: FakeSink | None = None, *, policy: BatchPolicy = POLICY, outbox: FakeOutbox | None = None
) -> AsyncIterator[House]:
    """Runs a worker for as long as the block."""
    sink = sink or FakeSink()
    outbox = outbox or FakeOutbox([sink.name], wall)
    meter = FakeMeter()
    worker = Worker(sink, outbox, policy, meter, clock=wall, draw=half)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run(), name="worker")
        yield House(sink, outbox, meter, worker)
        running.cancel()
    assert sink.violations == []


@dataclass
class RecordHouse:
    """The same for a sink of records. `run` ends when the worker is drained."""

    sink: FakeRecordSink
    pipeline: FakePipeline
    outbox: FakeOutbox
    meter: FakeMeter
    worker: Worker

    async def until_delivered(self, count: int, within_s: float = 3600.0) -> None:
        """Wait until that many batches are acknowledged."""
        async with asyncio.timeout(within_s):
            while len(self.outbox.acknowledged) < count:
                await asyncio.sleep(0.05)

    def delivered(self) -> float:
        return sum(value for key, value in self.meter.counts.items() if key[0] == "records_delivered_total")


@asynccontextmanager
async def record_house(
    sink: FakeRecordSink | None = None,
    pipeline: FakePipeline | None = None,
    outbox: FakeOutbox | None = None,
    *,
    policy: BatchPolicy = RECORD_POLICY,
) -> AsyncIterator[RecordHouse]:
    """Runs a worker of a sink of records for as long as the block."""
    sink = sink or FakeRecordSink()
    outbox = outbox or FakeOutbox([sink.name], wall)
    pipeline = pipeline or FakePipeline()
    meter = FakeMeter()
    worker = Worker(sink, outbox, policy, meter, pipeline=pipeline, clock=wall, draw=half)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run(), name="worker")
        yield RecordHouse(sink, pipeline, outbox, meter, worker)
        running.cancel()
    assert sink.violations == []
