"""A sink of bytes gets its frames as they lie in the buffer, or as its pipeline rewrites them, always alike."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from shipper.archive.codec import compress, decompress
from shipper.deliver.worker import Worker
from shipper.model import Batch, Carried, Codec, Frame
from shipper.sinks.port import Delivered, Outcome, Retry
from tests.fakes.delivery import RECORD_POLICY, half, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, lines
from tests.fakes.pipeline import FakePipeline
from tests.fakes.sink import FakeSink
from tests.virtual_time import virtual_time


def packed(frame: Frame, codec: Codec) -> Frame:
    return replace(frame, codec=codec, data=compress(codec, frame.data))


async def delivered(
    frames: list[Frame], pipeline: FakePipeline | None, sink: FakeSink | None = None
) -> tuple[FakeSink, FakeOutbox, FakeMeter]:
    """Run until everything is acknowledged."""
    sink, outbox, meter = sink or FakeSink(), FakeOutbox(["archive"], wall), FakeMeter()
    worker = Worker(sink, outbox, RECORD_POLICY, meter, pipeline=pipeline, clock=wall, draw=half)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        await outbox.commit(frames)
        await asyncio.sleep(60)
        assert await worker.drain(asyncio.get_running_loop().time() + 60) == 0
    return sink, outbox, meter


def object_of(sink: FakeSink) -> bytes:
    (data,) = sink.objects.values()
    return data


@virtual_time
async def test_a_pipeline_that_does_not_rewrite_is_never_asked() -> None:
    pipeline = FakePipeline(rewrites=False)
    frame = packed(lines("a", "drop b", "trace"), Codec.ZSTD)
    sink, outbox, _ = await delivered([frame], pipeline)
    assert object_of(sink) == frame.data
    assert pipeline.fed == []
    assert outbox.states == {}
    assert sink.violations == []


@virtual_time
async def test_a_partition_that_the_pipeline_does_not_touch_is_not_decoded() -> None:
    pipeline = FakePipeline(untouched="shop")
    frame = packed(lines("a", "drop b", app="shop"), Codec.ZSTD)
    sink, _, meter = await delivered([frame], pipeline)
    assert object_of(sink) == frame.data
    assert pipeline.fed == []
    assert meter.counts["records_delivered_total", "archive", "logs"] == 2


@virtual_time
async def test_what_another_configuration_left_of_an_untouched_partition_is_forgotten() -> None:
    outbox = FakeOutbox(["archive"], wall)
    shop = lines("x").partition
    outbox.states["archive", shop] = Carried(shop, b'{"seen": 3}', 0, 0)
    pipeline = FakePipeline(untouched="shop")
    worker = Worker(FakeSink(), outbox, RECORD_POLICY, FakeMeter(), pipeline=pipeline, clock=wall, draw=half)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run(), name="worker")
        await outbox.commit([lines("a")])
        await asyncio.sleep(3)
        assert outbox.states == {}
        running.cancel()


@pytest.mark.parametrize("codec", list(Codec))
def test_a_rewritten_batch_has_what_the_pipeline_lets_through_in_the_batchs_codec(codec: Codec) -> None:
    @virtual_time
    async def body() -> None:
        frames = [packed(lines("a", "drop b", "a secret"), codec), packed(lines("trace", "+ at"), codec)]
        sink, outbox, meter = await delivered(frames, FakePipeline())
        expected = lines("a", "a ***", "trace\n+ at").data
        assert decompress(codec, object_of(sink)) == expected
        assert meter.counts["records_delivered_total", "archive", "logs"] == 4
        assert meter.counts["records_dropped_total", "archive", "filtered"] == 1
        assert meter.counts["redactions_total", "archive", "bearer_token"] == 1
        assert sink.violations == [], "size and records of the batch are those of what is sent"
        assert outbox.states == {}

    body()


@virtual_time
async def test_a_rewritten_batch_has_the_same_bytes_at_every_attempt() -> None:
    seen: list[tuple[bytes, ...]] = []

    class Looking(FakeSink):
        async def send(self, batch: Batch, frames: object) -> Outcome:
            seen.append(tuple(frames))  # type: ignore[arg-type]
            return await super().send(batch, frames)  # type: ignore[arg-type]

    big = [packed(lines(*(f"{n} {'x' * 300}" for n in range(20_000))), Codec.ZSTD)]
    sink, _, meter = await delivered(big, FakePipeline(), Looking(script=[Retry("503"), Retry("503")]))
    assert len(seen) == 3
    assert len(set(seen)) == 1
    assert len(seen[0]) > 3, "in frames of a bounded size"
    assert decompress(Codec.ZSTD, object_of(sink)).count(b"\n") == 20_000
    assert meter.counts["records_delivered_total", "archive", "logs"] == 20_000


@virtual_time
async def test_a_batch_of_which_nothing_is_left_makes_no_object() -> None:
    sink, outbox, meter = await delivered([lines("drop a", "drop b")], FakePipeline())
    assert sink.attempts == []
    assert len(outbox.acknowledged) == 1
    assert meter.counts["records_dropped_total", "archive", "filtered"] == 2


@virtual_time
async def test_counts_go_from_batch_to_batch() -> None:
    outbox = FakeOutbox(["archive"], wall)
    worker = Worker(
        FakeSink(), outbox, RECORD_POLICY, FakeMeter(), pipeline=FakePipeline(), clock=wall, draw=half
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run(), name="worker")
        for _ in range(3):
            await outbox.commit([lines("count")])
            await asyncio.sleep(2)
        assert outbox.states["archive", lines("x").partition].state == b'{"held": [], "seen": 3}'
        running.cancel()


@virtual_time
async def test_a_frame_that_cannot_be_unpacked_is_rejected_and_recorded() -> None:
    broken = replace(lines("a"), codec=Codec.ZSTD, data=b"not zstd at all")
    outbox = FakeOutbox(["archive"], wall)
    worker = Worker(
        FakeSink(), outbox, RECORD_POLICY, FakeMeter(), pipeline=FakePipeline(), clock=wall, draw=half
    )
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run(), name="worker")
        await outbox.commit([broken])
        await asyncio.sleep(5)
        assert ["cannot be unpacked" in reason for _, reason in outbox.rejected] == [True]
        running.cancel()


@virtual_time
async def test_a_pipeline_that_raises_is_told_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    sink, _, _ = await delivered([lines("a")], FakePipeline(broken=1), FakeSink(otherwise=Delivered()))
    assert len(sink.objects) == 1
    assert any("contract" in record.message for record in caplog.records)
