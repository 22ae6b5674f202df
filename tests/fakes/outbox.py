"""A buffer in memory, for tests of delivery. It passes the same conformance tests as the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import orjson

from shipper.errors import BufferUnavailable
from shipper.model import Batch, Carried, Codec, DeadLetter, Frame, Kind, Partition


@dataclass(frozen=True, slots=True)
class FakeOpenPartition:
    partition: Partition
    codec: Codec
    frames: int
    records: int
    size: int
    oldest_committed_ms: int


@dataclass(frozen=True, slots=True)
class FakeStats:
    backlog_records: dict[str, int]
    oldest_committed_ms: dict[str, int]


@dataclass(slots=True)
class _Row:
    number: int
    frame: Frame
    committed_ms: int
    open_for: set[str]
    unsettled_for: set[str]


@dataclass
class FakeOutbox:
    """Each coroutine can be cancelled before and after it did its work; `refusals` makes the next ones raise."""

    sinks: Sequence[str]
    clock: Callable[[], float]
    refusals: int = 0
    damaged: set[int] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    rejected: list[tuple[Batch, str]] = field(default_factory=list)
    acknowledged: list[Batch] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    states: dict[tuple[str, Partition], Carried] = field(default_factory=dict)
    _rows: dict[int, _Row] = field(default_factory=dict)
    _members: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _batches: dict[int, Batch] = field(default_factory=dict)
    _events: dict[str, asyncio.Event] = field(default_factory=dict)
    _next: int = 0

    async def commit(self, frames: Sequence[Frame], cursors: Sequence[object] = ()) -> None:
        for frame in frames:
            self._next += 1
            sinks = set(self.sinks)
            self._rows[self._next] = _Row(self._next, frame, int(self.clock() * 1000), sinks, set(sinks))
        for event in self._events.values():
            event.set()

    def subscribe(self, sink: str) -> asyncio.Event:
        return self._events.setdefault(sink, asyncio.Event())

    def stats(self) -> FakeStats:
        backlog = dict.fromkeys(self.sinks, 0)
        oldest: dict[str, int] = {}
        for row in self._rows.values():
            for sink in row.unsettled_for:
                backlog[sink] += row.frame.records
                oldest[sink] = min(oldest.get(sink, row.committed_ms), row.committed_ms)
        for (sink, _), carried in self.states.items():
            backlog[sink] += carried.records
            if carried.records:
                oldest[sink] = min(oldest.get(sink, carried.since_ms), carried.since_ms)
        return FakeStats(backlog, oldest)

    async def open_partitions(self, sink: str) -> list[FakeOpenPartition]:
        await self._working("open_partitions")
        found: dict[Partition, list[_Row]] = {}
        for row in self._rows.values():
            if sink in row.open_for:
                found.setdefault(row.frame.partition, []).append(row)
        return [
            FakeOpenPartition(
                partition,
                rows[0].frame.codec,
                len(rows),
                sum(row.frame.records for row in rows),
                sum(len(row.frame.data) for row in rows),
                min(row.committed_ms for row in rows),
            )
            for partition, rows in found.items()
        ]

    async def sealed(self, sink: str) -> list[Batch]:
        await self._working("sealed")
        return [batch for batch in self._batches.values() if batch.sink == sink]

    async def seal(self, sink: str, partition: Partition, *, max_size: int) -> Batch | None:
        await self._working("seal")
        taken: list[_Row] = []
        size = 0
        for row in self._rows.values():
            if sink not in row.open_for or row.frame.partition != partition:
                continue
            if taken and (
                size + len(row.frame.data) > max_size or row.frame.codec is not taken[0].frame.codec
            ):
                break
            taken.append(row)
            size += len(row.frame.data)
        if not taken:
            return None
        self._next += 1
        batch = Batch(
            batch_id=self._next,
            sink=sink,
            partition=partition,
            name=f"{min(row.frame.first_ms for row in taken):013d}-{taken[0].number}-{taken[-1].number}",
            codec=taken[0].frame.codec,
            records=sum(row.frame.records for row in taken),
            size=size,
            first_ms=min(row.frame.first_ms for row in taken),
            last_ms=max(row.frame.last_ms for row in taken),
        )
        for row in taken:
            row.open_for.discard(sink)
        self._batches[batch.batch_id] = batch
        self._members[batch.batch_id] = tuple(row.number for row in taken)
        await self._worked()
        return batch

    async def read(self, batch: Batch) -> list[bytes] | None:
        await self._working("read")
        members = self._members.get(batch.batch_id)
        if members is None:
            return None
        damaged = [number for number in members if number in self.damaged or number not in self._rows]
        if not damaged:
            return [self._rows[number].frame.data for number in members]
        for number in damaged:
            self._rows.pop(number, None)
        for number in set(members) - set(damaged):
            self._rows[number].open_for.add(batch.sink)
        self._forget(batch)
        return None

    async def acknowledge(self, batch: Batch, carried: Carried | None = None) -> None:
        await self._working("acknowledge")
        if batch.batch_id in self._batches:
            self.acknowledged.append(batch)
            self._settle(batch)
            if carried is not None:
                self._store(batch.sink, carried)
        await self._worked()

    async def reject(self, batch: Batch, reason: str) -> None:
        await self._working("reject")
        if batch.batch_id in self._batches:
            self.rejected.append((batch, reason))
            self._settle(batch)
        await self._worked()

    async def progressed(self, batch: Batch, done: int, plan: str) -> None:
        await self._working("progressed")
        if batch.batch_id in self._batches:
            self._batches[batch.batch_id] = replace(self._batches[batch.batch_id], done=done, plan=plan)
        await self._worked()

    async def carried(self, sink: str) -> list[Carried]:
        await self._working("carried")
        return [carried for (owner, _), carried in self.states.items() if owner == sink]

    async def carry(self, sink: str, carried: Carried) -> None:
        await self._working("carry")
        self._store(sink, carried)
        await self._worked()

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        await self._working("bury")
        for letter in letters:
            self.letters.append(replace(letter, letter_id=len(self.letters) + 1))
        await self._worked()

    def _store(self, sink: str, carried: Carried) -> None:
        if carried.state:
            self.states[sink, carried.partition] = carried
        else:
            self.states.pop((sink, carried.partition), None)

    def give_up(self, batch: Batch) -> None:
        """As a buffer does that is full and told to drop the oldest."""
        self._settle(batch)

    def _settle(self, batch: Batch) -> None:
        for number in self._members[batch.batch_id]:
            row = self._rows[number]
            row.unsettled_for.discard(batch.sink)
            if not row.unsettled_for:
                del self._rows[number]
        self._forget(batch)

    def _forget(self, batch: Batch) -> None:
        del self._batches[batch.batch_id], self._members[batch.batch_id]

    async def _working(self, call: str) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)
        if self.refusals > 0:
            self.refusals -= 1
            raise BufferUnavailable("database or disk is full")

    async def _worked(self) -> None:
        await asyncio.sleep(0)


def frame(
    app: str = "shop",
    *,
    records: int = 1,
    size: int = 10,
    at_ms: int = 0,
    hour: int = 0,
    kind: Kind = Kind.LOGS,
) -> Frame:
    """A frame of any partition; its bytes tell the app and never repeat by themselves."""
    return Frame(
        partition=Partition(kind, "acme", app, hour),
        codec=Codec.NONE,
        records=records,
        first_ms=at_ms,
        last_ms=at_ms,
        raw_size=size,
        data=(f"{app}@{at_ms};" * size)[:size].encode(),
    )


def lines(*texts: str, app: str = "shop", at_ms: int = 0, kind: Kind = Kind.LOGS) -> Frame:
    """A frame of records with these lines."""
    data = b"".join(
        orjson.dumps({"timestamp_ms": at_ms, "app": app, "line": text}, option=orjson.OPT_APPEND_NEWLINE)
        for text in texts
    )
    partition = Partition(kind, "acme", app, 0)
    return Frame(partition, Codec.NONE, len(texts), at_ms, at_ms, len(data), data)
