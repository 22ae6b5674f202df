"""A disk that refuses: a clear error that says what to do, nothing half written, and the buffer goes on when it can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper.buffer import Buffer, WhenFull
from shipper.buffer.database import Database
from shipper.errors import BufferUnavailable
from shipper.model import Batch, Kind, Partition
from tests.buffer_files import MIB, cursor, everything, frame, gaps, lines, opened, partition, texts
from tests.fakes.meter import FakeMeter


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB, where this user may mount one."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(where)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if done.returncode:
        pytest.skip(f"this user may not mount a tmpfs: {done.stderr.decode().strip()}")
    try:
        yield where
    finally:
        subprocess.run(["umount", str(where)], check=True)


async def test_a_full_disk_is_an_error_and_then_is_not(small_disk: Path) -> None:
    """The commit that did not fit left nothing; when there is space again the same commit goes through."""
    ballast = small_disk / "ballast"
    async with opened(small_disk, max_size=64 * MIB) as buffer:
        await buffer.commit([lines("before")], [cursor("a", b"1")])
        ballast.write_bytes(bytes(9 * MIB))
        for size in (4 * MIB, 6 * MIB):
            with pytest.raises(BufferUnavailable, match="free some space on its disk"):
                await buffer.commit([frame(size, partition("large"))], [cursor("a", b"2")])
            assert [one.state for one in await buffer.cursors()] == [b"1"]
            assert buffer.stats().frames == 1
        ballast.write_bytes(bytes(9 * MIB + _free(small_disk)))
        with pytest.raises(BufferUnavailable, match="free some space on its disk"):
            for _ in range(100):  # small steps find room in the log for a while
                await buffer.attempted(await _sealed_anew(buffer))
        ballast.unlink()
        await buffer.commit([lines("small")], [])
        await buffer.commit([frame(3 * MIB, partition("large"))], [cursor("a", b"2")])
        batch = await buffer.seal("archive", partition("large"), max_size=1)
        assert batch is not None
        await buffer.acknowledge(batch)
    async with opened(small_disk, max_size=64 * MIB) as buffer:
        assert buffer.recovered is None
        assert [one.state for one in await buffer.cursors()] == [b"2"]
        assert texts(await everything(buffer)) == ["before", "small"]


async def test_a_disk_that_fills_up_in_the_middle_of_many_commits(small_disk: Path) -> None:
    """Whatever the moment, also while the log is moved into the database: what was confirmed is there, once."""
    confirmed = []
    async with opened(small_disk, max_size=64 * MIB) as buffer:
        for number in range(200):
            try:
                await buffer.commit([frame(200_000, partition(f"app-{number}"), seed=number)], [])
            except BufferUnavailable:
                continue
            confirmed.append(number)
        assert 10 < len(confirmed) < 60
        for number in confirmed[:5]:  # what is there can be read and settled, disk or no disk
            batch = await buffer.seal("archive", partition(f"app-{number}"), max_size=1)
            assert batch is not None
            assert await buffer.read(batch) == [frame(200_000, seed=number).data]
            await buffer.acknowledge(batch)
        await buffer.commit([frame(200_000, partition("app-again"))], [])
        confirmed = [*confirmed[5:], "again"]
    async with opened(small_disk, max_size=64 * MIB) as buffer:
        assert buffer.recovered is None
        waiting = {one.partition.app for one in await buffer.open_partitions("archive")}
        assert waiting == {f"app-{number}" for number in confirmed}
        assert buffer.stats().frames == len(confirmed)


@pytest.mark.parametrize("when_full", list(WhenFull))
async def test_a_disk_that_refuses_and_says_that_it_has_room_is_not_a_full_buffer(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, when_full: WhenFull
) -> None:
    """As with a project's quota, or where somebody makes room just after: nobody must wait for a sink to take what is
    not there.
    """
    async with opened(small_disk, max_size=64 * MIB, when_full=when_full) as buffer:
        await buffer.commit([lines("before")], [cursor("a", b"1")])
        monkeypatch.setattr(Database, "disk_free", lambda _: 64 * MIB)
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(_free(small_disk)))
        with pytest.raises(BufferUnavailable, match="free some space on its disk"):
            await buffer.commit([frame(4 * MIB, partition("large"))], [cursor("a", b"2")])
        ballast.unlink()
        await buffer.commit([frame(1 * MIB, partition("large"))], [cursor("a", b"2")])
        assert [one.state for one in await buffer.cursors()] == [b"2"]


async def test_the_disk_is_the_bound_where_it_is_smaller_than_max_size(small_disk: Path) -> None:
    """DROP_OLDEST goes on for ever on such a disk; what was dropped is recorded as in a full buffer."""
    meter = FakeMeter()
    async with opened(small_disk, max_size=64 * MIB, when_full=WhenFull.DROP_OLDEST, meter=meter) as buffer:
        for number in range(100):
            done = await buffer.commit([frame(300_000, records=10, seed=number)], [])
            assert all(done.frame_ids)
        left = buffer.stats().backlog_records["archive"]
        found = gaps(await everything_but_logs(buffer))
        assert sum(gap["lost"] for gap in found) == 1000 - (left - len(found)) > 0
    assert meter.counts["records_dropped_total", "archive", "buffer_full"] == sum(
        gap["lost"] for gap in found
    )


async def everything_but_logs(buffer: Buffer) -> dict[Partition, list[dict[str, object]]]:
    """What `everything` gives, for frames that are no records."""
    for one in await buffer.open_partitions("archive"):
        if one.partition.kind is Kind.LOGS:
            while (batch := await buffer.seal("archive", one.partition, max_size=MIB)) is not None:
                await buffer.acknowledge(batch)
    return await everything(buffer)


async def _sealed_anew(buffer: Buffer) -> Batch:
    batches = await buffer.sealed("archive")
    if batches:
        return batches[0]
    batch = await buffer.seal("archive", partition(), max_size=1)
    assert batch is not None
    return batch


def _free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


CHILD = """
import asyncio, os, resource, sys
from pathlib import Path

from shipper.errors import BufferUnavailable
from tests.buffer_files import MIB, cursor, frame, opened, partition

async def limited(directory):
    async with opened(directory, max_size=64 * MIB) as buffer:
        await buffer.commit([frame()], [cursor("a", b"1")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, resource.RLIM_INFINITY))
        for _ in range(2):
            try:
                await buffer.commit([frame(4 * MIB)], [cursor("a", b"2")])
            except BufferUnavailable as error:
                print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print([one.state for one in await buffer.cursors()])
        await buffer.commit([frame(4 * MIB)], [cursor("a", b"3")])
        print([one.state for one in await buffer.cursors()], buffer.stats().frames)

async def refused(directory):
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        async with opened(directory) as buffer:
            await buffer.commit([frame()], [])
    except BufferUnavailable as error:
        print(error)

asyncio.run({"limited": limited, "refused": refused}[sys.argv[1]](Path(sys.argv[2])))
"""


def child(what: str, directory: Path) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, what, str(directory)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_write_error_is_rolled_back(tmp_path: Path) -> None:
    """An error in the middle of writing (here: the limit of a file's size) is named; the buffer goes on after it."""
    first, second, before, after = child("limited", tmp_path)
    assert first == second
    assert "SQLITE_IOERR" in first
    assert "check the disk" in first
    assert before == "[b'1']"
    assert after == "[b'3'] 2"


@pytest.fixture
def readable_by_all(tmp_path: Path) -> Path:
    """A folder that another user can reach but not write."""
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid != os.getuid() or path == path.parent:
            break
        if not path.stat().st_mode & 0o001:
            path.chmod(0o711)
    folder = tmp_path / "buffer"
    folder.mkdir()
    folder.chmod(0o555)
    return folder


def test_a_folder_that_cannot_be_written(readable_by_all: Path) -> None:
    """The error says which folder it is and what is needed."""
    (said,) = child("refused", readable_by_all)
    assert str(readable_by_all) in said
    assert "make the directory and its files writable" in said


async def test_a_file_that_cannot_be_written(readable_by_all: Path) -> None:
    """A buffer of another user is refused with the same advice, and is not taken for damaged."""
    if os.getuid() != 0:
        pytest.skip("only root can make the file of another user")
    async with opened(readable_by_all) as buffer:
        await buffer.commit([lines("a")], [])
    readable_by_all.chmod(0o777)
    (readable_by_all / "shipper.lock").chmod(0o666)
    (readable_by_all / "buffer.sqlite3").chmod(0o444)
    (said,) = child("refused", readable_by_all)
    assert "make the directory and its files writable" in said
    async with opened(readable_by_all) as buffer:
        assert buffer.recovered is None
        assert texts(await everything(buffer)) == ["a"]


async def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    """A file in the folder's place is named."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BufferUnavailable, match="file"):
        async with opened(tmp_path / "file" / "buffer"):
            pass


async def test_a_file_of_another_version_is_left_alone(tmp_path: Path) -> None:
    """A newer format is no damage: the file stays, and the message says what to do."""
    import sqlite3

    async with opened(tmp_path) as buffer:
        await buffer.commit([lines("a")], [])
    connection = sqlite3.connect(tmp_path / "buffer.sqlite3")
    connection.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    connection.commit()
    connection.close()
    with pytest.raises(BufferUnavailable, match="newer version of shipper"):
        async with opened(tmp_path):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["buffer.sqlite3", "shipper.lock"]
