"""A sink in memory: an archive that ends in the same state when a batch is sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from shipper.model import Batch, Partition
from shipper.sinks.port import Delivered, Outcome

Answer = Outcome | Callable[[Batch], Awaitable[Outcome]]


@dataclass
class FakeSink:
    """Answers from `script`, then with `otherwise`; each attempt takes `seconds`."""

    name: str = "archive"
    concurrency: int = 4
    script: list[Answer] = field(default_factory=list)
    otherwise: Answer = field(default_factory=Delivered)
    seconds: float = 0.01
    objects: dict[tuple[Partition, str], bytes] = field(default_factory=dict)
    attempts: list[tuple[float, Batch]] = field(default_factory=list)
    most_at_once: int = 0
    violations: list[str] = field(default_factory=list)
    _under_way: list[Batch] = field(default_factory=list)

    async def open(self) -> None: ...

    async def send(self, batch: Batch, frames: Sequence[bytes]) -> Outcome:
        self._began(batch)
        try:
            answer = self.script.pop(0) if self.script else self.otherwise
            await asyncio.sleep(self.seconds)
            outcome = await answer(batch) if callable(answer) else answer
            if isinstance(outcome, Delivered):
                self._store(batch, frames)
            return outcome
        finally:
            self._under_way.remove(batch)

    async def check(self) -> Outcome:
        return Delivered()

    async def aclose(self) -> None: ...

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.attempts]

    @property
    def names(self) -> list[str]:
        return [batch.name for _, batch in self.attempts]

    def _began(self, batch: Batch) -> None:
        self._must(batch.sink == self.name, "a batch of another sink")
        self._must(
            all(one.partition != batch.partition for one in self._under_way), "two of one partition at once"
        )
        self._under_way.append(batch)
        self.most_at_once = max(self.most_at_once, len(self._under_way))
        self._must(self.most_at_once <= self.concurrency, "more at once than the sink wants")
        self.attempts.append((asyncio.get_running_loop().time(), batch))

    def _store(self, batch: Batch, frames: Iterable[bytes]) -> None:
        data = b"".join(frames)
        self._must(len(data) == batch.size, "other bytes than were sealed")
        self._must(
            self.objects.setdefault((batch.partition, batch.name), data) == data,
            "another object of this name",
        )

    def _must(self, holds: bool, violation: str) -> None:
        """Remembered and not raised: a worker rightly goes on when a sink raises."""
        if not holds:
            self.violations.append(violation)
