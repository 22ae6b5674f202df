"""Sinks that come, retire and go while the buffer is open, against a model: nothing is lost without a gap."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shipper.archive.codec import decode, decompress
from shipper.buffer import Buffer, WhenFull
from shipper.model import Codec, Kind, Partition
from tests.buffer_files import MIB, lines, partition
from tests.fakes.meter import FakeMeter

T = TypeVar("T")

WITNESS = "w"  # always there, gets every gap and nothing else
NAMES = "abc"
CHOICES = st.sets(st.sampled_from(NAMES)).map(lambda names: tuple(sorted(names)))


def route(where: Partition) -> frozenset[str]:
    return frozenset(WITNESS if where.kind is Kind.GAPS else where.app)


@dataclass
class Modelled:
    """A sink: what it is still to get, and all that is, was or will be its own."""

    retired: bool = False
    waiting: list[str] = field(default_factory=list)
    own: set[str] = field(default_factory=set)


class SinksMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="sinks-"))
        self.meter = FakeMeter()
        self.number = 0
        self.sinks: dict[str, Modelled] = {}
        self.got: dict[str, list[str]] = {name: [] for name in NAMES}
        self.expected: dict[str, list[str]] = {name: [] for name in NAMES}
        self.lost = self.dropped = self.seen_lost = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    async def _open(self) -> Buffer:
        return await Buffer.open(
            self.directory,
            max_size=16 * MIB,
            when_full=WhenFull.BLOCK,
            sinks=self._configured(),
            meter=self.meter,
            codec=Codec.ZSTD,
            route=route,
        )

    def _configured(self) -> list[str]:
        return [WITNESS, *(name for name, sink in self.sinks.items() if not sink.retired)]

    @initialize(names=CHOICES)
    def start(self, names: tuple[str, ...]) -> None:
        self.sinks = {name: Modelled() for name in names}
        self.buffer = self.run(self._open())

    def teardown(self) -> None:
        if hasattr(self, "buffer"):
            self.run(self.buffer.close())
        self.runner.close()
        shutil.rmtree(self.directory)

    # ---- rules ----

    @rule(apps=st.lists(CHOICES, max_size=3))
    def commit(self, apps: list[tuple[str, ...]]) -> None:
        frames = []
        for names in apps:
            self.number += 1
            text = str(self.number)
            frames.append(lines(text, where=partition("".join(names) or "-")))
            for name in names:
                sink = self.sinks.get(name)
                if sink is not None and not sink.retired:
                    sink.waiting.append(text)
                    sink.own.add(text)
                    self.expected[name].append(text)
        self.run(self.buffer.commit(frames, []))

    @rule(name=st.sampled_from(NAMES), count=st.integers(1, 3))
    def deliver(self, name: str, count: int) -> None:
        if name not in self.sinks:
            return
        batches = self.run(self.buffer.sealed(name))
        for one in self.run(self.buffer.open_partitions(name))[:count]:
            batch = self.run(self.buffer.seal(name, one.partition, max_size=100))
            assert batch is not None
            batches.append(batch)
        for batch in batches[:count]:
            self._take(name, batch)

    def _take(self, name: str, batch: Any) -> None:
        frames = self.run(self.buffer.read(batch))
        assert frames is not None
        for record in decode(decompress(batch.codec, b"".join(frames))):
            self.got[name].append(record["line"])
            self.sinks[name].waiting.remove(record["line"])
        self.run(self.buffer.acknowledge(batch))

    @rule(name=st.sampled_from(NAMES))
    def seal(self, name: str) -> None:
        for one in self.run(self.buffer.open_partitions(name)) if name in self.sinks else ():
            self.run(self.buffer.seal(name, one.partition, max_size=100))

    @rule(names=CHOICES)
    def reconfigure(self, names: tuple[str, ...]) -> None:
        for name, sink in self.sinks.items():
            sink.retired = name not in names
        self.sinks |= {name: Modelled() for name in names if name not in self.sinks}
        self.run(
            self.buffer.reconfigure(
                sinks=self._configured(),
                max_size=16 * MIB,
                when_full=WhenFull.BLOCK,
                codec=Codec.ZSTD,
                route=route,
            )
        )

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: str) -> None:
        self.run(self.buffer.remove_sink(name))
        sink = self.sinks.get(name)
        if sink is not None and sink.retired:
            self._gone([name])

    @rule()
    def restart(self) -> None:
        self.run(self.buffer.close())
        self.buffer = self.run(self._open())
        assert self.buffer.recovered is None
        self._gone([name for name, sink in self.sinks.items() if sink.retired])

    def _gone(self, names: list[str]) -> None:
        gone = [self.sinks.pop(name) for name in names]
        others = {text for sink in self.sinks.values() for text in sink.own}
        self.lost += len({text for sink in gone for text in sink.waiting} - others)
        for name, sink in zip(names, gone, strict=True):
            self.dropped += len(sink.waiting)
            self.expected[name] = [text for text in self.expected[name] if text not in sink.waiting]

    # ---- what must hold at any time ----

    @invariant()
    def everyone_is_still_to_get_what_the_model_says(self) -> None:
        if not hasattr(self, "buffer"):
            return
        backlog = dict(self.buffer.stats().backlog_records)
        assert backlog.pop(WITNESS) >= 0
        assert backlog == {name: len(sink.waiting) for name, sink in self.sinks.items()}
        for name, texts in self.expected.items():
            waiting = self.sinks[name].waiting if name in self.sinks else []
            assert sorted([*self.got[name], *waiting]) == sorted(texts)

    @invariant()
    def every_loss_is_counted_and_has_a_gap(self) -> None:
        if not hasattr(self, "buffer"):
            return
        for one in self.run(self.buffer.open_partitions(WITNESS)):
            batch = self.run(self.buffer.seal(WITNESS, one.partition, max_size=MIB))
            assert batch is not None
            frames = self.run(self.buffer.read(batch))
            assert frames is not None
            for record in decode(decompress(batch.codec, b"".join(frames))):
                self.seen_lost += record["lost"]
            self.run(self.buffer.acknowledge(batch))
        assert self.seen_lost == self.lost
        dropped = (value for key, value in self.meter.counts.items() if key[0] == "records_dropped_total")
        assert sum(dropped) == self.dropped

    @invariant()
    def frames_that_nobody_needs_go(self) -> None:
        if not hasattr(self, "buffer"):
            return
        needed = {text for sink in self.sinks.values() for text in sink.waiting}
        for _ in range(2):
            self.run(self.buffer.cursors())  # lets a sweep come in between
        assert len(needed) <= self.buffer.stats().frames <= len(needed) * 4 / 3


TestSinks = SinksMachine.TestCase
TestSinks.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
