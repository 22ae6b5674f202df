"""Aborted at any moment, a worker of a sink of records leaves a buffer from which the next run delivers the rest."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import pytest

from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.worker import Worker
from shipper.sinks.port import Answer, Delivered, Malformed, Retry, TooLarge
from tests.fakes.delivery import half, wall
from tests.fakes.meter import FakeMeter
from tests.fakes.outbox import FakeOutbox, lines
from tests.fakes.pipeline import FakePipeline
from tests.fakes.record_sink import FakeRecordSink, Texts
from tests.virtual_time import virtual_time

POLICY = BatchPolicy(max_age_s=1.0, max_size=10_000)
FIRST = [
    lines("trace 1", "+ at 1", *(f"line {n}" for n in range(12)), "bad 1", "trace 2", app="a"),
    lines(*(f"other {n}" for n in range(9)), "trace 3", app="b"),
]
SECOND = [
    lines("+ at 2", *(f"more {n}" for n in range(7)), "trace 4", app="a"),
    lines("+ at 3", "last", app="b"),
]
TEXTS = [json.loads(line)["line"] for frame in FIRST + SECOND for line in frame.data.splitlines()]


def judge(texts: Texts) -> Answer:
    if len(texts) > 3 and "line 2" in texts:
        return TooLarge("413")
    return Malformed("400") if any(text.startswith("bad") for text in texts) else Delivered()


def worker_of(sink: FakeRecordSink, outbox: FakeOutbox) -> Worker:
    return Worker(sink, outbox, POLICY, FakeMeter(), pipeline=FakePipeline(hold_s=2.0), clock=wall, draw=half)


async def abort_at(step: int, *, drain_at: int | None = None) -> bool:
    """Cancel a run after `step` rounds of the loop, then let another run finish. False if the run was over before."""
    outbox = FakeOutbox(["logs"], wall)
    sink = FakeRecordSink(concurrency=2, seconds=0.03, script=[Delivered(), Retry("503")], judge=judge)
    worker = worker_of(sink, outbox)
    await outbox.commit(FIRST)
    run = asyncio.create_task(worker.run(), name="worker")
    draining: asyncio.Task[int] | None = None
    second = False
    for round_ in range(step):
        if run.done():
            return False
        if round_ == 160:
            await outbox.commit(SECOND)
            second = True
        if round_ == drain_at:
            draining = asyncio.create_task(worker.drain(asyncio.get_running_loop().time() + 60), name="drain")
        await asyncio.sleep(0 if round_ % 3 else 0.02)
    if run.done():
        return False
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    if draining is not None:
        await draining
    if not second:
        await outbox.commit(SECOND)
    async with asyncio.TaskGroup() as group:
        again = worker_of(sink, outbox)
        group.create_task(again.run(), name="again")
        await asyncio.sleep(100)
        assert await again.drain(asyncio.get_running_loop().time() + 60) == 0
    _everything_arrived(sink, outbox)
    return True


def _everything_arrived(sink: FakeRecordSink, outbox: FakeOutbox) -> None:
    assert sink.violations == []
    taken = Counter(text for whole in sink.texts for text in whole.split("\n"))
    buried = Counter(json.loads(letter.record)["line"] for letter in outbox.letters)
    for text in TEXTS:
        assert (taken[text] >= 1) is not text.startswith("bad"), text
        assert taken[text] <= 2, "once more than once, after an abort"
    assert set(buried) == {"bad 1"}
    assert buried["bad 1"] <= 2
    assert outbox.states == {}


@virtual_time
async def test_cancelled_at_any_moment_of_a_run_everything_arrives() -> None:
    step = 0
    while await abort_at(step) and step < 700:
        step += 3 if step > 300 else 1


@virtual_time
async def test_cancelled_at_any_moment_of_a_drain_everything_arrives() -> None:
    step = 30
    while await abort_at(step, drain_at=170):
        step += 1
    assert step > 250, "the drain was over before anything could go wrong"
