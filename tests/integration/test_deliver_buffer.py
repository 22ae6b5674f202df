"""Worker, real buffer and real directory together: everything arrives once, over aborts and drains."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from shipper.archive.codec import compress, decompress
from shipper.archive.layout import partition_path
from shipper.buffer import Buffer, FrameDraft, LetterFilter, WhenFull, make_frames
from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.worker import Worker
from shipper.model import Codec, Frame, Kind, Partition
from shipper.sinks.directory.sink import DirectoryOptions, DirectorySink
from shipper.sinks.port import Answer, Delivered, Malformed, Parked, Retry
from shipper.sinks.port import Sink as SinkPort
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import lines as record_lines
from tests.fakes.pipeline import FakePipeline
from tests.fakes.record_sink import FakeRecordSink, Texts
from tests.fakes.sink import FakeSink

POLICY = BatchPolicy(max_age_s=0.02, max_size=4096)


def partition(app: str) -> Partition:
    return Partition(Kind.LOGS, "acme", app, 472_000)


def frames(number: int) -> list[Frame]:
    """One line for each of three apps."""
    return make_frames(
        {
            partition(app): FrameDraft([f'{{"line":"{app}-{number}"}}\n'.encode()], number, number, 1)
            for app in ("shop", "cart", "pay")
        },
        Codec.ZSTD,
    )


async def opened(path: Path, meter: FakeMeter, *sinks: str) -> Buffer:
    return await Buffer.open(
        path, max_size=64 * 1024 * 1024, when_full=WhenFull.BLOCK, sinks=sinks, meter=meter, codec=Codec.ZSTD
    )


def lines_of(root: Path, app: str) -> list[str]:
    folder = root / partition_path(partition(app))
    data = b"".join(decompress(Codec.ZSTD, file.read_bytes()) for file in sorted(folder.glob("*.zst")))
    return data.decode().splitlines()


async def until_empty(buffer: Buffer, sink: str) -> None:
    async with asyncio.timeout(20):
        while buffer.stats().backlog_records[sink]:
            await asyncio.sleep(0.01)


async def test_what_is_committed_is_in_the_archive_once_and_in_order(tmp_path: Path) -> None:
    meter = FakeMeter()
    buffer = await opened(tmp_path / "buffer", meter, "local")
    sink = DirectorySink("local", DirectoryOptions(tmp_path / "archive"))
    await sink.open()
    worker = Worker(sink, buffer, POLICY, meter)
    async with asyncio.TaskGroup() as group:
        group.create_task(worker.run(), name="worker")
        for number in range(60):
            await buffer.commit(frames(number), [])
            await asyncio.sleep(0.002)
        assert await worker.drain(asyncio.get_running_loop().time() + 20) == 0
    await sink.aclose()
    await buffer.close()
    for app in ("shop", "cart", "pay"):
        assert lines_of(tmp_path / "archive", app) == [f'{{"line":"{app}-{number}"}}' for number in range(60)]
    assert meter.counts["records_delivered_total", "local", "logs"] == 180


async def test_aborted_again_and_again_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    meter = FakeMeter()
    for number in range(12):
        buffer = await opened(tmp_path / "buffer", meter, "local")
        sink: SinkPort = DirectorySink("local", DirectoryOptions(tmp_path / "archive"))
        await sink.open()
        worker = Worker(sink, buffer, POLICY, meter)
        running = asyncio.create_task(worker.run(), name="worker")
        for part in range(5):
            await buffer.commit(frames(number * 5 + part), [])
            await asyncio.sleep(0.003 * number)
        if number == 11:
            await until_empty(buffer, "local")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await sink.aclose()
        await buffer.close()
    for app in ("shop", "cart", "pay"):
        assert sorted(lines_of(tmp_path / "archive", app)) == sorted(
            f'{{"line":"{app}-{number}"}}' for number in range(60)
        )


async def test_a_sink_that_is_down_or_parked_keeps_its_own_frames_and_no_others(tmp_path: Path) -> None:
    meter = FakeMeter()
    buffer = await opened(tmp_path, meter, "fine", "down", "parked")
    sinks = [
        FakeSink("fine"),
        FakeSink("down", otherwise=Retry("refused")),
        FakeSink("parked", otherwise=Parked("403")),
    ]
    workers = [Worker(sink, buffer, POLICY, meter) for sink in sinks]
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.run(), name=worker.sink.name)
        for number in range(20):
            await buffer.commit(frames(number), [])
        await until_empty(buffer, "fine")
        assert buffer.stats().backlog_records == {"fine": 0, "down": 60, "parked": 60}
        sinks[1].otherwise = Delivered()
        await until_empty(buffer, "down")
        deadline = asyncio.get_running_loop().time() + 20
        assert await asyncio.gather(*(worker.drain(deadline) for worker in workers)) == [0, 0, 60]
    assert sinks[0].objects.keys() == {(batch.partition, batch.name) for _, batch in sinks[0].attempts}
    assert all(sink.violations == [] for sink in sinks)
    await buffer.close()


# ---- a sink of records ----


def record_frames(number: int) -> list[Frame]:
    """Lines of two apps, one of them bad; a trace goes over three commits."""
    texts = [
        f"line {number}",
        "bad" if number == 7 else "fine",
        "trace" if number % 3 == 0 else f"+ {number}",
    ]
    made = [record_lines(*texts, app=app, at_ms=number) for app in ("shop", "cart")]
    return [replace(frame, codec=Codec.ZSTD, data=compress(Codec.ZSTD, frame.data)) for frame in made]


def only_good(texts: Texts) -> Answer:
    return Malformed("400") if "bad" in texts else Delivered()


async def test_aborted_again_and_again_every_record_arrives_and_the_bad_ones_are_buried(
    tmp_path: Path,
) -> None:
    meter = FakeMeter()
    taken: Counter[str] = Counter()
    for number in range(12):
        buffer = await opened(tmp_path, meter, "logs")
        sink = FakeRecordSink("logs", judge=only_good, seconds=0.002)
        worker = Worker(sink, buffer, POLICY, meter, pipeline=FakePipeline(hold_s=0.2))
        running = asyncio.create_task(worker.run(), name="worker")
        for part in range(5):
            await buffer.commit(record_frames(number * 5 + part), [])
            await asyncio.sleep(0.003 * number)
        if number == 11:
            await until_empty(buffer, "logs")
            assert await buffer.carried("logs") == []
            letters = await buffer.letters.page(LetterFilter())
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await buffer.close()
        assert sink.violations == []
        taken += Counter(text for whole in sink.texts for text in whole.split("\n"))
    expected = [json.loads(line)["line"] for n in range(60) for line in _texts_of(record_frames(n)[0])]
    assert set(taken) == set(expected) - {"bad"}
    assert all(taken[text] >= 2 for text in expected if text != "bad")
    assert {(one.partition.app, json.loads(one.record)["line"]) for one in letters} == {
        ("shop", "bad"),
        ("cart", "bad"),
    }


def _texts_of(frame: Frame) -> list[bytes]:
    return decompress(frame.codec, frame.data).splitlines()


async def test_a_large_batch_goes_out_while_the_loop_stays_free(tmp_path: Path) -> None:
    buffer = await opened(tmp_path, FakeMeter(), "logs")
    texts = [f"{number} {'x' * 200}" for number in range(30_000)]
    frame = record_lines(*texts)
    await buffer.commit([replace(frame, codec=Codec.ZSTD, data=compress(Codec.ZSTD, frame.data))], [])
    sink = FakeRecordSink("logs", most=1000, seconds=0.0)
    policy = BatchPolicy(max_age_s=0.0, max_size=64 * 1024 * 1024)
    worker = Worker(sink, buffer, policy, FakeMeter(), pipeline=FakePipeline())
    turns: list[int] = []  # how much had been taken when the loop came round
    async with asyncio.TaskGroup() as group:
        running = group.create_task(worker.run(), name="worker")
        async with asyncio.timeout(60):
            while buffer.stats().backlog_records["logs"]:
                await asyncio.sleep(0)
                turns.append(len(sink.texts))
        running.cancel()
    await buffer.close()
    assert sink.texts == texts or sorted(sink.texts) == sorted(texts)
    steps = [after - before for before, after in itertools.pairwise([0, *turns])]
    assert max(steps) <= 5_000, "a slice or two of the batch, and then others have their turn"
