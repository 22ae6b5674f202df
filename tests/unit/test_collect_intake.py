"""Intake commits records with their cursors, soon and together, and holds the readers when the buffer does not take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from shipper.archive.codec import LogIdentity
from shipper.backoff import Backoff, FullJitter
from shipper.collect.intake import COMMIT_AT, HOLD_AT, Intake
from shipper.errors import BufferFull, BufferUnavailable
from shipper.model import App, Codec, CursorWrite, Frame, Gap, GapReason, Kind
from tests.fakes.collection import wall, wall_ms
from tests.fakes.durable import FakeDurable
from tests.fakes.meter import FakeMeter
from tests.virtual_time import settle, virtual_time

APP = App("acme-corp", "checkout")
WHO = LogIdentity("acme-corp", "checkout", "checkout-1", "", "")
HOUR_MS = 3_600_000
NOON = 1_716_897_600_000


@dataclass
class Counting:
    """A cursor that is the number of lines it covers."""

    key: str = "k"
    lines: int = 0

    def write(self) -> CursorWrite:
        return CursorWrite(self.key, str(self.lines).encode())


@dataclass
class Reader:
    """Takes lines as a subscription does."""

    intake: Intake
    cursor: Counting = field(default_factory=Counting)

    async def take(self, *texts: str, at_ms: int = NOON, step_ms: int = 0) -> None:
        times = [at_ms + i * step_ms for i in range(len(texts))]
        self.cursor.lines += len(texts)
        self.intake.take_logs(WHO, times, ["stdout"] * len(texts), texts, self.cursor)
        await self.intake.admit()


@asynccontextmanager
async def taking(durable: FakeDurable | None = None) -> AsyncIterator[tuple[Reader, FakeDurable]]:
    durable = durable or FakeDurable(wall_ms)
    intake = Intake(
        durable, Codec.NONE, FakeMeter(), clock=wall, backoff=Backoff(jitter=FullJitter(cap_s=1.0))
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(intake.run())
        try:
            yield Reader(intake), durable
        except BaseException:
            running.cancel()
            raise
        await intake.close()


def covered(durable: FakeDurable) -> int:
    """What the committed cursor says was taken."""
    return sum(int(stored.state) for stored in durable.cursors())


@virtual_time
async def test_no_record_waits_longer_than_a_quarter_of_a_second() -> None:
    async with taking() as (reader, durable):
        loop = asyncio.get_running_loop()
        for n in range(300):
            await reader.take(f"line {n}")
            await asyncio.sleep(0.013)
        commits = durable.commits
        assert all(later - earlier < 0.25 for earlier, later in pairwise(commits))
        await asyncio.sleep(3)
        began = loop.time()
        await reader.take("after a silence")
        await asyncio.sleep(0.25)
        assert began < durable.commits[-1] <= began + 0.25
        assert len(durable.commits) < 30


@virtual_time
async def test_an_idle_intake_commits_nothing() -> None:
    async with taking() as (_, durable):
        await asyncio.sleep(100)
        assert durable.commits == []


@virtual_time
async def test_a_commit_holds_exactly_the_lines_that_its_cursor_counts() -> None:
    async with taking() as (reader, durable):
        for n in range(200):
            await reader.take(*(f"line {n} {i}" for i in range(n % 5 + 1)))
            await asyncio.sleep(0.01)
            assert durable.log_lines == covered(durable)


@virtual_time
async def test_much_at_once_is_committed_at_once() -> None:
    async with taking() as (reader, durable):
        await reader.take("x" * COMMIT_AT)
        await asyncio.sleep(0.01)
        assert durable.log_lines == 1


@virtual_time
async def test_settled_waits_for_what_was_taken_before_and_for_nothing_else() -> None:
    """For a commit under way too, for as long as the buffer refuses; what comes meanwhile does not prolong it."""
    durable = FakeDurable(wall_ms, commit_s=1.0)
    async with taking(durable) as (reader, _):
        await reader.intake.settled()
        await reader.take("a")
        await asyncio.sleep(0.5)  # being committed
        durable.troubles = [BufferUnavailable("no")] * 2
        await reader.take("b")
        settling = asyncio.create_task(reader.intake.settled())
        while not settling.done():
            await reader.take("more")
            await asyncio.sleep(0.1)
        assert covered(durable) >= 2
        assert covered(durable) < reader.cursor.lines


@virtual_time
async def test_readers_wait_while_too_much_is_pending_and_go_on_in_order() -> None:
    async with taking() as (reader, durable):
        durable.troubles = [BufferFull("no room")] * 1000
        mib = "x" * (1024 * 1024)
        taken = 0

        async def read() -> None:
            nonlocal taken
            for n in range(60):
                await reader.take(f"{n} {mib}")
                taken += 1

        reading = asyncio.get_running_loop().create_task(read())
        await asyncio.sleep(60)
        assert reader.intake.holding
        assert durable.lines() == []
        held = taken
        assert held <= 2 * HOLD_AT // len(mib) + 1  # what is being committed, and what is gathered meanwhile
        await asyncio.sleep(60)
        assert taken == held
        durable.troubles.clear()
        durable.space.set()
        await reading
        await reader.intake.close()
        await asyncio.sleep(1)
        assert [str(text).split()[0] for text in durable.texts()] == [str(n) for n in range(60)]
        assert not reader.intake.holding


@virtual_time
async def test_many_readers_take_at_most_one_chunk_each_beyond_the_bound() -> None:
    async with taking() as (reader, durable):
        durable.troubles = [BufferUnavailable("read-only")] * 100_000
        chunk = "x" * (HOLD_AT // 16)

        async def read() -> None:
            while True:
                await reader.take(chunk)
                await asyncio.sleep(0.001)

        loop = asyncio.get_running_loop()
        readers = [loop.create_task(read()) for _ in range(8)]
        await asyncio.sleep(30)
        assert reader.cursor.lines <= 16 + 16 // 4 + 2 * 8
        for task in readers:
            task.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        durable.troubles.clear()


@virtual_time
async def test_of_many_readers_that_waited_no_more_go_on_than_there_is_room_for_in_their_order() -> None:
    async with taking(FakeDurable(wall_ms, commit_s=1.0)) as (reader, durable):
        chunk = "x" * (HOLD_AT // 4)
        went_on: list[int] = []

        async def read(number: int) -> None:
            await reader.intake.admit()
            went_on.append(number)
            await reader.take(chunk)

        loop = asyncio.get_running_loop()
        readers = [loop.create_task(read(number)) for number in range(100)]
        await asyncio.sleep(0.5)
        assert len(went_on) == 4 + 4
        await asyncio.sleep(1.0)
        assert len(went_on) == 4 + 4 + 4
        late = loop.create_task(read(100))
        await asyncio.gather(late, *readers)
        assert went_on == [*range(101)]
        await reader.intake.settled()
        assert durable.log_lines == 101


@virtual_time
async def test_a_reader_that_is_given_up_while_it_waits_leaves_the_others_waiting_in_order() -> None:
    async with taking(FakeDurable(wall_ms, commit_s=1.0)) as (reader, durable):
        went_on: list[int] = []

        async def read(number: int) -> None:
            await reader.intake.admit()
            went_on.append(number)
            await reader.take("x" * HOLD_AT)

        loop = asyncio.get_running_loop()
        readers = [loop.create_task(read(number)) for number in range(8)]
        await asyncio.sleep(0.5)
        waiting = [number for number in range(8) if number not in went_on]
        for number in waiting[:3:2]:  # the one whose turn it is, and one behind it
            readers[number].cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        assert went_on == [number for number in range(8) if number not in waiting[:3:2]]
        await reader.intake.settled()
        assert durable.log_lines == 6


@dataclass
class Widths(FakeDurable):
    """Remembers how many cursors each commit had."""

    widths: list[int] = field(default_factory=list)

    async def commit(self, frames: Sequence[Frame], cursors: Sequence[CursorWrite]) -> None:
        self.widths.append(len(cursors))
        await super().commit(frames, cursors)


@virtual_time
async def test_thousands_of_cursors_with_a_line_each_are_not_one_commit() -> None:
    """A transaction of the buffer has to take all cursors of a commit at once, however small the frames are."""
    durable = Widths(wall_ms, commit_s=0.1)
    async with taking(durable) as (reader, _):

        async def read(number: int) -> None:
            await reader.intake.admit()
            await Reader(reader.intake, Counting(f"k{number}")).take("x")

        await asyncio.gather(*(read(number) for number in range(10_000)))
        await asyncio.sleep(1)
    assert durable.log_lines == covered(durable) == sum(durable.widths) == 10_000
    assert max(durable.widths) < 5_000


@virtual_time
async def test_a_line_of_each_of_thousands_of_replicas_holds_no_reader_and_is_in_transactions_of_some_hundred() -> (
    None
):
    """However slow the buffer is: each of them is a small thing to keep, and readers that wait are woken in vain."""
    durable = Widths(wall_ms, commit_s=1.0)
    async with taking(durable) as (reader, _):
        for number in range(2_000):
            assert not reader.intake.holding
            await Reader(reader.intake, Counting(f"k{number}")).take("x")
        settling = asyncio.create_task(reader.intake.settled())
        await settling
        assert durable.log_lines == covered(durable) == 2_000
    assert 300 < max(durable.widths) < 400


@virtual_time
async def test_what_was_closed_early_and_what_came_after_are_committed_in_order() -> None:
    """A cursor that comes again after its transaction was closed is in a later one with what it counts then."""
    durable = FakeDurable(wall_ms, commit_s=0.1)
    async with taking(durable) as (reader, _):
        often = Reader(reader.intake, Counting("often"))
        for number in range(1_000):
            await often.take(f"{number}")
            await Reader(reader.intake, Counting(f"k{number}")).take("x")
            if number % 100 == 0:
                await asyncio.sleep(0.03)
                assert durable.log_lines == covered(durable)
        await reader.intake.settled()
        assert durable.log_lines == covered(durable) == 2_000
        assert [text for text in durable.texts() if text != "x"] == [str(number) for number in range(1_000)]


@virtual_time
async def test_a_full_buffer_is_tried_again_when_it_has_space_and_not_before() -> None:
    async with taking() as (reader, durable):
        durable.troubles = [BufferFull("no room")] * 3
        await reader.take("one")
        for left in (2, 1, 0):
            await asyncio.sleep(100)
            assert len(durable.troubles) == left
            await reader.take("more")
            durable.space.set()
        await asyncio.sleep(1)
        assert durable.texts() == ["one", "more", "more", "more"]
        assert covered(durable) == 4


@virtual_time
async def test_a_disk_that_refuses_is_tried_again_until_it_takes() -> None:
    async with taking() as (reader, durable):
        durable.troubles = [BufferUnavailable("read-only file system")] * 12
        await reader.take("one")
        await asyncio.sleep(15)
        await reader.take("two")
        await asyncio.sleep(1)
        assert durable.texts() == ["one", "two"]
        assert covered(durable) == 2


@virtual_time
async def test_closing_commits_what_is_pending_without_delay() -> None:
    durable = FakeDurable(wall_ms)
    async with taking(durable) as (reader, _):
        await reader.take("one")
        await asyncio.sleep(0.25)
        await reader.take("two")
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 0.02
    assert durable.texts() == ["one", "two"]
    assert covered(durable) == 2


@virtual_time
async def test_closing_an_intake_that_has_nothing_returns() -> None:
    async with taking() as (_, durable):
        pass
    assert durable.commits == []


@virtual_time
async def test_closing_while_a_commit_is_under_way_commits_the_rest_too() -> None:
    durable = FakeDurable(wall_ms, commit_s=2.0)
    async with taking(durable) as (reader, _):
        await reader.take("one")
        await asyncio.sleep(0.5)
        await reader.take("two")
    assert durable.texts() == ["one", "two"]


@virtual_time
async def test_records_that_cross_an_hour_go_to_the_partition_of_their_own_hour() -> None:
    async with taking() as (reader, durable):
        await reader.take("a", "b", "c", "d", at_ms=NOON - 2, step_ms=1)
        await asyncio.sleep(0.3)
        hours = {
            frame.partition.hour: (frame.records, frame.first_ms, frame.last_ms) for frame in durable.frames
        }
        noon = NOON // HOUR_MS
        assert hours == {noon - 1: (2, NOON - 2, NOON - 1), noon: (2, NOON, NOON + 1)}
        assert covered(durable) == 4


@pytest.mark.parametrize("time", [0, -1, -(2**63), 2**63 - 1, 253_402_300_799_999, 253_402_300_800_000])
def test_times_that_are_absurd_are_partitioned_and_kept(time: int) -> None:
    @virtual_time
    async def body() -> None:
        async with taking() as (reader, durable):
            await reader.take("strange", at_ms=time)
            reader.intake.take_event(APP, time, b"{}\n", reader.cursor)
            await reader.take("usual")
            await asyncio.sleep(0.3)
            assert sorted((line.text, line.time) for line in durable.lines()) == [
                ("strange", time),
                ("usual", NOON),
            ]
            years = {frame.partition.hour // 8766 + 1970 for frame in durable.frames}
            assert min(years) >= 0 and max(years) <= 9999

    body()


@virtual_time
async def test_lines_of_many_hours_in_one_chunk_are_all_kept_in_order() -> None:
    async with taking() as (reader, durable):
        texts = [f"line {i}" for i in range(100)]
        await reader.take(*texts, at_ms=NOON, step_ms=HOUR_MS // 3)
        await reader.take("back again", at_ms=NOON)
        await asyncio.sleep(0.3)
        assert sorted(map(str, durable.texts())) == sorted([*texts, "back again"])
        assert all(frame.first_ms // HOUR_MS == frame.partition.hour for frame in durable.frames)


@virtual_time
async def test_a_gap_is_recorded_counted_and_ends_no_earlier_than_it_begins() -> None:
    async with taking() as (reader, durable):
        reader.intake.gap(APP, GapReason.ROTATED, wall_ms() + 5 * HOUR_MS, replica_id="checkout-1")
        reader.intake.take_gap(Gap(wall_ms(), APP, "", Kind.EVENTS, 0, 5, GapReason.TRUNCATED, lost=3))
        await asyncio.sleep(0.3)
        first, second = durable.gaps()
        assert first["from_ms"] == first["to_ms"]
        assert first["lost"] is None
        assert (second["from_ms"], second["to_ms"], second["lost"]) == (0, 5, 3)
        assert reader.intake.gaps == 2


@virtual_time
async def test_a_cursor_that_only_changed_is_committed_too() -> None:
    async with taking() as (reader, durable):
        reader.cursor.lines = 7
        reader.intake.touch(reader.cursor)
        await asyncio.sleep(0.3)
        assert covered(durable) == 7
        assert durable.frames == []


@pytest.mark.parametrize("steps", range(0, 60, 3))
def test_intake_that_is_cancelled_anywhere_leaves_lines_and_cursor_in_step(steps: int) -> None:
    @virtual_time
    async def body() -> None:
        durable = FakeDurable(wall_ms, commit_s=0.03)
        intake = Intake(durable, Codec.ZSTD, FakeMeter(), clock=wall)
        reader = Reader(intake)
        running = asyncio.get_running_loop().create_task(intake.run())
        for n in range(steps):
            await reader.take(f"line {n}")
            await asyncio.sleep(0.011)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await settle()
        assert durable.log_lines == covered(durable)

    body()
