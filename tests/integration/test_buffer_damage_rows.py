"""Damage to what pipelines hold back and to dead letters: the rest is saved, what is lost is recorded."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from shipper.buffer import Buffer, LetterFilter
from shipper.errors import BufferUnavailable
from shipper.model import Carried, DeadLetter
from tests.buffer_files import MIB, everything, gaps, lines, opened, partition, texts

SINKS = ["archive", "search"]
PAGE = 8192
ALL = LetterFilter()


def held(app: str = "shop", state: bytes = b"state", records: int = 1, since_ms: int = 1000) -> Carried:
    return Carried(partition(app), state, records, since_ms)


def letter(text: str = "x", *, app: str = "shop", size: int = 0) -> DeadLetter:
    record = b'{"line":"%s","pad":"%s"}\n' % (text.encode(), b"." * size)
    return DeadLetter("search", partition(app), 50, 10, "400: no", record)


async def all_of(buffer: Buffer) -> list[DeadLetter]:
    """Every page."""
    found: list[DeadLetter] = []
    while page := await buffer.letters.page(
        ALL, newest_first=False, after=found[-1].letter_id if found else None
    ):
        found += page
    return found


def tamper(directory: Path, sql: str, *parameters: object) -> None:
    """Change the closed file behind the buffer's back."""
    connection = sqlite3.connect(directory / "buffer.sqlite3")
    connection.execute(sql, parameters)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("records", [0, 3])
async def test_a_state_that_lost_its_checksum_is_dropped_and_its_records_are_a_gap(
    tmp_path: Path, records: int
) -> None:
    """The others are saved, and so is all else."""
    async with opened(tmp_path, sinks=SINKS) as buffer:
        await buffer.carry("search", held("a", b"good"))
        await buffer.carry("search", held("b", b"bad", records))
        await buffer.commit([lines("x")], [])
    tamper(tmp_path, "UPDATE carried SET state = ? WHERE id = 2", b"BAD")
    async with opened(tmp_path, sinks=SINKS) as buffer:
        with pytest.raises(BufferUnavailable, match="damaged"):
            await buffer.carried("search")
        assert buffer.recovered is not None
        assert buffer.recovered.complete
        assert await buffer.carried("search") == [held("a", b"good")]
        found = await everything(buffer, "archive")
        assert texts(found) == ["x"]
        expected = [("b", 3, "buffer_corrupt")] if records else []
        assert [(one["app"], one["lost"], one["reason"]) for one in gaps(found)] == expected


async def test_a_row_that_cannot_be_read_may_have_held_anything(tmp_path: Path) -> None:
    """A gap without a count says that more may be missing."""
    async with opened(tmp_path, sinks=SINKS) as buffer:
        await buffer.carry("search", held("a"))
        await buffer.commit([lines("x")], [])
    tamper(tmp_path, "UPDATE carried SET records = 77")
    async with opened(tmp_path, sinks=SINKS) as buffer:
        assert buffer.recovered is not None
        assert not buffer.recovered.complete
        assert await buffer.carried("search") == []
        (gap,) = gaps(await everything(buffer, "archive"))
        assert (gap["app"], gap["lost"], gap["reason"]) == ("shop", None, "buffer_corrupt")


async def test_progress_survives_the_loss_of_another_page(tmp_path: Path) -> None:
    async with opened(tmp_path, sinks=SINKS) as buffer:
        await buffer.commit([lines("x", "y")], [])
        batch = await buffer.seal("search", partition(), max_size=MIB)
        assert batch is not None
        await buffer.progressed(batch, 1, "plan")
        await buffer.carry("search", held())
    with (tmp_path / "buffer.sqlite3").open("r+b") as file:
        file.write(bytes(range(256)) * 32)
    (tmp_path / "buffer.sqlite3-wal").touch()
    async with opened(tmp_path, sinks=SINKS) as buffer:
        assert buffer.recovered is not None
        assert await buffer.sealed("search") == [replace(batch, done=1, plan="plan")]
        assert await buffer.carried("search") == [held()]


async def test_a_letter_that_lost_its_checksum_is_a_recorded_loss(tmp_path: Path) -> None:
    """The others are saved under their numbers."""
    async with opened(tmp_path, sinks=SINKS) as buffer:
        await buffer.bury([letter(text, app=text) for text in "abc"])
    tamper(tmp_path, "UPDATE letters SET record = ? WHERE id = 2", b"BAD")
    async with opened(tmp_path, sinks=SINKS) as buffer:
        with pytest.raises(BufferUnavailable, match="damaged"):
            await buffer.letters.page(ALL)
        assert [(one.letter_id, one.partition.app) for one in await all_of(buffer)] == [(1, "a"), (3, "c")]
        assert buffer.recovered is not None
        assert buffer.recovered.complete
        (gap,) = gaps(await everything(buffer, "search"))
        assert (gap["app"], gap["lost"], gap["reason"]) == ("b", 1, "buffer_corrupt")
        await buffer.bury([letter("d")])
        assert (await buffer.letters.page(ALL))[0].letter_id == 4
        assert buffer.stats().dead_letters["search"] == await buffer.letters.count(ALL)


async def test_letters_behind_a_damaged_page_are_saved_from_both_ends(tmp_path: Path) -> None:
    """What lay on the page is lost, and a gap says that it cannot be counted."""
    async with opened(tmp_path, max_size=64 * MIB, sinks=SINKS) as buffer:
        await buffer.bury([letter(str(number), size=300) for number in range(2000)])
        await buffer.carry("search", Carried(partition(), b"x", 1, 1))
    connection = sqlite3.connect(tmp_path / "buffer.sqlite3")
    pages = connection.execute("SELECT pageno FROM dbstat WHERE name = 'letters' ORDER BY path").fetchall()
    connection.close()
    with (tmp_path / "buffer.sqlite3").open("r+b") as file:
        file.seek((pages[len(pages) // 2][0] - 1) * 8192)
        file.write(bytes(range(256)) * 32)
    (tmp_path / "buffer.sqlite3-wal").touch()
    async with opened(tmp_path, max_size=64 * MIB, sinks=SINKS) as buffer:
        assert buffer.recovered is not None
        kept = await all_of(buffer)
        assert 1900 < len(kept) < 2000
        assert [one.letter_id for one in kept] == sorted({one.letter_id for one in kept})
        assert len(await buffer.carried("search")) == 1
        (gap,) = gaps(await everything(buffer, "search"))
        assert gap["lost"] is None


async def test_salvage_into_a_smaller_buffer_keeps_the_bound(tmp_path: Path) -> None:
    """What has no room any more is counted and recorded."""
    async with opened(tmp_path, max_size=64 * MIB, sinks=SINKS) as buffer:
        await buffer.bury([letter(str(number), size=10_000) for number in range(300)])
        await buffer.commit([lines("x")], [])
    with (tmp_path / "buffer.sqlite3").open("r+b") as file:
        file.write(bytes(8192))
    async with opened(tmp_path, max_size=16 * MIB, sinks=SINKS) as buffer:
        assert buffer.recovered is not None
        kept = len(await all_of(buffer))
        assert 50 < kept < 110
        assert buffer.stats().dead_letters["search"].bytes <= MIB
        found = await everything(buffer, "archive")
        assert texts(found) == ["x"]
        assert sum(gap["lost"] for gap in gaps(found)) == 300 - kept


async def test_random_damage_never_stops_the_buffer(tmp_path: Path) -> None:
    """Whatever pages are overwritten: what is left is what was written, and all of it can be settled."""
    states = [held(f"app-{number}", bytes([number]) * 300 * number) for number in range(40)]
    letters = [
        letter(str(number), app=f"app-{number % 9}", size=100 * (number % 30)) for number in range(200)
    ]
    async with opened(tmp_path / "whole", sinks=SINKS) as buffer:
        for one in states:
            await buffer.carry("search", one)
        await buffer.bury(letters)
    whole = (tmp_path / "whole" / "buffer.sqlite3").read_bytes()
    buried = {number: replace(one, letter_id=number) for number, one in enumerate(letters, 1)}
    for seed in range(15):
        rng = random.Random(seed)
        directory = tmp_path / str(seed)
        directory.mkdir()
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 1, 2, 5])):
            at = rng.randrange(len(damaged) // PAGE) * PAGE + rng.choice([0, 0, rng.randrange(PAGE)])
            size = rng.choice([1, 8, 100, PAGE])
            damaged[at : at + size] = rng.randbytes(len(damaged[at : at + size]))
        (directory / "buffer.sqlite3").write_bytes(damaged)
        (directory / "buffer.sqlite3-wal").touch()
        async with opened(directory, sinks=SINKS) as buffer:
            await buffer.commit([lines("next")], [])
            found = await patient(buffer)
            assert all(one in states for one in found[0])
            assert all(one == buried[one.letter_id] for one in found[1])
            for state in found[0]:
                await buffer.carry("search", replace(state, state=b""))
            assert await buffer.letters.drop(ALL) == len(found[1])
            assert "next" in texts(await everything(buffer, "search"))
            assert buffer.stats().backlog_records["search"] == 0


async def patient(buffer: Buffer) -> tuple[list[Carried], list[DeadLetter]]:
    """All states and letters, asked again where a call met the damage: each such call says so once."""
    for _ in range(3):
        try:
            return await buffer.carried("search"), await all_of(buffer)
        except BufferUnavailable as error:
            assert "damaged" in str(error)
    raise AssertionError("the damage does not end")
