"""Sinks that come, change and go while their buffer is the real one and the others go on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shipper.archive.codec import decode, decompress
from shipper.buffer import Buffer, WhenFull
from shipper.daemon.delivering import Delivering, Equipment
from shipper.deliver.backlog import BatchPolicy
from shipper.model import Batch, Codec
from shipper.sinks.port import Delivered, Outcome, Parked, Retry
from shipper.telemetry.prometheus import PrometheusMeter
from tests.buffer_files import MIB, lines, opened, partition
from tests.fakes.meter import FakeMeter

SOON = BatchPolicy(max_age_s=0.01, max_size=MIB)
NEVER = BatchPolicy(max_age_s=3600.0, max_size=64 * MIB)


@dataclass
class Archive:
    """A sink that keeps what it gets, while its gate is open."""

    name: str
    concurrency: int = 2
    outcome: Outcome = field(default_factory=Delivered)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    got: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    closed: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    async def open(self) -> None: ...

    async def send(self, batch: Batch, frames: list[bytes]) -> Outcome:
        assert not self.closed
        self.attempts += 1
        await self.gate.wait()
        if isinstance(self.outcome, Delivered):
            self.got += decode(decompress(batch.codec, b"".join(frames)))
        return self.outcome

    async def check(self) -> Outcome:
        return Delivered()

    async def aclose(self) -> None:
        self.closed += 1

    @property
    def lines(self) -> Counter[str]:
        return Counter(record["line"] for record in self.got if "line" in record)


@dataclass
class House:
    buffer: Buffer
    delivering: Delivering
    sent: Counter[str] = field(default_factory=Counter)
    configured: list[str] = field(default_factory=list)

    async def commit(self, *texts: str) -> None:
        self.sent.update(texts)
        await self.buffer.commit([lines(*texts, where=partition("shop"))], [])

    async def configure(self, *names: str, discard: bool = False, **new: Archive) -> None:
        """What a reload does: the buffer first."""
        gone = [name for name in self.configured if name not in names]
        self.configured = list(names)
        await self.buffer.reconfigure(
            sinks=names, max_size=16 * MIB, when_full=WhenFull.BLOCK, codec=Codec.ZSTD
        )
        for name in gone:
            self.delivering.remove(name, discard=discard)
        for name, sink in new.items():
            self.put(name, sink)

    def put(self, name: str, sink: Archive, policy: BatchPolicy = SOON) -> None:
        self.delivering.put(name, Equipment(sink, None, policy))

    def backlog(self) -> dict[str, int]:
        return dict(self.buffer.stats().backlog_records)


async def until(condition: Any, within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def house(folder: Path, meter: FakeMeter | None = None, **sinks: Archive) -> AsyncIterator[House]:
    """Delivers for as long as the block; then all is drained."""
    async with opened(folder, sinks=list(sinks), meter=meter) as buffer:
        it = House(buffer, Delivering(buffer, PrometheusMeter(sinks=tuple(sinks))), configured=list(sinks))
        for name, sink in sinks.items():
            it.put(name, sink)
        async with asyncio.TaskGroup() as group:
            it.delivering.begin(group)
            yield it
            await it.delivering.drain(asyncio.get_running_loop().time() + 1)
        await it.delivering.aclose()


async def test_a_sink_that_is_added_gets_what_comes_from_now_on(tmp_path: Path) -> None:
    kept, new = Archive("kept"), Archive("new")
    async with house(tmp_path, kept=kept) as it:
        await it.commit("before")
        await it.configure("kept", "new", new=new)
        await it.commit("after")
        await until(lambda: kept.lines == it.sent and new.lines == Counter(["after"]))
    assert kept.closed == new.closed == 1


async def test_a_changed_sink_takes_over_when_the_former_has_ended_what_is_under_way(tmp_path: Path) -> None:
    """Nothing is sent twice, the backlog is the new one's, and the former is closed."""
    slow, new = Archive("sink"), Archive("sink")
    slow.gate.clear()
    async with house(tmp_path, sink=slow) as it:
        await it.commit("one")
        await until(lambda: slow.attempts == 1)
        it.put("sink", new)
        await it.commit("two")
        await asyncio.sleep(0.1)
        assert (new.attempts, slow.closed) == (0, 0)
        slow.gate.set()
        await until(lambda: slow.lines + new.lines == it.sent)
        assert slow.lines == Counter(["one"])
        assert slow.closed == 1


async def test_of_many_changes_at_once_the_last_one_counts(tmp_path: Path) -> None:
    """Those in between never send, and are closed."""
    slow, between, last = Archive("sink"), [Archive("sink") for _ in range(5)], Archive("sink")
    slow.gate.clear()
    async with house(tmp_path, sink=slow) as it:
        await it.commit("one")
        await until(lambda: slow.attempts == 1)
        for sink in (*between, last):
            it.put("sink", sink)
        slow.gate.set()
        await it.commit("two")
        await until(lambda: last.lines == Counter(["two"]))
        assert [(sink.attempts, sink.closed) for sink in between] == [(0, 1)] * 5
        assert last.closed == 0


async def test_a_sink_that_stays_while_its_pipeline_changes_is_not_closed(tmp_path: Path) -> None:
    sink = Archive("sink")
    async with house(tmp_path, sink=sink) as it:
        await it.commit("one")
        await until(lambda: sink.lines == it.sent)
        it.put("sink", sink)
        await it.commit("two")
        await until(lambda: sink.lines == it.sent)
        assert sink.closed == 0


async def test_a_removed_sink_gets_all_that_is_its_own_and_is_closed_then(tmp_path: Path) -> None:
    """Whatever its age, and though it fails for a while; nothing is a loss."""
    meter = FakeMeter()
    kept, old = Archive("kept"), Archive("old", outcome=Retry("down", after_s=0.05))
    async with house(tmp_path, meter, kept=kept, old=old) as it:
        it.put("old", old, NEVER)
        await it.commit("one", "two")
        await it.configure("kept")
        await it.commit("three")
        await until(lambda: kept.lines == it.sent)
        assert "old" in it.backlog()
        old.outcome = Delivered()
        await until(lambda: "old" not in it.backlog())
        assert old.lines == Counter(["one", "two"])
        await until(lambda: old.closed == 1)
        assert [one.name for one in it.delivering] == ["kept"]
    assert meter.counts["records_dropped_total", "old", "sink_removed"] == 0


async def test_a_sink_that_is_removed_and_to_be_discarded_gives_up_what_it_has_not_taken(
    tmp_path: Path,
) -> None:
    """Counted; a gap for those who stay only where nobody else has it."""
    meter = FakeMeter()
    old, new = Archive("old", outcome=Parked("no key")), Archive("new")
    async with house(tmp_path, meter, old=old) as it:
        await it.commit("one", "two")
        await until(lambda: old.attempts > 0)
        await it.configure("new", discard=True, new=new)
        await until(lambda: "old" not in it.backlog() and new.got)
        (gap,) = new.got
        assert (gap["reason"], gap["lost"]) == ("sink_removed", 2)
    assert meter.counts["records_dropped_total", "old", "sink_removed"] == 2


async def test_what_is_under_way_to_a_discarded_sink_is_waited_for(tmp_path: Path) -> None:
    """It is delivered and no loss."""
    meter = FakeMeter()
    old, new = Archive("old", concurrency=1), Archive("new")
    old.gate.clear()
    async with house(tmp_path, meter, old=old) as it:
        await it.commit("one")
        await until(lambda: old.attempts == 1)
        await it.configure("new", discard=True, new=new)
        old.gate.set()
        await until(lambda: "old" not in it.backlog())
    assert old.lines == it.sent
    assert meter.counts["records_dropped_total", "old", "sink_removed"] == 0


@pytest.mark.parametrize("discard", [True, False])
async def test_a_removed_sink_that_comes_back_goes_on(tmp_path: Path, discard: bool) -> None:
    """With other settings, while its former self is still busy: nothing is lost, nothing comes twice."""
    old, again = Archive("sink", concurrency=1), Archive("sink")
    old.gate.clear()
    async with house(tmp_path, kept=Archive("kept"), sink=old) as it:
        await it.commit("one")
        await until(lambda: old.attempts == 1)
        await it.configure("kept", discard=discard)
        await it.commit("not for it")
        await it.configure("kept", "sink", sink=again)
        await it.commit("two")
        old.gate.set()
        await until(lambda: old.lines + again.lines == Counter(["one", "two"]))
        await until(lambda: it.backlog() == {"kept": 0, "sink": 0})
        assert old.closed == 1


async def test_a_sink_that_comes_back_when_it_was_done_with_begins_anew(tmp_path: Path) -> None:
    async with house(tmp_path, kept=Archive("kept"), sink=Archive("sink")) as it:
        for turn in range(10):
            again = Archive("sink")
            await it.configure("kept")
            for _ in range(turn):  # at every moment of its end
                await asyncio.sleep(0)
            await it.configure("kept", "sink", sink=again)
            await it.commit(f"turn {turn}")
            await until(lambda again=again, turn=turn: again.lines == Counter([f"turn {turn}"]))


async def test_a_drain_ends_removed_and_changing_sinks_too(tmp_path: Path) -> None:
    """What a removed sink has not got is told apart; what waits for other settings waits on."""
    removed, slow = Archive("removed", outcome=Parked("no")), Archive("slow", concurrency=1)
    slow.gate.clear()
    async with house(tmp_path, removed=removed, slow=slow) as it:
        await it.commit("one")
        await until(lambda: slow.attempts == 1)
        await it.configure("slow")
        it.put("slow", Archive("slow"))
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 5
    async with opened(tmp_path, sinks=["slow", "removed"]) as buffer:
        assert dict(buffer.stats().backlog_records) == {"slow": 1, "removed": 1}


async def test_gauges_of_a_removed_sink_are_gone(tmp_path: Path) -> None:
    """An alert about it would never end."""
    meter = PrometheusMeter(sinks=("kept", "old"))
    async with opened(tmp_path, sinks=["kept", "old"]) as buffer:
        delivering = Delivering(buffer, meter)
        it = House(buffer, delivering, configured=["kept", "old"])
        for name in it.configured:
            it.put(name, Archive(name))
        async with asyncio.TaskGroup() as group:
            delivering.begin(group)
            await it.commit("one")
            await it.configure("kept")
            await until(lambda: [one.name for one in delivering] == ["kept"])
            page = meter.render()[0].decode()
            await delivering.drain(asyncio.get_running_loop().time() + 1)
        await delivering.aclose()
    gauges = [line for line in page.splitlines() if 'sink="old"' in line and "_total" not in line]
    assert [line for line in gauges if line.startswith(("shipper_sink_state", "shipper_sink_backlog"))] == []
    assert 'shipper_records_delivered_total{kind="logs",sink="old"} 1.0' in page
