"""Files of an older version: they are upgraded where they lie, and those of a newer one are left alone."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path

import pytest

from shipper.archive.codec import compress
from shipper.buffer.schema import VERSION
from shipper.errors import BufferUnavailable
from shipper.model import Carried, Codec, Frame
from tests.buffer_files import cursor, everything, gaps, lines, opened, partition, texts

VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sinks (slot INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, from_frame INTEGER NOT NULL);
CREATE TABLE partitions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, organization BLOB NOT NULL,
    app BLOB NOT NULL, hour INTEGER NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE frames (
    id INTEGER PRIMARY KEY AUTOINCREMENT, partition_id INTEGER NOT NULL, codec TEXT NOT NULL,
    records INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, size INTEGER NOT NULL,
    crc INTEGER NOT NULL, sinks INTEGER NOT NULL, committed_ms INTEGER NOT NULL,
    checksum INTEGER NOT NULL);
CREATE INDEX frames_of_partition ON frames (partition_id, id);
CREATE TABLE pieces (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE progress (
    slot INTEGER NOT NULL, partition_id INTEGER NOT NULL, sealed_through INTEGER NOT NULL,
    PRIMARY KEY (slot, partition_id)) WITHOUT ROWID;
CREATE TABLE batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT, slot INTEGER NOT NULL, partition_id INTEGER NOT NULL,
    name TEXT NOT NULL, codec TEXT NOT NULL, frames INTEGER NOT NULL, records INTEGER NOT NULL,
    size INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    first_frame INTEGER NOT NULL, last_frame INTEGER NOT NULL, committed_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL);
CREATE TABLE cursors (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, state BLOB NOT NULL,
    updated_ms INTEGER NOT NULL);
CREATE TABLE segments (
    cursor_id INTEGER NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (cursor_id, seq)) WITHOUT ROWID;
CREATE TABLE losses (
    id INTEGER PRIMARY KEY, organization BLOB NOT NULL, app BLOB NOT NULL, kind TEXT NOT NULL,
    from_ms INTEGER NOT NULL, to_ms INTEGER NOT NULL, reason TEXT NOT NULL, lost INTEGER,
    detail TEXT NOT NULL);
INSERT INTO meta (key, value) VALUES ('version', '1'), ('buffer_id', 'cafe0001'), ('created', '1760400000');
INSERT INTO sinks (slot, name, from_frame) VALUES (0, CAST('archive' AS BLOB), 1), (1, CAST('local' AS BLOB), 1);
"""
"""The schema as the releases before carried state and dead letters made it."""

NAME = "1760400000000-cafe0001-0000000001-0000000002"
COUNT = 40


def checked(*values: object) -> list[object]:
    return [*values, zlib.crc32(repr(values).encode())]


def frames_of(app: str) -> list[Frame]:
    return [lines(f"{app}-{number}", where=partition(app), codec=Codec.ZSTD) for number in range(COUNT)]


def version_1(directory: Path) -> None:
    """A file with frames of two apps, one batch sealed for `archive` (two frames, tried three times), and a cursor."""
    directory.mkdir(exist_ok=True)
    file = sqlite3.connect(directory / "buffer.sqlite3")
    for pragma in ("page_size = 8192", "auto_vacuum = INCREMENTAL", "journal_mode = WAL"):
        file.execute(f"PRAGMA {pragma}")
    file.executescript(VERSION_1)
    insert_frame = f"INSERT INTO frames VALUES ({','.join('?' * 11)})"
    size = 0
    for number, app in enumerate(("a", "b"), 1):
        row = checked(number, "logs", b"acme", app.encode(), partition(app).hour)
        file.execute("INSERT INTO partitions VALUES (?,?,?,?,?,?)", row)
        for at, frame in enumerate(frames_of(app), 1 + COUNT * (number - 1)):
            data = frame.data
            times = (frame.first_ms, frame.last_ms)
            row = checked(at, number, "zstd", 1, *times, len(data), zlib.crc32(data), 0b11, 1_760_400_000_000)
            file.execute(insert_frame, row)
            file.execute("INSERT INTO pieces VALUES (?, ?)", (at * 4096, data))
            size += len(data) if at <= 2 else 0
    at_ms = 1_760_400_000_000
    batch = (1, 0, 1, NAME, "zstd", 2, 2, size, at_ms, at_ms, 1, 2, at_ms, 3)
    file.execute(f"INSERT INTO batches VALUES ({','.join('?' * 14)})", batch)
    file.execute("INSERT INTO progress VALUES (0, 1, 2)")
    file.execute("INSERT INTO cursors VALUES (1, ?, ?, ?)", (b"key", b"state", at_ms))
    file.execute("INSERT INTO segments VALUES (1, 5, ?)", (b"segment",))
    file.commit()
    file.close()


def schema_of(directory: Path) -> tuple[list[tuple[str, int]], dict[str, list[tuple[object, ...]]]]:
    """The root pages of all tables and indexes, and their columns."""
    file = sqlite3.connect(directory / "buffer.sqlite3")
    roots = file.execute("SELECT name, rootpage FROM sqlite_schema").fetchall()
    columns = {name: file.execute(f"PRAGMA table_info({name})").fetchall() for name, _ in roots}
    file.close()
    return roots, columns


async def test_a_file_of_version_1_is_upgraded_with_all_that_is_in_it(tmp_path: Path) -> None:
    """Frames, the sealed batch under its name, attempts, progress of sealing and cursors are what they were."""
    version_1(tmp_path)
    async with opened(tmp_path, sinks=["archive", "local"]) as buffer:
        assert buffer.recovered is None
        assert buffer.buffer_id == "cafe0001"
        (batch,) = await buffer.sealed("archive")
        assert (batch.name, batch.attempts, batch.done, batch.plan) == (NAME, 3, 0, "")
        assert await buffer.read(batch) == [one.data for one in frames_of("a")[:2]]
        assert [(one.key, one.state, one.segments) for one in await buffer.cursors()] == [
            ("key", b"state", ((5, b"segment"),))
        ]
        assert buffer.stats().backlog_records == {"archive": 2 * COUNT, "local": 2 * COUNT}
        await buffer.progressed(batch, 1, "plan")
        await buffer.carry("local", Carried(partition("a"), b"held", 1, 5))
    async with opened(tmp_path, sinks=["archive", "local"]) as buffer:
        (batch,) = await buffer.sealed("archive")
        assert (batch.done, batch.plan) == (1, "plan")
        expected = [f"{app}-{number}" for app in "ab" for number in range(COUNT)]
        assert texts(await everything(buffer, "archive")) == expected
        assert texts(await everything(buffer, "local")) == expected


async def test_an_upgraded_file_has_the_tables_of_a_new_one_on_the_same_pages(tmp_path: Path) -> None:
    """Salvage reads a file through another one's first page."""
    version_1(tmp_path / "old")
    for name in ("old", "new"):
        async with opened(tmp_path / name, sinks=["archive", "local"]) as buffer:
            await buffer.commit([lines("x")], [cursor()])
    assert schema_of(tmp_path / "old") == schema_of(tmp_path / "new")


async def test_an_upgrade_that_is_cut_short_is_done_again(tmp_path: Path) -> None:
    """All of its steps are one transaction: whatever a kill leaves, the next start finds version 1 or the next."""
    version_1(tmp_path)
    file = sqlite3.connect(tmp_path / "buffer.sqlite3", isolation_level=None)
    file.execute("BEGIN IMMEDIATE")
    file.execute("ALTER TABLE batches ADD COLUMN done INTEGER NOT NULL DEFAULT 0")
    for name in ("buffer.sqlite3", "buffer.sqlite3-wal"):
        target = tmp_path / "killed" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((tmp_path / name).read_bytes())
    file.close()
    async with opened(tmp_path / "killed", sinks=["archive", "local"]) as buffer:
        assert buffer.recovered is None
        assert len(texts(await everything(buffer))) == 2 * COUNT


@pytest.mark.parametrize("page", [1, 6, 9])
async def test_a_damaged_file_of_version_1_is_saved_into_one_of_this_version(
    tmp_path: Path, page: int
) -> None:
    """What version 1 did not know is not missed: nothing is called lost that is there."""
    version_1(tmp_path)
    with (tmp_path / "buffer.sqlite3").open("r+b") as file:
        file.seek((page - 1) * 8192)
        file.write(bytes(range(256)) * 32)
    (tmp_path / "buffer.sqlite3-wal").touch()
    async with opened(tmp_path, sinks=["archive", "local"]) as buffer:
        assert buffer.recovered is not None
        assert buffer.recovered.complete
        found = await everything(buffer, "local")
        assert texts(found) == [f"{app}-{number}" for app in "ab" for number in range(COUNT)]
        assert gaps(found) == []
        await buffer.carry("local", Carried(partition("a"), b"held", 1, 5))


async def test_a_newer_file_is_refused_even_if_it_looks_damaged(tmp_path: Path) -> None:
    """What a newer version wrote is not for this one to judge: nothing is moved, nothing written, and it says why."""
    async with opened(tmp_path) as buffer:
        await buffer.commit([lines(str(number), where=partition(str(number))) for number in range(500)], [])
    path = tmp_path / "buffer.sqlite3"
    file = sqlite3.connect(path)
    file.execute("UPDATE meta SET value = ? WHERE key = 'version'", (str(VERSION + 1),))
    file.commit()
    ((root,),) = file.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'frames'").fetchall()
    file.close()
    content = bytearray(path.read_bytes())
    content[(root - 1) * 8192 : root * 8192] = compress(Codec.NONE, b"x" * 8192)
    path.write_bytes(content)
    (tmp_path / "buffer.sqlite3-wal").touch()
    with pytest.raises(BufferUnavailable, match=f"newer version .* format is {VERSION + 1}.* left as it is"):
        async with opened(tmp_path):
            pass
    assert path.read_bytes() == content
    assert sorted(one.name for one in tmp_path.iterdir()) == ["buffer.sqlite3", "shipper.lock"]
