"""Whatever a sink answers, each committed frame ends in one object or one rejection, partitions in order."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.limits import Limits
from shipper.deliver.worker import Worker
from shipper.model import Batch, Frame, Partition
from shipper.sinks.port import Delivered, Outcome, Parked, Rejected, Retry
from tests.fakes.delivery import half, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, frame
from tests.fakes.sink import Answer, FakeSink
from tests.virtual_time import virtual_time

POLICY = BatchPolicy(max_age_s=5.0, max_size=500)
LIMITS = Limits(attempt_s=60.0, levels_s=1e9)


async def _hang(_: Batch) -> Outcome:
    await asyncio.sleep(10_000)
    return Delivered()


async def _raise(_: Batch) -> Outcome:
    raise OSError("broken pipe")


async def _slow(_: Batch) -> Outcome:
    await asyncio.sleep(3)
    return Delivered()


ANSWERS: st.SearchStrategy[Answer] = st.sampled_from(
    [Delivered(), Retry("503"), Retry("429", 7.0), Parked("403"), Rejected("400"), _hang, _raise, _slow]
)
COMMIT = st.tuples(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 300)), max_size=4), st.floats(0, 20)
)


@settings(max_examples=300, deadline=None)
@given(
    commits=st.lists(COMMIT, min_size=1, max_size=8),
    script=st.lists(ANSWERS, max_size=15),
    concurrency=st.integers(1, 4),
    refusals=st.lists(st.tuples(st.floats(0, 60), st.integers(1, 4)), max_size=2),
    drains=st.booleans(),
)
def test_every_frame_ends_in_one_object_or_one_rejection(
    commits: Sequence[tuple[list[tuple[str, int]], float]],
    script: list[Answer],
    concurrency: int,
    refusals: list[tuple[float, int]],
    drains: bool,
) -> None:
    @virtual_time
    async def body() -> None:
        outbox = FakeOutbox(["archive"], wall)
        sink = FakeSink(concurrency=concurrency, script=list(script))
        worker = Worker(sink, outbox, POLICY, FakeMeter(), clock=wall, draw=half, limits=LIMITS)
        loop = asyncio.get_running_loop()
        for at, times in refusals:
            loop.call_later(at, setattr, outbox, "refusals", times)
        committed: list[Frame] = []
        async with asyncio.TaskGroup() as group:
            running = group.create_task(worker.run(), name="worker")
            for apps, pause in commits:
                frames = [
                    frame(app, size=size, at_ms=len(committed) + n) for n, (app, size) in enumerate(apps)
                ]
                committed += frames
                await outbox.commit(frames)
                await asyncio.sleep(pause)
            await asyncio.sleep(3000)  # longer than any script of hangs
            if drains:
                assert await worker.drain(loop.time() + 30) == 0
            else:
                running.cancel()
        assert sink.violations == []
        assert not sink.script or not committed or len(sink.attempts) == len(script) - len(sink.script)
        _everything_once_and_in_order(sink, outbox, committed)

    body()


def _everything_once_and_in_order(sink: FakeSink, outbox: FakeOutbox, committed: list[Frame]) -> None:
    ended: defaultdict[Partition, dict[str, int]] = defaultdict(dict)
    order: defaultdict[Partition, list[str]] = defaultdict(list)
    for batch in [*outbox.acknowledged, *(batch for batch, _ in outbox.rejected)]:
        assert batch.name not in ended[batch.partition]
        ended[batch.partition][batch.name] = batch.records
    for _, batch in sink.attempts:
        if batch.name not in order[batch.partition]:
            order[batch.partition].append(batch.name)
    for partition, names in order.items():
        assert names == sorted(names), "batches of one partition are tried in the order of sealing"
        expected = sum(one.records for one in committed if one.partition == partition)
        assert sum(ended[partition].values()) == expected
    assert sum(len(names) for names in ended.values()) == len(outbox.acknowledged) + len(outbox.rejected)
    assert {one.partition for one in committed} == set(order)
