"""A sink of records in memory, with the limits of an intake: at least once, in parcels of a few."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from shipper.entry import Entry
from shipper.model import Partition
from shipper.sinks.port import Answer, Delivered, Outcome, Parcel

Texts = tuple[str, ...]
Judge = Callable[[Texts], Answer | Awaitable[Answer]]


def accept(_: Texts) -> Answer:
    return Delivered()


@dataclass
class FakeRecordSink:
    """Answers from `script`, then as `judge` says of the texts; each request takes `seconds`.

    Texts that begin with `unwanted` are left out and counted. `most`: entries in a parcel.
    """

    name: str = "logs"
    concurrency: int = 3
    most: int = 4
    seconds: float = 0.01
    script: list[Answer] = field(default_factory=list)
    judge: Judge = accept
    accepted: list[Texts] = field(default_factory=list)
    requests: list[tuple[float, Texts, Answer | None]] = field(default_factory=list)
    packed: int = 0
    under_way: int = 0
    most_at_once: int = 0
    violations: list[str] = field(default_factory=list)

    async def open(self) -> None: ...

    def pack(self, partition: Partition, entries: Sequence[Entry]) -> Iterator[Parcel]:
        wanted = [n for n, entry in enumerate(entries) if not entry.text.startswith("unwanted")]
        start = 0
        while True:
            mine, wanted = wanted[: self.most], wanted[self.most :]
            stop = wanted[0] if wanted else len(entries)
            left_out = sum(entry.lines for entry in entries[start:stop] if entry.text.startswith("unwanted"))
            body = tuple(entries[n].text for n in mine) or None
            self.packed += 1
            yield Parcel(start, stop, stop, body, {"unwanted": left_out} if left_out else {})
            start = stop
            if not wanted:
                return

    async def send(self, parcel: Parcel) -> Answer:
        assert isinstance(parcel.body, tuple)
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        if self.under_way > self.concurrency:
            self.violations.append("more at once than the sink wants")
        began = asyncio.get_running_loop().time()
        answer: Answer | None = None
        try:
            await asyncio.sleep(self.seconds)
            answer = await self._answer(parcel.body)
            if isinstance(answer, Delivered):
                self.accepted.append(parcel.body)
            return answer
        finally:
            self.under_way -= 1
            self.requests.append((began, parcel.body, answer))

    async def _answer(self, texts: Texts) -> Answer:
        if self.script:
            return self.script.pop(0)
        answer = self.judge(texts)
        return await answer if isinstance(answer, Awaitable) else answer

    async def check(self) -> Outcome:
        return Delivered()

    async def aclose(self) -> None: ...

    @property
    def texts(self) -> list[str]:
        """Everything that was accepted, in that order."""
        return [text for texts in self.accepted for text in texts]

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.texts)
