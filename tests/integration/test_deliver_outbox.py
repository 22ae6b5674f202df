"""What delivery relies on in a buffer: the real one and the one in memory keep the same promises."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from shipper.buffer import Buffer, WhenFull
from shipper.deliver.port import Outbox
from shipper.model import Carried, Codec, CursorWrite, DeadLetter, Frame, Kind
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, frame

SINKS = ("archive", "local")


class CommittingOutbox(Outbox, Protocol):
    async def commit(self, frames: list[Frame], cursors: list[CursorWrite]) -> object: ...


@pytest.fixture(params=["in memory", "real"])
async def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CommittingOutbox]:
    if request.param == "in memory":
        yield FakeOutbox(SINKS, time.time)  # type: ignore[misc]
        return
    buffer = await Buffer.open(
        tmp_path,
        max_size=64 * 1024 * 1024,
        when_full=WhenFull.BLOCK,
        sinks=SINKS,
        meter=FakeMeter(),
        codec=Codec.NONE,
    )
    yield buffer
    await buffer.close()


async def test_a_commit_tells_every_subscriber(outbox: CommittingOutbox) -> None:
    events = [outbox.subscribe(sink) for sink in SINKS]
    assert not any(event.is_set() for event in events)
    await outbox.commit([frame()], [])
    async with asyncio.timeout(5):
        for event in events:
            await event.wait()


async def test_open_partitions_are_sums_of_unsealed_frames_for_each_sink(outbox: CommittingOutbox) -> None:
    before_ms = time.time() * 1000 - 1
    await outbox.commit([frame("a", records=2, size=100), frame("b"), frame("a", kind=Kind.EVENTS)], [])
    await outbox.commit([frame("a", records=3, size=50)], [])
    await outbox.seal("archive", frame("b").partition, max_size=1000)
    found = {one.partition: one for one in await outbox.open_partitions("archive")}
    assert set(found) == {frame("a").partition, frame("a", kind=Kind.EVENTS).partition}
    one = found[frame("a").partition]
    assert (one.records, one.size) == (5, 150)
    assert before_ms <= one.oldest_committed_ms <= time.time() * 1000
    assert len(await outbox.open_partitions("local")) == 3


async def test_a_batch_is_the_oldest_frames_up_to_the_size(outbox: CommittingOutbox) -> None:
    frames = [frame(size=400, at_ms=n, records=n + 1) for n in range(5)]
    for one in frames:
        await outbox.commit([one], [])
    batches = []
    while batch := await outbox.seal("archive", frame().partition, max_size=1000):
        batches.append(batch)
    assert [(batch.records, batch.size, batch.first_ms, batch.last_ms) for batch in batches] == [
        (3, 800, 0, 1),
        (7, 800, 2, 3),
        (5, 400, 4, 4),
    ]
    assert [batch.name for batch in batches] == sorted({batch.name for batch in batches})
    assert await outbox.sealed("archive") == batches
    assert await outbox.sealed("local") == []
    assert await outbox.read(batches[1]) == [frames[2].data, frames[3].data]
    assert await outbox.open_partitions("archive") == []


async def test_a_frame_beyond_the_size_is_a_batch_of_its_own(outbox: CommittingOutbox) -> None:
    await outbox.commit([frame(size=5000), frame(size=10, at_ms=1)], [])
    batch = await outbox.seal("archive", frame().partition, max_size=1000)
    assert batch is not None
    assert batch.size == 5000


async def test_a_partition_without_unsealed_frames_gives_no_batch(outbox: CommittingOutbox) -> None:
    assert await outbox.seal("archive", frame().partition, max_size=1000) is None


async def test_an_acknowledged_batch_is_gone_for_its_sink_alone(outbox: CommittingOutbox) -> None:
    await outbox.commit([frame(records=4)], [])
    mine = await outbox.seal("archive", frame().partition, max_size=1000)
    other = await outbox.seal("local", frame().partition, max_size=1000)
    assert mine is not None
    assert other is not None
    await outbox.acknowledge(mine)
    await outbox.acknowledge(mine)
    assert await outbox.sealed("archive") == []
    assert await outbox.sealed("local") == [other]
    assert await outbox.read(other) == [frame().data]
    assert dict(outbox.stats().backlog_records) == {"archive": 0, "local": 4}


async def test_a_rejected_batch_is_gone(outbox: CommittingOutbox) -> None:
    await outbox.commit([frame()], [])
    batch = await outbox.seal("archive", frame().partition, max_size=1000)
    assert batch is not None
    await outbox.reject(batch, "too large")
    await outbox.reject(batch, "too large")
    assert await outbox.sealed("archive") == []
    assert frame().partition not in [one.partition for one in await outbox.open_partitions("archive")]


async def test_the_backlog_counts_open_and_sealed_records_until_they_are_settled(
    outbox: CommittingOutbox,
) -> None:
    assert "archive" not in outbox.stats().oldest_committed_ms
    before_ms = time.time() * 1000 - 1
    await outbox.commit([frame("a", records=2), frame("b", records=3)], [])
    batch = await outbox.seal("archive", frame("a").partition, max_size=1000)
    assert batch is not None
    stats = outbox.stats()
    assert stats.backlog_records["archive"] == 5
    assert before_ms <= stats.oldest_committed_ms["archive"] <= time.time() * 1000
    await outbox.acknowledge(batch)
    assert outbox.stats().backlog_records["archive"] == 3


async def test_a_batch_that_was_settled_cannot_be_read(outbox: CommittingOutbox) -> None:
    await outbox.commit([frame()], [])
    batch = await outbox.seal("archive", frame().partition, max_size=1000)
    assert batch is not None
    await outbox.acknowledge(batch)
    assert await outbox.read(batch) is None


# ---- the ledger of sinks that take records ----


def carried(app: str = "shop", *, state: bytes = b"state", records: int = 3) -> Carried:
    return Carried(frame(app).partition, state, records, int(time.time() * 1000))


async def test_progress_is_shown_with_the_batch_until_it_is_settled(outbox: CommittingOutbox) -> None:
    await outbox.commit([frame("a", size=900), frame("b", size=900)], [])
    one = await outbox.seal("archive", frame("a").partition, max_size=1000)
    other = await outbox.seal("archive", frame("b").partition, max_size=1000)
    assert one is not None
    assert (one.done, one.plan) == (0, "")
    await outbox.progressed(one, 3, "plan")
    await outbox.progressed(one, 7, "plan")
    assert await outbox.sealed("archive") == [replace(one, done=7, plan="plan"), other]
    await outbox.acknowledge(one)
    await outbox.progressed(one, 9, "plan")
    assert await outbox.sealed("archive") == [other]


async def test_what_a_pipeline_holds_is_replaced_with_the_acknowledgement(outbox: CommittingOutbox) -> None:
    assert list(await outbox.carried("archive")) == []
    for held in (carried(records=3), carried(state=b"other", records=2)):
        await outbox.commit([frame()], [])
        batch = await outbox.seal("archive", frame().partition, max_size=1000)
        assert batch is not None
        await outbox.acknowledge(batch, held)
        assert list(await outbox.carried("archive")) == [held]
        assert list(await outbox.carried("local")) == []
    await outbox.commit([frame()], [])
    batch = await outbox.seal("archive", frame().partition, max_size=1000)
    assert batch is not None
    await outbox.acknowledge(batch)
    assert list(await outbox.carried("archive")) == [held], "without news it stays"


async def test_what_a_pipeline_holds_is_kept_for_each_partition_until_it_is_empty(
    outbox: CommittingOutbox,
) -> None:
    mine, other = carried("a"), carried("b", records=0)
    await outbox.carry("archive", mine)
    await outbox.carry("archive", other)
    assert sorted(await outbox.carried("archive"), key=lambda one: one.partition.app) == [mine, other]
    await outbox.carry("archive", carried("a", state=b"", records=0))
    assert list(await outbox.carried("archive")) == [other]
    await outbox.carry("archive", carried("never", state=b"", records=0))


async def test_held_records_are_part_of_the_backlog(outbox: CommittingOutbox) -> None:
    await outbox.carry("archive", carried(records=3))
    assert outbox.stats().backlog_records["archive"] == 3
    await outbox.carry("archive", carried(state=b"", records=0))
    assert outbox.stats().backlog_records["archive"] == 0


async def test_dead_letters_can_be_buried_again_and_again(outbox: CommittingOutbox) -> None:
    letter = DeadLetter("archive", frame().partition, 5, 7, "400", b'{"line":"x"}\n')
    await outbox.bury([letter, replace(letter, reason="413")])
    await outbox.bury([letter])
    await outbox.bury([])
