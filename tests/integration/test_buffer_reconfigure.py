"""Other sinks and routes while the buffer is open: new sinks begin now, retired ones end when they have everything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shipper.buffer import Buffer, LetterFilter, Route, WhenFull
from shipper.errors import BufferFull
from shipper.model import Carried, Codec, DeadLetter, Kind, Partition
from tests.buffer_files import MIB, everything, frame, gaps, lines, opened, partition, texts
from tests.fakes.meter import FakeMeter
from tests.integration.test_buffer_damage import overwrite, pages_of


def by_letters(where: Partition) -> frozenset[str]:
    """The app `ab` is for the sinks a and b."""
    return frozenset(where.app)


async def change(
    buffer: Buffer,
    *sinks: str,
    max_size: int = 16 * MIB,
    when_full: WhenFull = WhenFull.BLOCK,
    route: Route | None = by_letters,
) -> None:
    await buffer.reconfigure(
        sinks=sinks, max_size=max_size, when_full=when_full, codec=Codec.ZSTD, route=route
    )


def total(meter: FakeMeter, series: str) -> float:
    return sum(value for key, value in meter.counts.items() if key[0] == series)


async def sealed_line(buffer: Buffer, sink: str, app: str, text: str) -> None:
    await buffer.commit([lines(text, where=partition(app))], [])
    assert await buffer.seal(sink, partition(app), max_size=MIB) is not None


def backlog(buffer: Buffer) -> dict[str, int]:
    return dict(buffer.stats().backlog_records)


async def test_a_new_sink_gets_what_is_committed_from_now_on(tmp_path: Path) -> None:
    """It gets nothing of before, also after a restart."""
    async with opened(tmp_path, sinks=["a"], route=by_letters) as buffer:
        await buffer.commit([lines("before", where=partition("ab"))], [])
        await change(buffer, "a", "b")
        await buffer.commit([lines("after", where=partition("ab"))], [])
        assert backlog(buffer) == {"a": 2, "b": 1}
    async with opened(tmp_path, sinks=["a", "b"], route=by_letters) as buffer:
        assert backlog(buffer) == {"a": 2, "b": 1}
        assert texts(await everything(buffer, "a")) == ["before", "after"]
        assert texts(await everything(buffer, "b")) == ["after"]
        assert buffer.stats().frames == 0


async def test_a_retired_sink_keeps_what_it_has_and_takes_nothing_new(tmp_path: Path) -> None:
    """Open frames, sealed batches and held records wait for it; when it has them, its removal loses nothing."""
    meter = FakeMeter()
    async with opened(tmp_path, sinks=["a", "b"], route=by_letters, meter=meter) as buffer:
        await sealed_line(buffer, "b", "b", "sealed")
        await buffer.commit([lines("open", where=partition("ab"))], [])
        await buffer.carry("b", Carried(partition("b"), b"state", 1, 1000))
        await change(buffer, "a")
        await buffer.commit([lines("new", where=partition("ab"))], [])
        assert backlog(buffer) == {"a": 2, "b": 3}
        assert sorted(texts(await everything(buffer, "b"))) == ["open", "sealed"]
        await buffer.carry("b", Carried(partition("b"), b"", 0, 0))
        await buffer.remove_sink("b")
        assert backlog(buffer) == {"a": 2}
        assert texts(await everything(buffer, "a")) == ["open", "new"]
        assert total(meter, "records_dropped_total") == total(meter, "gaps_total") == 0


async def test_what_nobody_else_gets_of_a_removed_sink_is_a_gap(tmp_path: Path) -> None:
    """All that it had not taken is counted; what another sink gets is no gap; frames for it alone go."""
    meter = FakeMeter()
    async with opened(tmp_path, sinks=["a", "b"], route=by_letters, meter=meter) as buffer:
        await sealed_line(buffer, "b", "b", "sealed")
        await buffer.commit([lines("x", "y", where=partition("b")), lines("z", where=partition("ab"))], [])
        await buffer.carry("b", Carried(partition("b"), b"state", 4, 1000))
        await change(buffer, "a")
        await buffer.remove_sink("b")
        found = await everything(buffer, "a")
        assert texts(found) == ["z"]
        assert gaps(found) == []  # no route takes the gaps of the app b any more
        assert meter.counts["records_dropped_total", "b", "sink_removed"] == 8
        assert meter.counts["gaps_total", "sink_removed"] == 2  # of frames, and of what was held
        await buffer.cursors()  # lets a sweep come in between
        assert buffer.stats().frames == 0


async def test_the_gap_of_a_removed_sink_reaches_the_others(tmp_path: Path) -> None:
    """Those too that are new and had no part in the loss."""
    async with opened(tmp_path, sinks=["a"]) as buffer:
        await buffer.commit([lines("y", "z", where=partition("q"))], [])
        await change(buffer, "b", route=None)
        await buffer.remove_sink("a")
        (gap,) = gaps(await everything(buffer, "b"))
        assert (gap["reason"], gap["lost"], gap["app"]) == ("sink_removed", 2, "q")


async def test_a_sink_that_is_named_again_goes_on(tmp_path: Path) -> None:
    """What was committed meanwhile is not its own; `remove_sink` then does nothing to it."""
    async with opened(tmp_path, sinks=["a", "b"], route=by_letters) as buffer:
        await buffer.commit([lines("one", where=partition("ab"))], [])
        await change(buffer, "a")
        await buffer.commit([lines("two", where=partition("ab"))], [])
        await change(buffer, "a", "b")
        await buffer.remove_sink("b")
        await buffer.commit([lines("three", where=partition("ab"))], [])
        assert texts(await everything(buffer, "b")) == ["one", "three"]
        assert texts(await everything(buffer, "a")) == ["one", "two", "three"]


async def test_a_sink_in_the_place_of_a_removed_one_sees_nothing_of_it(tmp_path: Path) -> None:
    """It gets the same bit; what the former had not taken stays for others and is not its own."""
    async with opened(tmp_path, sinks=["a", "b"], route=by_letters) as buffer:
        await buffer.commit([lines("old", where=partition("abc"))], [])
        await buffer.seal("b", partition("abc"), max_size=MIB)
        await change(buffer, "a")
        await buffer.remove_sink("b")
        await change(buffer, "a", "c")
        assert backlog(buffer) == {"a": 1, "c": 0}
        await buffer.commit([lines("new", where=partition("abc"))], [])
        assert texts(await everything(buffer, "c")) == ["new"]
        assert texts(await everything(buffer, "a")) == ["old", "new"]
        assert buffer.stats().frames == 0


async def test_a_buffer_that_is_opened_anew_knows_no_retired_sinks(tmp_path: Path) -> None:
    """Their settings are gone: what they had not taken is a gap, as for any sink that left the configuration."""
    async with opened(tmp_path, sinks=["a", "b"], route=by_letters) as buffer:
        await buffer.commit([lines("x", where=partition("b"))], [])
        await change(buffer, "a")
    meter = FakeMeter()
    async with opened(tmp_path, sinks=["a"], meter=meter) as buffer:
        (gap,) = gaps(await everything(buffer, "a"))
        assert (gap["reason"], gap["lost"]) == ("sink_removed", 1)
        assert meter.counts["records_dropped_total", "b", "sink_removed"] == 1


async def test_a_retired_sink_survives_damage(tmp_path: Path) -> None:
    """A file that is repaired while a sink is retired still has what is its own."""
    async with opened(tmp_path, sinks=["a", "b"], route=by_letters) as buffer:
        for number in range(40):
            await buffer.commit([lines(f"{number}", where=partition("ab"))], [])
        await change(buffer, "a")
        await buffer.close()
    overwrite(tmp_path, pages_of(tmp_path, "segments")[0])
    async with opened(tmp_path, sinks=["a", "b"], route=by_letters) as buffer:
        assert buffer.recovered is not None
        assert backlog(buffer) == {"a": 40, "b": 40}
        await change(buffer, "a")
        await buffer.commit([lines("new", where=partition("ab"))], [])
        assert backlog(buffer) == {"a": 41, "b": 40}


async def test_letters_of_a_retired_sink_stay(tmp_path: Path) -> None:
    """They are not sent again to a sink that takes nothing new; they are there when it comes back."""
    async with opened(tmp_path, sinks=["a", "b"], route=by_letters) as buffer:
        letter = DeadLetter("b", partition("b"), 50, 10, "400: no", b'{"line":"x"}\n')
        await buffer.bury([letter])
        await change(buffer, "a")
        assert await buffer.letters.replay(LetterFilter()) == 0
        await buffer.bury([letter])  # its worker goes on
        await buffer.remove_sink("b")
        assert await buffer.letters.replay(LetterFilter()) == 0
        await change(buffer, "a", "b")
        assert await buffer.letters.replay(LetterFilter()) == 2
        assert texts(await everything(buffer, "b")) == ["x", "x"]


async def test_what_a_retired_sink_refuses_is_told_to_the_others(tmp_path: Path) -> None:
    async with opened(tmp_path, sinks=["a", "b"]) as buffer:
        await buffer.commit([lines("x", where=partition("ab"))], [])
        await change(buffer, "a", route=None)
        batch = await buffer.seal("b", partition("ab"), max_size=MIB)
        assert batch is not None
        await buffer.reject(batch, "no")
        assert backlog(buffer) == {"a": 2, "b": 0}
        (gap,) = gaps(await everything(buffer, "a"))
        assert gap["reason"] == "rejected"


async def test_too_many_sinks_change_nothing(tmp_path: Path) -> None:
    """Retired ones count."""
    async with opened(tmp_path, sinks=["a"], route=by_letters) as buffer:
        with pytest.raises(ValueError, match="at most 62 sinks, 63 were given"):
            await change(buffer, *(f"s{number}" for number in range(62)))
        await buffer.commit([lines("x", where=partition("a"))], [])
        assert backlog(buffer) == {"a": 1}


async def test_room_is_made_by_a_larger_bound(tmp_path: Path) -> None:
    """Whoever waits for space is told."""
    async with opened(tmp_path, route=None) as buffer:
        big = frame(5 * MIB, partition("x"))
        with pytest.raises(BufferFull):
            while True:
                await buffer.commit([big], [])
        waiting = asyncio.ensure_future(buffer.wait_for_space())
        before = buffer.largest_commit
        await change(buffer, "archive", max_size=64 * MIB, route=None)
        await waiting
        await buffer.commit([big, big], [])
        assert buffer.stats().limit_bytes == 64 * MIB
        assert buffer.largest_commit > before


async def test_a_smaller_bound_holds_when_sinks_have_taken_enough(tmp_path: Path) -> None:
    """Nothing is lost; nothing is taken before the file is below it."""
    async with opened(tmp_path, max_size=64 * MIB) as buffer:
        for number in range(5):
            await buffer.commit([frame(5 * MIB, partition(str(number)))], [])
        await change(buffer, "archive", route=None)
        with pytest.raises(BufferFull):
            await buffer.commit([frame(100)], [])
        for number in range(5):
            batch = await buffer.seal("archive", partition(str(number)), max_size=MIB)
            assert batch is not None
            await buffer.acknowledge(batch)
        await buffer.commit([frame(100)], [])
        for _ in range(200):
            if buffer.stats().disk_bytes <= 16 * MIB:
                break
            await buffer.cursors()  # lets a step of giving back come in between
        assert buffer.stats().disk_bytes <= 16 * MIB


async def test_when_full_changes_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as buffer:
        with pytest.raises(BufferFull):
            while True:
                await buffer.commit([frame(2 * MIB, partition("x"))], [])
        await change(buffer, "archive", when_full=WhenFull.DROP_OLDEST, route=None)
        assert (await buffer.commit([frame(2 * MIB, partition("x"))], [])).dropped


async def test_events_and_gaps_follow_new_routes(tmp_path: Path) -> None:
    """A partition that was asked about before is asked about again."""
    async with opened(tmp_path, sinks=["a", "b"], route=lambda where: frozenset("a")) as buffer:
        await buffer.commit([lines("x", where=partition("q", kind=Kind.EVENTS))], [])
        await change(buffer, "a", "b")
        await buffer.commit([lines("y", where=partition("b", kind=Kind.EVENTS))], [])
        await buffer.commit([lines("z", where=partition("q", kind=Kind.EVENTS))], [])
        assert backlog(buffer) == {"a": 1, "b": 1}
