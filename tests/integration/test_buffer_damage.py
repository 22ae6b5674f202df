"""A damaged file: what can be read is saved, what is lost is recorded, the damaged file is kept, the buffer goes on."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from shipper.buffer import Buffer
from shipper.errors import BufferUnavailable
from shipper.model import Kind
from tests.buffer_files import MIB, cursor, everything, frame, gaps, lines, opened, partition, texts
from tests.fakes.meter import FakeMeter

PAGE = 8192
FRAMES = 120


def words(number: int) -> list[str]:
    rng = random.Random(number)
    return [f"{number}-{index}-{rng.randbytes(60).hex()}" for index in range(20)]


async def filled(directory: Path, *, sealed: bool = True) -> None:
    """A buffer with frames of two apps, one sealed batch, one batch that was delivered, and cursors."""
    async with opened(directory) as buffer:
        await buffer.commit([lines("delivered", where=partition("done"))], [])
        done = await buffer.seal("archive", partition("done"), max_size=1)
        assert done is not None
        await buffer.acknowledge(done)
        for number in range(FRAMES):
            app = partition(f"app-{number % 2}")
            writes = [cursor(f"key-{number}", b"s" * 300, (1, b"d" * 200))]
            await buffer.commit([lines(*words(number), where=app)], writes)
        if sealed:
            assert await buffer.seal("archive", partition("app-0"), max_size=20_000) is not None


def pages_of(directory: Path, table: str) -> list[int]:
    """The pages (from 1) of a table's tree, its root first."""
    connection = sqlite3.connect(directory / "buffer.sqlite3")
    rows = connection.execute("SELECT pageno FROM dbstat WHERE name = ? ORDER BY path", (table,)).fetchall()
    connection.close()
    return [number for (number,) in rows]


def overwrite(directory: Path, *pages: int, unclean: bool = True) -> None:
    with (directory / "buffer.sqlite3").open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE)
            file.write(random.Random(page).randbytes(PAGE))
    if unclean:  # the log of a process that did not close the file
        (directory / "buffer.sqlite3-wal").touch()


async def outcome(buffer: Buffer) -> tuple[list[str], list[dict[str, object]], set[str]]:
    """The lines that are left, the gap records, and the cursors."""
    cursors = {one.key for one in await buffer.cursors()}
    found = await everything(buffer)
    return texts(found), gaps(found), cursors


ALL = [word for parity in (0, 1) for number in range(parity, FRAMES, 2) for word in words(number)]


def assert_accounted(left: list[str], found: list[dict[str, object]]) -> int:
    """Every line is there once, or lost and counted, unless a gap says that more may be missing."""
    assert len(set(left)) == len(left)
    assert set(left) <= set(ALL)
    lost = len(ALL) - len(left)
    counted = sum(int(str(gap["lost"])) for gap in found if gap["lost"] is not None)
    if all(gap["lost"] is not None for gap in found):
        assert counted == lost
    assert counted <= lost
    assert all(gap["reason"] == "buffer_corrupt" for gap in found)
    return lost


@pytest.mark.parametrize(
    "table", ["pieces", "frames", "cursors", "segments", "batches", "progress", "partitions", "sinks"]
)
@pytest.mark.parametrize("unclean", [True, False])
async def test_an_overwritten_page_of_any_table(tmp_path: Path, table: str, unclean: bool) -> None:
    """One page of noise, seen at the start or when it is used: only bytes of frames that lay there are lost."""
    await filled(tmp_path)
    pages = pages_of(tmp_path, table)
    overwrite(tmp_path, pages[len(pages) // 2] if len(pages) > 1 else pages[0], unclean=unclean)
    meter = FakeMeter()
    async with opened(tmp_path, meter=meter) as buffer:
        left, found, cursors = await patient(buffer)
        lost = assert_accounted(left, found)
        assert buffer.recovered is not None or (table == "pieces" and found)
        if table != "cursors":
            assert len(cursors) == FRAMES
        if table == "pieces":
            assert found
            assert 0 < lost < len(ALL) // 10
        else:  # what a frame is can be told from its bytes
            assert (lost, found) == (0, [])
        await buffer.commit([lines("next")], [cursor("key-next", b"1")])
        assert texts(await everything(buffer)) == ["next"]
    async with opened(tmp_path) as buffer:
        assert buffer.recovered is None
        assert buffer.stats().frames == 0


async def patient(buffer: Buffer) -> tuple[list[str], list[dict[str, object]], set[str]]:
    """`outcome`, asked again where a call met the damage: each such call says so once."""
    left: list[str] = []
    found: list[dict[str, object]] = []
    for _ in range(3):
        try:
            cursors = {one.key for one in await buffer.cursors()}
            while True:
                batches = await buffer.sealed("archive")
                for one in await buffer.open_partitions("archive"):
                    batch = await buffer.seal("archive", one.partition, max_size=64 * MIB)
                    batches += [batch] if batch is not None else []
                if not batches:
                    return left, found, cursors
                for batch in batches:
                    await settle(buffer, batch, left, found)
        except BufferUnavailable as error:
            assert "damaged" in str(error)
    raise AssertionError("the damage does not end")


async def settle(buffer: Buffer, batch: object, left: list[str], found: list[dict[str, object]]) -> None:
    from shipper.archive.codec import decode, decompress
    from shipper.model import Batch

    assert isinstance(batch, Batch)
    frames = await buffer.read(batch)
    if frames is None:
        return
    await buffer.acknowledge(batch)
    records = list(decode(decompress(batch.codec, b"".join(frames))))
    if batch.partition.kind is Kind.GAPS:
        found += records
    else:
        left += [record["line"] for record in records]


async def test_a_garbage_header(tmp_path: Path) -> None:
    """The first page is all that is gone: with another first page everything is read."""
    await filled(tmp_path)
    overwrite(tmp_path, 1)
    async with opened(tmp_path) as buffer:
        assert buffer.recovered is not None
        assert buffer.recovered.complete
        left, found, cursors = await outcome(buffer)
        assert sorted(left) == sorted(ALL)
        assert found == []
        assert len(cursors) == FRAMES


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
async def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    """What lies before the cut is saved; what is known to lie behind it is counted, and gaps say that more may be."""
    await filled(tmp_path)
    path = tmp_path / "buffer.sqlite3"
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    meter = FakeMeter()
    async with opened(tmp_path, meter=meter) as buffer:
        assert buffer.recovered is not None
        assert buffer.recovered.path.exists()
        left, found, _ = await outcome(buffer)
        lost = assert_accounted(left, found)
        assert lost > 0
        assert found
    assert meter.counts["gaps_total", "buffer_corrupt"] == len(found)


@pytest.mark.parametrize("content", [b"", b"not a database at all", bytes(100_000), b"x" * 100_000])
async def test_something_else_entirely(tmp_path: Path, content: bytes) -> None:
    """Nothing can be read: a gap of unknown size for an unknown app says so, and the file is kept for a look."""
    await filled(tmp_path)
    (tmp_path / "buffer.sqlite3").write_bytes(content)
    async with opened(tmp_path) as buffer:
        assert buffer.recovered is not None
        assert not buffer.recovered.complete
        kept = buffer.recovered.path.read_bytes()
        assert kept[PAGE:] == content[PAGE:]
        assert buffer.recovered.path.name.startswith("buffer.sqlite3.corrupt-2025")
        left, found, cursors = await outcome(buffer)
        assert (left, cursors) == ([], set())
        (gap,) = found
        assert (gap["organization"], gap["app"], gap["lost"], gap["stream_kind"]) == ("", "", None, "logs")
        await buffer.commit([lines("next")], [])
    async with opened(tmp_path) as buffer:
        assert buffer.recovered is None


async def test_random_damage_never_stops_the_buffer(tmp_path: Path) -> None:
    """Whatever pages are overwritten, however many: it opens, accounts for what it had, and takes new frames."""
    await filled(tmp_path / "whole")
    whole = (tmp_path / "whole" / "buffer.sqlite3").read_bytes()
    for seed in range(12):
        rng = random.Random(seed)
        directory = tmp_path / str(seed)
        directory.mkdir()
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 1, 2, 5, 20])):
            at = rng.randrange(len(damaged) // PAGE) * PAGE + rng.choice([0, 0, rng.randrange(PAGE)])
            size = rng.choice([1, 8, 100, PAGE])
            damaged[at : at + size] = rng.randbytes(len(damaged[at : at + size]))
        (directory / "buffer.sqlite3").write_bytes(damaged)
        if rng.random() < 0.5:
            (directory / "buffer.sqlite3-wal").touch()
        async with opened(directory) as buffer:
            await buffer.commit([lines("next", where=partition("next"))], [cursor("key-next", b"1")])
            left, found, _ = await patient(buffer)
            assert "next" in left
            assert_accounted([line for line in left if line != "next"], found)


async def test_a_damaged_log_of_a_killed_process(tmp_path: Path) -> None:
    """A torn log ends at its last whole commit, as SQLite promises; nothing is called damage."""
    async with opened(tmp_path / "a") as buffer:
        for number in range(20):
            await buffer.commit([lines(str(number))], [cursor("position", str(number).encode())])
        for name in ("buffer.sqlite3", "buffer.sqlite3-wal"):
            target = tmp_path / "b" / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes((tmp_path / "a" / name).read_bytes())
    log = tmp_path / "b" / "buffer.sqlite3-wal"
    log.write_bytes(log.read_bytes()[:-5000])
    async with opened(tmp_path / "b") as buffer:
        assert buffer.recovered is None
        (position,) = await buffer.cursors()
        last = int(position.state)
        assert 0 < last < 20
        assert texts(await everything(buffer)) == [str(number) for number in range(last + 1)]


async def test_only_the_newest_damaged_file_is_kept(tmp_path: Path) -> None:
    """Each may be as large as the buffer; the disk stays bounded."""
    for number in range(3):
        await filled(tmp_path)
        overwrite(tmp_path, 1, 5)
        async with opened(tmp_path, now=1_760_400_000.0 + number) as buffer:
            assert buffer.recovered is not None
            newest = buffer.recovered.path
            await everything(buffer)
        assert [path for path in tmp_path.iterdir() if "corrupt" in path.name] == [newest]


async def test_sealed_batches_keep_name_and_bytes_through_a_salvage(tmp_path: Path) -> None:
    """A batch that was not hit is the same batch in the new file, and new numbers never repeat old ones."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([lines("a"), lines("b"), lines("gone", where=partition("gone"))], [])
        first = await buffer.seal("archive", partition("gone"), max_size=1)
        assert first is not None
        await buffer.acknowledge(first)
        batch = await buffer.seal("archive", partition(), max_size=MIB)
        assert batch is not None
        frames = await buffer.read(batch)
    overwrite(tmp_path, 1)
    async with opened(tmp_path) as buffer:
        assert buffer.recovered is not None
        assert await buffer.sealed("archive") == [batch]
        assert await buffer.read(batch) == frames
        done = await buffer.commit([lines("c")], [])
        assert done.frame_ids == (4,)
        await buffer.acknowledge(batch)
        later = await buffer.seal("archive", partition(), max_size=MIB)
        assert later is not None
        assert later.batch_id > batch.batch_id
        assert buffer.buffer_id in later.name
        assert buffer.buffer_id not in batch.name


async def test_where_it_is_not_known_what_a_sink_has_it_gets_it_again(tmp_path: Path) -> None:
    """Without the sinks' progress every frame that is left is delivered: rather twice than never."""
    async with opened(tmp_path, sinks=["a", "b"]) as buffer:
        await buffer.commit([lines("x")], [])
        batch = await buffer.seal("a", partition(), max_size=1)
        assert batch is not None
        await buffer.acknowledge(batch)
    overwrite(tmp_path, *pages_of(tmp_path, "progress"), *pages_of(tmp_path, "sinks"))
    async with opened(tmp_path, sinks=["a", "b"]) as buffer:
        assert texts(await everything(buffer, "a")) == ["x"]
        assert texts(await everything(buffer, "b")) == ["x"]


async def test_damage_at_run_time_is_said_once_and_then_repaired(tmp_path: Path) -> None:
    """The call that meets the damage was rolled back and says so; the same call again is done, and exactly once."""
    await filled(tmp_path, sealed=False)
    overwrite(tmp_path, *pages_of(tmp_path, "frames_of_partition"), unclean=False)
    async with opened(tmp_path) as buffer:
        assert buffer.recovered is None
        arrived = buffer.subscribe("archive")
        writes = [cursor(f"key-{number}", b"new") for number in range(FRAMES)]
        with pytest.raises(BufferUnavailable, match="damaged"):
            await buffer.commit([lines("next", where=partition("next"))], writes)
        assert buffer.recovered is not None
        assert arrived.is_set()
        await buffer.commit([lines("next", where=partition("next"))], writes)
        left, found, cursors = await outcome(buffer)
        assert left.count("next") == 1
        assert sorted(left) == sorted([*ALL, "next"])
        assert found == []
        assert len(cursors) == FRAMES


async def test_a_frame_of_noise_after_salvage_is_no_loop(tmp_path: Path) -> None:
    """Rows that read well but make no sense do not stop the start for ever."""
    await filled(tmp_path)
    connection = sqlite3.connect(tmp_path / "buffer.sqlite3")
    connection.execute("UPDATE frames SET partition_id = 999 WHERE id = 5")
    connection.execute("UPDATE partitions SET kind = 'nonsense' WHERE id = 3")
    connection.execute("UPDATE batches SET codec = 'nonsense'")
    connection.execute("UPDATE sinks SET name = 'text'")
    connection.commit()
    connection.close()
    async with opened(tmp_path) as buffer:
        assert buffer.recovered is not None
        left, found, cursors = await outcome(buffer)
        assert_accounted(left, found)
        assert len(cursors) == FRAMES
        assert len(left) > len(ALL) // 3


async def test_frames_that_no_longer_fit_are_counted(tmp_path: Path) -> None:
    """A salvage into a smaller max_size gives up what does not fit, with its count."""
    async with opened(tmp_path, max_size=64 * MIB) as buffer:
        for number in range(12):
            await buffer.commit([frame(2 * MIB, records=10, seed=number)], [])
    overwrite(tmp_path, 1)
    async with opened(tmp_path, max_size=16 * MIB) as buffer:
        assert buffer.recovered is not None
        assert buffer.recovered.lost_records == 120 - buffer.recovered.records > 0
        assert buffer.stats().disk_bytes <= 16 * MIB
        assert buffer.stats().frames == buffer.recovered.frames + 1  # the gap
