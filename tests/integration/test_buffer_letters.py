"""Dead letters: kept in the buffer's file within a bound, and there for people to look at, drop and send again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from shipper.archive.codec import decode, decompress
from shipper.buffer import Buffer, LetterFilter, LetterTotals, WhenFull
from shipper.errors import BufferFull
from shipper.model import DeadLetter, Kind, Partition
from tests.buffer_files import MIB, Watch, everything, frame, gaps, opened, partition, texts
from tests.fakes.meter import FakeMeter

SINKS = ["archive", "search"]
LIMIT = 16 * MIB
SHARE = LIMIT // 16
ALL = LetterFilter()


def letter(
    text: str = "x",
    *,
    app: str = "shop",
    sink: str = "search",
    reason: str = "400: no",
    buried_ms: int = 50,
    at_ms: int = 10,
    size: int = 0,
    kind: Kind = Kind.LOGS,
) -> DeadLetter:
    """A refused record; `size` makes it at least as large."""
    record = b'{"timestamp_ms":%d,"line":"%s","pad":"%s"}\n' % (at_ms, text.encode(), b"." * size)
    return DeadLetter(sink, partition(app, kind=kind), buried_ms, at_ms, reason, record)


def said(found: list[DeadLetter]) -> list[str]:
    return [record["line"] for one in found for record in decode(one.record)]


async def all_of(buffer: Buffer, *, limit: int = 100, newest_first: bool = False) -> list[DeadLetter]:
    """Every page."""
    found: list[DeadLetter] = []
    while page := await buffer.letters.page(
        ALL, limit=limit, newest_first=newest_first, after=found[-1].letter_id if found else None
    ):
        found += page
    return found


# ---- keeping and looking ----


async def test_a_letter_is_kept_as_it_was_buried(tmp_path: Path) -> None:
    """Also after a restart; its number is never another's."""
    letters = [letter("a"), letter("b", app="\ud800", sink="archive", reason="\udfff '", kind=Kind.EVENTS)]
    async with opened(tmp_path, sinks=SINKS) as buffer:
        await buffer.bury(letters)
    async with opened(tmp_path, sinks=SINKS) as buffer:
        expected = [replace(one, letter_id=number) for number, one in enumerate(letters, 1)]
        assert await buffer.letters.page(ALL, newest_first=False) == expected
        assert await buffer.letters.get(2) == expected[1]
        assert await buffer.letters.get(3) is None
        assert await buffer.letters.drop(ALL) == 2
        assert await buffer.letters.get(2) is None
        assert await buffer.letters.page(ALL) == []
    async with opened(tmp_path, sinks=SINKS) as buffer:
        await buffer.bury([letter("c")])
        assert [one.letter_id for one in await buffer.letters.page(ALL)] == [3]


async def test_letters_are_found_by_sink_time_reason_and_number(tmp_path: Path) -> None:
    letters = [
        letter("a", reason="400: bad date", buried_ms=100),
        letter("b", reason="400: bad key", buried_ms=200, sink="archive"),
        letter("c", reason="413", buried_ms=300),
    ]
    wanted = [
        (ALL, "abc"),
        (LetterFilter(sink="search"), "ac"),
        (LetterFilter(sink="nobody"), ""),
        (LetterFilter(reason="bad"), "ab"),
        (LetterFilter(reason="BAD"), ""),
        (LetterFilter(since_ms=200), "bc"),
        (LetterFilter(until_ms=200), "a"),
        (LetterFilter(since_ms=200, until_ms=300, sink="archive", reason="key"), "b"),
        (LetterFilter(ids=frozenset({1, 3, 99})), "ac"),
        (LetterFilter(ids=frozenset()), ""),
    ]
    async with opened(tmp_path, sinks=SINKS) as buffer:
        await buffer.bury(letters)
        for one, expected in wanted:
            assert said(await buffer.letters.page(one, newest_first=False)) == list(expected)
            assert (await buffer.letters.count(one)).letters == len(expected)
        assert await buffer.letters.drop(wanted[3][0]) == 2
        assert said(await buffer.letters.page(ALL)) == ["c"]


@pytest.mark.parametrize("newest_first", [True, False])
async def test_pages_go_on_where_the_one_before_ended(tmp_path: Path, newest_first: bool) -> None:
    """Over more letters than are looked at in one go, large ones among them: each once, in order."""
    async with opened(tmp_path, max_size=256 * MIB, sinks=SINKS) as buffer:
        numbers = [str(number) for number in range(1203)]
        await buffer.bury([letter(text, size=400_000 if text.endswith("00") else 0) for text in numbers])
        for limit in (7, 500, 5000):
            found = await all_of(buffer, limit=limit, newest_first=newest_first)
            assert said(found) == (numbers[::-1] if newest_first else numbers)


async def test_a_page_is_bounded_in_bytes(tmp_path: Path) -> None:
    """Large letters come a few at a time."""
    async with opened(tmp_path, max_size=256 * MIB, sinks=SINKS) as buffer:
        await buffer.bury([letter(str(number), size=MIB) for number in range(8)])
        page = await buffer.letters.page(ALL, limit=100)
        assert 1 <= len(page) <= 5
        assert len(await all_of(buffer)) == 8


async def test_letters_are_shown_in_the_stats(tmp_path: Path) -> None:
    """How many and how much, by sink; a sink without any is absent."""
    meter = FakeMeter()
    async with opened(tmp_path, sinks=SINKS, meter=meter) as buffer:
        assert buffer.stats().dead_letters == {}
        await buffer.bury([letter("a", size=1000), letter("b"), letter("c", sink="archive")])
        before = buffer.stats().dead_letters
        assert {sink: one.letters for sink, one in before.items()} == {"search": 2, "archive": 1}
        assert 1000 < before["search"].bytes < 2000
        assert await buffer.letters.count(LetterFilter(sink="search")) == before["search"]
    async with opened(tmp_path, sinks=SINKS, meter=meter) as buffer:
        assert buffer.stats().dead_letters == before
        await buffer.letters.drop(LetterFilter(sink="search"))
        assert buffer.stats().dead_letters == {"archive": before["archive"]}
        assert buffer.stats().backlog_records == {"archive": 0, "search": 0}
        await buffer.bury([])
    assert meter.counts["dead_letters_buried_total", "search"] == 2
    assert meter.counts["dead_letters_ended_total", "search", "dropped"] == 2


async def test_a_sink_that_is_not_configured_buries_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, sinks=SINKS) as buffer:
        with pytest.raises(KeyError):
            await buffer.bury([letter("a"), letter("b", sink="unknown")])
        assert buffer.stats().dead_letters == {}


async def test_a_reason_is_cut_to_what_a_person_reads(tmp_path: Path) -> None:
    async with opened(tmp_path, sinks=SINKS) as buffer:
        await buffer.bury([letter("a", reason="x" * 1000), letter("b", reason="y" * 100_000)])
        one, two = await buffer.letters.page(ALL, newest_first=False)
        assert (one.reason, two.reason) == ("x" * 1000, "y" * 999 + "…")


# ---- sending again ----


async def test_a_replayed_record_is_a_frame_for_its_sink_alone(tmp_path: Path) -> None:
    """In the partition it was buried from, whatever the routes say now; and a letter no more."""
    meter = FakeMeter()

    def route(where: Partition) -> frozenset[str]:
        return frozenset({"archive"})

    async with opened(tmp_path, sinks=SINKS, route=route, meter=meter) as buffer:
        letters = [
            letter("a", at_ms=7),
            letter("b", at_ms=9),
            letter("c", app="cart"),
            letter("d", sink="archive"),
        ]
        letters[1] = replace(letters[1], record=letters[1].record.rstrip(b"\n"))
        await buffer.bury(letters)
        arrived = buffer.subscribe("search")
        assert await buffer.letters.replay(LetterFilter(sink="search")) == 3
        assert arrived.is_set()
        assert said(await buffer.letters.page(ALL)) == ["d"]
        assert await buffer.open_partitions("archive") == []
        batch = await buffer.seal("search", partition(), max_size=MIB)
        assert batch is not None
        assert (batch.records, batch.first_ms, batch.last_ms) == (2, 7, 9)
        frames = await buffer.read(batch)
        assert frames is not None
        assert decompress(batch.codec, b"".join(frames)) == letters[0].record + letters[1].record + b"\n"
        await buffer.acknowledge(batch)
        assert texts(await everything(buffer, "search")) == ["c"]
        assert buffer.stats().frames == 0
    assert meter.counts["dead_letters_ended_total", "search", "replayed"] == 3
    assert [key for key in meter.counts if key[0] == "records_dropped_total"] == []


async def test_what_is_buried_meanwhile_is_not_replayed(tmp_path: Path) -> None:
    """A record that is refused again does not go round in circles while the replay goes on."""
    async with opened(tmp_path, max_size=64 * MIB, sinks=SINKS) as buffer:
        for number in range(4):
            await buffer.bury([letter(str(number), size=600_000)])

        async def refuse_again(left: int) -> None:
            arrived = buffer.subscribe("search")
            while left:
                await arrived.wait()
                arrived.clear()
                while (batch := await buffer.seal("search", partition(), max_size=1)) is not None:
                    frames = await buffer.read(batch)
                    assert frames is not None
                    record = decompress(batch.codec, frames[0])
                    await buffer.bury([replace(letter(), record=record)])
                    await buffer.acknowledge(batch)
                    left -= batch.records

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            group.create_task(refuse_again(4), name="refuse again")
            assert await buffer.letters.replay(ALL) == 4
        assert buffer.stats().dead_letters["search"].letters == 4


async def test_replaying_thousands_goes_in_bounded_steps(tmp_path: Path) -> None:
    """Commits come in between, and every letter is a record again, once."""
    async with opened(tmp_path, max_size=64 * MIB, sinks=SINKS) as buffer:
        numbers = [str(number) for number in range(3000)]
        await buffer.bury([letter(text, app=f"app-{int(text) % 3}", size=300) for text in numbers])
        assert await buffer.letters.replay(ALL) == 3000
        assert buffer.stats().dead_letters == {}
        assert sorted(texts(await everything(buffer, "search")), key=int) == numbers


async def test_a_replay_that_finds_no_room_leaves_the_letters(tmp_path: Path) -> None:
    """In a full buffer nothing is given up for it; what was sent before the buffer was full is told."""
    for when_full in WhenFull:
        async with opened(tmp_path / when_full, sinks=SINKS, when_full=when_full) as buffer:
            await buffer.bury([letter("a")])
            for size in (60_000, 100):  # to the brim, where it has one
                with suppress(BufferFull):
                    for _ in range(200):
                        await buffer.commit([frame(size)], [])
            if when_full is WhenFull.BLOCK:
                with pytest.raises(BufferFull):
                    await buffer.letters.replay(ALL)
                assert said(await buffer.letters.page(ALL)) == ["a"]
            else:
                backlog = buffer.stats().backlog_records["archive"]
                assert await buffer.letters.replay(ALL) == 1
                assert buffer.stats().backlog_records["archive"] == backlog


async def test_letters_of_a_removed_sink_stay_and_wait_for_it(tmp_path: Path) -> None:
    """They can be looked at and dropped; they are replayed when the sink is back."""
    async with opened(tmp_path, sinks=SINKS) as buffer:
        await buffer.bury([letter("a"), letter("b"), letter("c", sink="archive")])
    async with opened(tmp_path, sinks=["archive"]) as buffer:
        assert said(await buffer.letters.page(LetterFilter(sink="search"), newest_first=False)) == ["a", "b"]
        assert await buffer.letters.replay(ALL) == 1
        assert await buffer.letters.drop(LetterFilter(ids=frozenset({1}))) == 1
    async with opened(tmp_path, sinks=SINKS) as buffer:
        assert await buffer.letters.replay(ALL) == 1
        assert texts(await everything(buffer, "search")) == ["b"]


# ---- the bound ----


async def test_the_oldest_are_forgotten_counted_and_recorded(tmp_path: Path) -> None:
    """Kept and forgotten make up all that was buried; the youngest is always there; gap records stay few."""
    meter = FakeMeter()
    async with opened(tmp_path, max_size=LIMIT, sinks=SINKS, meter=meter) as buffer:
        for number in range(500):
            await buffer.bury([letter(str(number), app=f"app-{number % 2}", at_ms=number, size=4000)])
            assert buffer.stats().dead_letters["search"].bytes <= SHARE
        kept = await all_of(buffer)
        assert said(kept) == [str(number) for number in range(500 - len(kept), 500)]
        assert len(kept) > 200
        found = gaps(await everything(buffer, "search"))
        assert sum(gap["lost"] for gap in found) == 500 - len(kept)
        assert {(gap["reason"], gap["stream_kind"]) for gap in found} == {("rejected", "logs")}
        assert min(gap["from_ms"] for gap in found) == 0
        assert max(gap["to_ms"] for gap in found) == 499 - len(kept)
        assert len(found) < 60
        assert gaps(await everything(buffer, "archive")) == []
    assert meter.counts["records_dropped_total", "search", "rejected"] == 500 - len(kept)
    assert meter.counts["dead_letters_ended_total", "search", "forgotten"] == 500 - len(kept)
    assert meter.counts["dead_letters_buried_total", "search"] == 500


async def test_letters_of_gap_records_are_forgotten_without_a_gap(tmp_path: Path) -> None:
    """A gap about them would be the next to be refused, and so on for ever. They are counted."""
    meter = FakeMeter()
    async with opened(tmp_path, max_size=LIMIT, sinks=SINKS, meter=meter) as buffer:
        for number in range(30):
            await buffer.bury([letter(str(number), kind=Kind.GAPS, size=50_000)])
        assert await buffer.open_partitions("search") == []
    assert meter.counts["records_dropped_total", "search", "rejected"] > 0


async def test_a_letter_that_is_larger_than_the_bound_is_forgotten_at_once(tmp_path: Path) -> None:
    """The others of the same burial are kept."""
    async with opened(tmp_path, max_size=LIMIT, sinks=SINKS) as buffer:
        await buffer.bury([letter("a"), letter("large", size=2 * MIB), letter("b")])
        assert said(await buffer.letters.page(ALL)) == ["b"] or said(await all_of(buffer)) == ["a", "b"]
        found = gaps(await everything(buffer, "search"))
        assert sum(gap["lost"] for gap in found) == 3 - len(await all_of(buffer))


async def test_more_than_a_transaction_takes_is_buried_in_several(tmp_path: Path) -> None:
    """Within max_size at any moment, however much comes at once."""
    watch = Watch(tmp_path)
    async with opened(tmp_path, max_size=64 * MIB, sinks=SINKS) as buffer:
        with watch.watching():
            await buffer.bury([letter(str(number), size=100_000) for number in range(100)])
        kept = await all_of(buffer)
        assert said(kept) == [str(number) for number in range(100 - len(kept), 100)]
        assert 30 < len(kept) < 42
        found = gaps(await everything(buffer, "search"))
        assert sum(gap["lost"] for gap in found) == 100 - len(kept)
    assert watch.most <= 64 * MIB


@pytest.mark.parametrize("when_full", list(WhenFull))
async def test_a_full_buffer_still_buries(tmp_path: Path, when_full: WhenFull) -> None:
    """A small share is kept free for letters; beyond it the oldest make way; no frame is given up for them."""
    watch = Watch(tmp_path)
    async with opened(tmp_path, max_size=LIMIT, sinks=SINKS, when_full=when_full) as buffer:
        try:
            for number in range(400):
                await buffer.commit([frame(40_000, seed=number % 5)], [])
        except BufferFull:
            assert when_full is WhenFull.BLOCK
        frames = buffer.stats().frames
        with watch.watching():
            for number in range(300):
                await buffer.bury([letter(str(number), size=1000)])
        kept = await all_of(buffer)
        assert len(kept) >= 50
        assert kept[-1].letter_id == 300
        assert [one.letter_id for one in kept] == list(range(301 - len(kept), 301))
        assert buffer.stats().backlog_records["archive"] == frames
        assert watch.most <= LIMIT


@pytest.mark.parametrize("when_full", list(WhenFull))
async def test_letters_are_not_given_up_for_frames(tmp_path: Path, when_full: WhenFull) -> None:
    """In either mode frames have the rest of the file, and never more."""
    async with opened(tmp_path, max_size=LIMIT, sinks=SINKS, when_full=when_full) as buffer:
        await buffer.bury([letter(str(number), size=2000) for number in range(400)])
        before = buffer.stats().dead_letters
        try:
            for number in range(400):
                await buffer.commit([frame(40_000, seed=number % 5)], [])
        except BufferFull:
            assert when_full is WhenFull.BLOCK
        assert buffer.stats().dead_letters == before
        assert buffer.stats().disk_bytes <= LIMIT


async def test_forgotten_letters_of_a_removed_sink_are_everyones_gap(tmp_path: Path) -> None:
    async with opened(tmp_path, max_size=LIMIT, sinks=["search", "gone"]) as buffer:
        await buffer.bury([letter("a", sink="gone")])
    async with opened(tmp_path, max_size=LIMIT, sinks=["search"]) as buffer:
        await buffer.bury([letter(str(number), size=60_000) for number in range(18)])
        found = gaps(await everything(buffer, "search"))
        assert sum(gap["lost"] for gap in found) == 19 - len(await all_of(buffer))
        assert "gone" not in buffer.stats().dead_letters


async def test_a_smaller_bound_is_kept_from_the_next_burial_on(tmp_path: Path) -> None:
    """After max_size was lowered."""
    async with opened(tmp_path, max_size=64 * MIB, sinks=SINKS) as buffer:
        await buffer.bury([letter(str(number), size=10_000) for number in range(300)])
    async with opened(tmp_path, max_size=LIMIT, sinks=SINKS) as buffer:
        await buffer.bury([letter("new")])
        assert buffer.stats().dead_letters["search"].bytes <= SHARE
        assert said(await buffer.letters.page(ALL, limit=1)) == ["new"]
    assert LetterTotals(3, 5).minus(LetterTotals(1, 2)).plus(LetterTotals(1, 1)) == LetterTotals(3, 4)
