"""The buffer against a model of lists: any order of commits, seals, answers of sinks, letters and restarts."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from shipper.archive.codec import decode, decompress
from shipper.buffer import Buffer, FrameDraft, LetterFilter, WhenFull, make_frames
from shipper.model import Batch, Carried, Codec, CursorWrite, DeadLetter, Frame, Kind, Partition
from tests.buffer_files import MIB, lines, partition
from tests.fakes.meter import FakeMeter

T = TypeVar("T")

NOBODYS = "nobodys"
SINKS: dict[str, frozenset[Kind] | None] = {"all": None, "logs": frozenset({Kind.LOGS})}
APPS = st.sampled_from(["a", "b"])
COMMITTED = st.sampled_from(["a", "b", NOBODYS])
STATES = st.builds(
    lambda app, kind, size, records: Carried(
        partition(app, kind=kind), bytes(size), records if size else 0, 1_760_400_000_000
    ),
    APPS,
    st.sampled_from([Kind.LOGS, Kind.EVENTS]),
    st.sampled_from([0, 1, 9000]),
    st.integers(0, 3),
)
KINDS = st.sampled_from([Kind.LOGS, Kind.EVENTS])


FILE, LOG = "buffer.sqlite3", "buffer.sqlite3-wal"
_SALTS = slice(
    0, 32
)  # of the log's header: another log has others (https://sqlite.org/fileformat2.html#walformat)


def _appended(before: dict[str, bytes], after: dict[str, bytes]) -> bool:
    """Whether all that happened between is that the log grew."""
    old, new = before.get(LOG, b""), after.get(LOG, b"")
    return (
        before[FILE] == after[FILE] and len(old) < len(new) and old[_SALTS] == new[_SALTS] and len(old) >= 32
    )


def route(where: Partition) -> frozenset[str]:
    return frozenset(SINKS if where.app != NOBODYS else ())


class BufferMachine(RuleBasedStateMachine):
    """`open` and `sealed` are what each sink is still to get; gaps are looked at by number only."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="buffer-"))
        self.meter = FakeMeter()
        self.number = 0
        self.cursors: dict[str, bytes] = {}
        self.open: dict[str, dict[Partition, list[Frame]]] = {name: defaultdict(list) for name in SINKS}
        self.sealed: dict[str, list[tuple[Batch, list[Frame]]]] = {name: [] for name in SINKS}
        self.settled: list[Batch] = []
        self.carried: dict[str, dict[Partition, Carried]] = {name: {} for name in SINKS}
        self.letters: list[DeadLetter] = []
        self.buried = 0
        self.unrouted = 0
        self.rejected = 0
        self.gaps = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(coroutine)

    async def _open(self) -> Buffer:
        return await Buffer.open(
            self.directory,
            max_size=16 * MIB,
            when_full=WhenFull.BLOCK,
            sinks=SINKS,
            meter=self.meter,
            codec=Codec.ZSTD,
            clock=lambda: 1_760_400_000.0 + self.number,
            route=route,
        )

    @initialize()
    def start(self) -> None:
        self.buffer = self.run(self._open())

    def teardown(self) -> None:
        if hasattr(self, "buffer"):
            self.run(self.buffer.close())
        self.runner.close()
        shutil.rmtree(self.directory)

    # ---- rules ----

    @rule(
        commits=st.lists(st.tuples(COMMITTED, KINDS, st.integers(1, 3)), max_size=4),
        key=st.sampled_from("xyz"),
    )
    def commit(self, commits: list[tuple[str, Kind, int]], key: str) -> None:
        frames = []
        for app, kind, count in commits:
            self.number += 1
            texts = [f"{self.number}-{index}" for index in range(count)]
            frames.append(
                lines(*texts, where=partition(app, kind=kind), at=1_760_400_000_000 + self.number % 7)
            )
        state = str(self.number).encode()
        done = self.run(self.buffer.commit(frames, [CursorWrite(key, state)]))
        taken = [number for number in done.frame_ids if number]
        assert len(set(taken)) == sum(1 for one in frames if one.partition.app != NOBODYS)
        self._committed(frames, key, state)

    def _committed(self, frames: list[Frame], key: str, state: bytes) -> None:
        self.unrouted += sum(one.records for one in frames if one.partition.app == NOBODYS)
        self.cursors[key] = state
        for frame in frames:
            for sink, kinds in SINKS.items():
                if frame.partition.app != NOBODYS and (kinds is None or frame.partition.kind in kinds):
                    self.open[sink][frame.partition].append(frame)

    @rule(sink=st.sampled_from(sorted(SINKS)), app=APPS, kind=KINDS, size=st.sampled_from([1, 150, MIB]))
    def seal(self, sink: str, app: str, kind: Kind, size: int) -> None:
        where = partition(app, kind=kind)
        waiting = self.open[sink][where]
        batch = self.run(self.buffer.seal(sink, where, max_size=size))
        if batch is None:
            assert not waiting
            return
        members, total = [], 0
        while waiting and (not members or total + len(waiting[0].data) <= size):
            total += len(waiting[0].data)
            members.append(waiting.pop(0))
        assert (batch.size, batch.records) == (total, sum(one.records for one in members))
        self.sealed[sink].append((batch, members))

    @precondition(lambda self: any(self.sealed.values()))
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        batch, _ = self._take(data)
        self.run(self.buffer.acknowledge(batch))

    @precondition(lambda self: any(self.sealed.values()))
    @rule(data=st.data(), state=STATES)
    def acknowledge_and_carry(self, data: st.DataObject, state: Carried) -> None:
        batch, _ = self._take(data)
        state = replace(state, partition=batch.partition)
        self.run(self.buffer.acknowledge(batch, state))
        self._carries(batch.sink, state)

    @rule(sink=st.sampled_from(sorted(SINKS)), state=STATES)
    def carry(self, sink: str, state: Carried) -> None:
        self.run(self.buffer.carry(sink, state))
        self._carries(sink, state)

    @precondition(lambda self: any(self.sealed.values()))
    @rule(data=st.data(), done=st.integers(0, 5), plan=st.sampled_from("pq"))
    def progressed(self, data: st.DataObject, done: int, plan: str) -> None:
        sink = data.draw(st.sampled_from([name for name in SINKS if self.sealed[name]]))
        index = data.draw(st.integers(0, len(self.sealed[sink]) - 1))
        batch, members = self.sealed[sink][index]
        self.run(self.buffer.progressed(batch, done, plan))
        self.sealed[sink][index] = (replace(batch, done=done, plan=plan), members)

    @rule(
        letters=st.lists(
            st.tuples(st.sampled_from(sorted(SINKS)), APPS, st.sampled_from(["no", "never"])), max_size=4
        )
    )
    def bury(self, letters: list[tuple[str, str, str]]) -> None:
        made = []
        for sink, app, reason in letters:
            self.number += 1
            self.buried += 1
            record = b'{"line":"%d"}\n' % self.number
            made.append(
                DeadLetter(sink, partition(app), self.number, self.number, reason, record, self.buried)
            )
        self.run(self.buffer.bury([replace(one, letter_id=0) for one in made]))
        self.letters += made

    @rule(sink=st.sampled_from([None, *sorted(SINKS)]), reason=st.sampled_from(["", "no", "never"]))
    def drop_letters(self, sink: str | None, reason: str) -> None:
        meant = self._meant(sink, reason)
        assert self.run(self.buffer.letters.drop(LetterFilter(sink=sink, reason=reason))) == len(meant)

    @rule(sink=st.sampled_from([None, *sorted(SINKS)]), reason=st.sampled_from(["", "no", "never"]))
    def replay_letters(self, sink: str | None, reason: str) -> None:
        meant = self._meant(sink, reason)
        assert self.run(self.buffer.letters.replay(LetterFilter(sink=sink, reason=reason))) == len(meant)
        drafts: dict[str, dict[Partition, FrameDraft]] = defaultdict(dict)
        for one in meant:
            at = one.timestamp_ms
            draft = drafts[one.sink].setdefault(one.partition, FrameDraft([], at, at, 0))
            draft.add([one.record], at, at)
        for name, partitions in drafts.items():
            for frame in make_frames(partitions, Codec.ZSTD):
                self.open[name][frame.partition].append(frame)

    @precondition(lambda self: any(self.sealed.values()))
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        batch, _ = self._take(data)
        self.run(self.buffer.reject(batch, "no"))
        self.rejected += batch.records
        if batch.sink == "all":  # the other sink takes no gap records
            self.gaps += 1

    @precondition(lambda self: self.settled)
    @rule(data=st.data(), answer=st.sampled_from(["acknowledge", "reject", "attempted", "read"]))
    def answer_again(self, data: st.DataObject, answer: str) -> None:
        batch = data.draw(st.sampled_from(self.settled))
        if answer == "reject":
            self.run(self.buffer.reject(batch, "no"))
        else:
            assert self.run(getattr(self.buffer, answer)(batch)) is None

    @precondition(lambda self: any(self.sealed.values()))
    @rule(data=st.data())
    def attempted(self, data: st.DataObject) -> None:
        sink = data.draw(st.sampled_from([name for name in SINKS if self.sealed[name]]))
        index = data.draw(st.integers(0, len(self.sealed[sink]) - 1))
        batch, members = self.sealed[sink][index]
        self.run(self.buffer.attempted(batch))
        self.sealed[sink][index] = (replace(batch, attempts=batch.attempts + 1), members)

    @rule()
    def restart(self) -> None:
        self.run(self.buffer.close())
        self.buffer = self.run(self._open())
        assert self.buffer.recovered is None

    @rule()
    def crash(self) -> None:
        """What every call that has returned did is in the files."""
        self._reborn(self.run(self._image()))

    @rule(
        sizes=st.lists(st.integers(1, 30), min_size=1, max_size=3),
        key=st.sampled_from("xyz"),
        part=st.floats(0, 1),
    )
    def crash_in_the_middle_of_a_commit(self, sizes: list[int], key: str, part: float) -> None:
        """The log ends anywhere in what the commit wrote: all of the commit is there, or nothing."""
        frames = []
        for count in sizes:
            self.number += 1
            texts = [f"{self.number}-{index}" for index in range(count)]
            frames.append(lines(*texts, where=partition("a"), at=1_760_400_000_000 + self.number % 7))
        state = str(self.number).encode()
        before = self.run(self._image())
        self.run(self.buffer.commit(frames, [CursorWrite(key, state)]))
        after = self.run(self._image())
        if not _appended(before, after):  # the log was begun anew, which is another crash
            self._committed(frames, key, state)
            return
        start, end = len(before[LOG]), len(after[LOG])
        self._reborn({**after, LOG: after[LOG][: start + round((end - start) * part)]})
        found = {one.key: one.state for one in self.run(self.buffer.cursors())}
        if found.get(key) == state:
            self._committed(frames, key, state)

    async def _image(self) -> dict[str, bytes]:
        """The files between two jobs, as the kernel would keep them for a process that was killed."""

        def read() -> dict[str, bytes]:
            return {
                name: path.read_bytes() for name in (FILE, LOG) if (path := self.directory / name).exists()
            }

        return await asyncio.wrap_future(self.buffer._executor.submit(read))

    def _reborn(self, image: dict[str, bytes]) -> None:
        """Another process opens these files. Its counters begin at nothing."""
        self.run(self.buffer.close())
        shutil.rmtree(self.directory)
        self.directory.mkdir()
        for name, content in image.items():
            (self.directory / name).write_bytes(content)
            (self.directory / name).chmod(0o600)
        self.meter = FakeMeter()
        self.unrouted = self.rejected = 0
        self.buffer = self.run(self._open())
        assert self.buffer.recovered is None

    def _take(self, data: st.DataObject) -> tuple[Batch, list[Frame]]:
        sink = data.draw(st.sampled_from([name for name in SINKS if self.sealed[name]]))
        found = self.sealed[sink].pop(data.draw(st.integers(0, len(self.sealed[sink]) - 1)))
        self.settled.append(found[0])
        return found

    def _carries(self, sink: str, state: Carried) -> None:
        self.carried[sink].pop(state.partition, None)
        if state.state:
            self.carried[sink][state.partition] = state

    def _meant(self, sink: str | None, reason: str) -> list[DeadLetter]:
        """Letters that go now."""
        meant = [one for one in self.letters if sink in (None, one.sink) and reason in one.reason]
        self.letters = [one for one in self.letters if one not in meant]
        return meant

    # ---- what must hold at any time ----

    @invariant()
    def sinks_are_still_to_get_what_the_model_says(self) -> None:
        if not hasattr(self, "buffer"):
            return
        stats = self.buffer.stats()
        for sink in SINKS:
            opened = {
                one.partition: (one.frames, one.records, one.size)
                for one in self.run(self.buffer.open_partitions(sink))
                if one.partition.kind is not Kind.GAPS
            }
            expected = {
                where: (len(frames), sum(one.records for one in frames), sum(len(one.data) for one in frames))
                for where, frames in self.open[sink].items()
                if frames
            }
            assert opened == expected
            sealed = self.run(self.buffer.sealed(sink))
            assert sealed == [batch for batch, _ in self.sealed[sink]]
            waiting = sum(records for _, records, _ in opened.values()) + sum(one.records for one in sealed)
            waiting += sum(one.records for one in self.carried[sink].values())
            assert stats.backlog_records[sink] == waiting + (self.gaps if sink == "all" else 0)

    @invariant()
    def batches_read_as_they_were_committed(self) -> None:
        for batches in self.sealed.values():
            for batch, members in batches[:2]:
                frames = self.run(self.buffer.read(batch))
                assert frames == [one.data for one in members]
                assert len(list(decode(decompress(batch.codec, b"".join(frames))))) == batch.records

    @invariant()
    def cursors_are_the_last_that_were_committed(self) -> None:
        if hasattr(self, "buffer"):
            assert {one.key: one.state for one in self.run(self.buffer.cursors())} == self.cursors

    @invariant()
    def carried_state_is_the_last_that_was_written(self) -> None:
        if hasattr(self, "buffer"):
            for sink, states in self.carried.items():
                found = self.run(self.buffer.carried(sink))
                assert {one.partition: one for one in found} == states

    @invariant()
    def letters_are_those_that_nobody_dropped_or_replayed(self) -> None:
        if not hasattr(self, "buffer"):
            return
        assert self.run(self.buffer.letters.page(LetterFilter(), newest_first=False)) == self.letters
        totals = self.buffer.stats().dead_letters
        assert sum(one.letters for one in totals.values()) == len(self.letters)

    @invariant()
    def frames_are_kept_as_long_as_someone_needs_them_and_not_much_longer(self) -> None:
        if not hasattr(self, "buffer"):
            return
        needed = {
            id(frame)
            for sink in SINKS
            for frames in [*self.open[sink].values(), *(members for _, members in self.sealed[sink])]
            for frame in frames
        }
        for _ in range(2):
            self.run(self.buffer.cursors())  # lets a sweep come in between
        stored, kept = self.buffer.stats().frames, len(needed) + self.gaps
        assert kept <= stored <= kept * 4 / 3
        assert (
            sum(value for key, value in self.meter.counts.items() if key[0] == "records_dropped_total")
            == self.rejected
        )
        assert (
            self.meter.counts["records_unrouted_total", "logs", "no_route"]
            + self.meter.counts["records_unrouted_total", "events", "no_route"]
            == self.unrouted
        )


TestBuffer = BufferMachine.TestCase
TestBuffer.settings = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
