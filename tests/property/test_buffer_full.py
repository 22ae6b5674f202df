"""A buffer that is full, against a model: what is told to block takes all or nothing of a commit and drops nothing;
what is told to drop takes everything, and says in gaps how many records went for it. Also over crashes.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shipper.archive.codec import decode, decompress
from shipper.buffer import Buffer, WhenFull
from shipper.errors import BufferFull
from shipper.model import Batch, Codec, CursorWrite, Kind
from tests.buffer_files import MIB, lines, partition
from tests.fakes.meter import FakeMeter

T = TypeVar("T")

SINK = "all"
MAX_SIZE = 16 * MIB
FILLER = "x" * MIB
FULL = st.sampled_from([WhenFull.BLOCK, WhenFull.DROP_OLDEST])


class FullMachine(RuleBasedStateMachine):
    """`waiting` and `delivered` are texts; `lost` is what gaps said that were delivered."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="full-"))
        self.meter = FakeMeter()
        self.number = 0
        self.committed: list[str] = []
        self.delivered: list[str] = []
        self.cursor = b""
        self.lost = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    async def _open(self) -> Buffer:
        return await Buffer.open(
            self.directory,
            max_size=MAX_SIZE,
            when_full=self.when_full,
            sinks={SINK: None},
            meter=self.meter,
            codec=Codec.NONE,
            clock=lambda: 1_760_400_000.0 + self.number,
        )

    @initialize(when_full=FULL)
    def start(self, when_full: WhenFull) -> None:
        self.when_full = when_full
        self.buffer = self.run(self._open())

    def teardown(self) -> None:
        if hasattr(self, "buffer"):
            self.run(self.buffer.close())
        self.runner.close()
        shutil.rmtree(self.directory)

    # ---- rules ----

    @rule(apps=st.lists(st.sampled_from("ab"), min_size=1, max_size=6))
    def commit_little(self, apps: list[str]) -> None:
        self._commit(apps, "")

    @rule(apps=st.lists(st.sampled_from("ab"), min_size=2, max_size=3))
    def commit_much(self, apps: list[str]) -> None:
        self._commit(apps, FILLER)

    @rule()
    def commit_until_it_is_full(self) -> None:
        for _ in range(6):
            self._commit(["a", "b"], FILLER)

    def _commit(self, apps: list[str], filler: str) -> None:
        frames, texts = [], []
        for app in apps:
            self.number += 1
            texts.append(f"{self.number}")
            at = 1_760_400_000_000 + self.number
            frames.append(lines(f"{self.number} {filler}", where=partition(app), codec=Codec.NONE, at=at))
        state = str(self.number).encode()
        before = self.buffer.stats()
        try:
            self.run(self.buffer.commit(frames, [CursorWrite("k", state)]))
        except BufferFull:
            assert self.when_full is WhenFull.BLOCK
            assert before.bytes > MAX_SIZE // 4, "it is not full"
            assert self.buffer.stats().backlog_records == before.backlog_records
            return
        self.cursor = state
        self.committed += texts

    @rule(batches=st.integers(1, 4), size=st.sampled_from([1, 2 * MIB]))
    def deliver(self, batches: int, size: int) -> None:
        for _ in range(batches):
            sealed = self.run(self.buffer.sealed(SINK))
            found = self.run(self.buffer.open_partitions(SINK))
            batch = (
                sealed[0]
                if sealed
                else self.run(self.buffer.seal(SINK, found[0].partition, max_size=size))
                if found
                else None
            )
            if batch is not None:
                self._take(batch)
                self.run(self.buffer.acknowledge(batch))

    @rule(size=st.sampled_from([1, 2 * MIB]))
    def seal(self, size: int) -> None:
        for one in self.run(self.buffer.open_partitions(SINK)):
            self.run(self.buffer.seal(SINK, one.partition, max_size=size))

    @rule(when_full=FULL)
    def reopen(self, when_full: WhenFull) -> None:
        self.when_full = when_full
        self.run(self.buffer.close())
        self._born()

    @rule()
    def crash(self) -> None:
        def read() -> dict[str, bytes]:
            paths = [
                path for path in self.directory.glob("buffer.sqlite3*") if not path.name.endswith("-shm")
            ]
            return {path.name: path.read_bytes() for path in paths}

        async def image() -> dict[str, bytes]:
            return await asyncio.wrap_future(self.buffer._executor.submit(read))

        files = self.run(image())
        self.run(self.buffer.close())
        shutil.rmtree(self.directory)
        self.directory.mkdir()
        for name, content in files.items():
            (self.directory / name).write_bytes(content)
            (self.directory / name).chmod(0o600)
        self._born()

    def _born(self) -> None:
        self.buffer = self.run(self._open())
        assert self.buffer.recovered is None

    def _take(self, batch: Batch) -> None:
        frames = self.run(self.buffer.read(batch))
        assert frames is not None
        records = list(decode(decompress(batch.codec, b"".join(frames))))
        assert len(records) == batch.records
        if batch.partition.kind is Kind.GAPS:
            self.lost += sum(record["lost"] for record in records)
        else:
            self.delivered += [record["line"].split(" ")[0] for record in records]

    # ---- what must hold at any time ----

    @invariant()
    def every_record_waits_or_was_delivered_or_is_counted_in_a_gap(self) -> None:
        if not hasattr(self, "buffer"):
            return
        assert len(set(self.delivered)) == len(self.delivered), "delivered twice"
        assert set(self.delivered) <= set(self.committed)
        waiting = sum(
            one.records
            for one in self.run(self.buffer.open_partitions(SINK))
            if one.partition.kind is not Kind.GAPS
        )
        told = self.lost
        for batch in self.run(self.buffer.sealed(SINK)):
            if batch.partition.kind is Kind.GAPS:
                told += self._told(batch)
            else:
                waiting += batch.records
        gaps = [one for one in self.run(self.buffer.open_partitions(SINK)) if one.partition.kind is Kind.GAPS]
        for one in gaps:
            batch = self.run(self.buffer.seal(SINK, one.partition, max_size=MIB))
            told += self._told(batch) if batch is not None else 0
        assert waiting + len(self.delivered) + told == len(self.committed)

    def _told(self, batch: Batch) -> int:
        frames = self.run(self.buffer.read(batch))
        assert frames is not None
        return sum(record["lost"] for record in decode(decompress(batch.codec, b"".join(frames))))

    @invariant()
    def the_cursor_is_of_the_last_commit_that_was_taken(self) -> None:
        if hasattr(self, "buffer"):
            assert [one.state for one in self.run(self.buffer.cursors())] == (
                [self.cursor] if self.cursor else []
            )

    @invariant()
    def the_files_stay_below_the_bound(self) -> None:
        if hasattr(self, "buffer"):
            assert self.buffer.stats().disk_bytes <= MAX_SIZE


TestFullBuffer = FullMachine.TestCase
TestFullBuffer.settings = settings(
    max_examples=8,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
