"""The sink of records that delivery is tested with keeps the promises that every sink of records keeps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from shipper.sinks.port import Answer, Delivered, Retry
from tests.fakes.record_sink import FakeRecordSink, Texts
from tests.integration.record_sink_conformance import Held, RecordSinkContract


@dataclass
class FakeHarness:
    sink: FakeRecordSink = field(default_factory=lambda: FakeRecordSink(most=1000, seconds=0.0))

    def arrived(self) -> Sequence[str]:
        return self.sink.texts

    def hold(self) -> Held:
        held = Held()

        async def wait(_: Texts) -> Answer:
            if held.released.is_set():
                return Delivered()
            held.reached.set()
            await held.released.wait()
            return Retry("503")

        self.sink.judge = wait
        return held


class TestFakeRecordSink(RecordSinkContract):
    @pytest.fixture
    async def harness(self) -> FakeHarness:
        harness = FakeHarness()
        await harness.sink.open()
        return harness


async def test_it_notices_more_at_once_than_it_wants() -> None:
    harness = FakeHarness()
    parcels = [next(harness.sink.pack(None, [])) for _ in range(4)]  # type: ignore[arg-type]
    assert all(parcel.body is None for parcel in parcels)
    busy = FakeRecordSink(concurrency=1, seconds=0.01)
    body = type(parcels[0])(0, 1, 1, ("x",))
    await asyncio.gather(busy.send(body), busy.send(body))
    assert busy.violations == ["more at once than the sink wants"]
