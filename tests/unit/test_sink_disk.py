"""Durable writing, what a crash leaves, and what a disk's refusal means."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
from pathlib import Path
from threading import Event

import pytest

from shipper.model import Batch, Codec, Kind, Partition
from shipper.sinks.directory import disk
from shipper.sinks.directory.disk import Folders, Written, make_root, probe, sweep, write_durably
from shipper.sinks.directory.refusals import refusal
from shipper.sinks.directory.sink import DirectoryOptions, DirectorySink, place
from shipper.sinks.port import Delivered, Outcome, Parked, Rejected, Retry

LEFTOVER = ".tmp-shipper-0123456789abcdef"


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "c.ndjson"
    assert write_durably(target, [b"one", b"", b"two"], Folders(tmp_path)) is Written.NEW
    assert target.read_bytes() == b"onetwo"
    assert files(tmp_path) == {"a/b/c.ndjson"}


def test_the_order_on_disk_is_file_then_name_then_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls that make it durable, in the order in which a crash may cut them off."""
    log: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def logged_fsync(descriptor: int) -> None:
        log.append("fsync " + Path(f"/proc/self/fd/{descriptor}").readlink().name[:12])
        fsync(descriptor)

    def logged_rename(self: Path, target: Path) -> Path:
        log.append("rename to " + target.name)
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", logged_fsync)
    monkeypatch.setattr(Path, "rename", logged_rename)
    (tmp_path / "root").mkdir()
    write_durably(tmp_path / "root" / "new" / "file", [b"x"], Folders(tmp_path / "root"))
    assert log == ["fsync root", "fsync .tmp-shipper", "rename to file", "fsync new"]


def test_a_file_that_is_there_already_is_left_alone_but_made_durable(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_durably(target, [b"one", b"two"], Folders(tmp_path))
    before = target.stat()
    assert write_durably(target, [b"on", b"etwo"], Folders(tmp_path)) is Written.SAME
    assert target.stat().st_ino == before.st_ino


@pytest.mark.parametrize("other", [b"xnetwo", b"longer than that", b""])
def test_a_file_with_other_content_is_replaced(tmp_path: Path, other: bytes) -> None:
    target = tmp_path / "file"
    target.write_bytes(other)
    assert write_durably(target, [b"one", b"two"], Folders(tmp_path)) is Written.REPLACED
    assert target.read_bytes() == b"onetwo"


def test_a_write_that_fails_leaves_the_old_file_and_no_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_durably(target, [b"new"], Folders(tmp_path))
    assert files(tmp_path) == {"file"}
    assert target.read_bytes() == b"old"


def test_folders_that_somebody_removed_are_made_again(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    write_durably(tmp_path / "a" / "one", [b"1"], folders)
    (tmp_path / "a" / "one").unlink()
    (tmp_path / "a").rmdir()
    write_durably(tmp_path / "a" / "two", [b"2"], folders)
    assert files(tmp_path) == {"a/two"}


def test_a_root_that_vanished_is_not_made_again(tmp_path: Path) -> None:
    """It is a volume that was unmounted; the data must not land on the disk below it."""
    folders = Folders(tmp_path / "volume")
    with pytest.raises(FileNotFoundError):
        write_durably(tmp_path / "volume" / "a" / "file", [b"1"], folders)
    assert not (tmp_path / "volume").exists()


def test_a_new_file_has_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_durably(tmp_path / "file", [b"1"], Folders(tmp_path))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_sweep_removes_what_a_crash_left_and_nothing_else(tmp_path: Path) -> None:
    deep = tmp_path / "kind=logs" / "hour=01"
    deep.mkdir(parents=True)
    kept = {
        "kind=logs/hour=01/data.ndjson",
        ".tmp-of-another-program",
        ".tmp-shipper-notes",
        LEFTOVER + ".txt",
    }
    for name in kept:
        (tmp_path / name).touch()
    (deep / LEFTOVER).write_bytes(b"half a file")
    (tmp_path / LEFTOVER).touch()
    assert sweep(tmp_path, Event()) == 2
    assert files(tmp_path) == kept


def test_a_sweep_leaves_a_file_that_is_being_written(tmp_path: Path) -> None:
    with (tmp_path / LEFTOVER).open("wb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        assert sweep(tmp_path, Event()) == 0
    assert sweep(tmp_path, Event()) == 1


def test_a_temporary_file_is_locked_for_as_long_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[int] = []
    fsync = os.fsync

    def swept_before_fsync(descriptor: int) -> None:
        removed.append(sweep(tmp_path, Event()))
        fsync(descriptor)

    monkeypatch.setattr(disk.os, "fsync", swept_before_fsync)
    write_durably(tmp_path / "file", [b"1"], Folders(tmp_path))
    assert removed == [0, 0]
    assert files(tmp_path) == {"file"}


def test_a_sweep_stops_when_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / LEFTOVER).touch()
    stop = Event()
    stop.set()
    assert sweep(tmp_path, stop) == 0


def test_a_probe_leaves_nothing(tmp_path: Path) -> None:
    make_root(tmp_path / "a" / "b")
    probe(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_root_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        make_root(tmp_path / "file")


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "a//b", "a/./b", "", "a/\0"])
def test_a_key_that_would_leave_the_root_has_no_place(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a path below"):
        place(tmp_path, key)


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.ENOSPC, Retry, "free some"),
        (errno.EDQUOT, Retry, "quota"),
        (errno.EIO, Retry, "Input/output error"),
        (errno.ESTALE, Retry, "Stale file handle"),
        (errno.EMFILE, Retry, "Too many open files"),
        (errno.ENOENT, Retry, "mounted"),
        (errno.EROFS, Parked, "read-only"),
        (errno.EACCES, Parked, "permission"),
        (errno.EPERM, Parked, "not permitted"),
        (errno.ENOTDIR, Parked, "a file where a folder must be"),
        (errno.ENAMETOOLONG, Parked, "shorter `path`"),
        (errno.EFBIG, Rejected, "max_size"),
    ],
)
def test_each_refusal_of_a_disk_has_its_outcome_and_advice(
    number: int, kind: type[Outcome], said: str
) -> None:
    outcome = refusal(OSError(number, os.strerror(number)), Path("/archive"))
    assert type(outcome) is kind
    assert said in getattr(outcome, "reason", "")
    assert "/archive" in getattr(outcome, "reason", "")


def batch() -> Batch:
    return Batch(1, "local", Partition(Kind.LOGS, "acme", "checkout", 0), "name", Codec.ZSTD, 1, 3, 0, 0)


async def test_the_sink_says_when_it_replaces_and_when_it_finds_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = DirectorySink("local", DirectoryOptions(tmp_path))
    await sink.open()
    assert await sink.send(batch(), [b"abc"]) == Delivered()
    assert await sink.send(batch(), [b"abc"]) == Delivered("it was there already")
    assert caplog.records == []
    assert await sink.send(batch(), [b"xyz"]) == Delivered()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    await sink.aclose()


async def test_opening_sweeps_in_the_background_and_says_what_it_removed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / LEFTOVER).touch()
    sink = DirectorySink("local", DirectoryOptions(tmp_path))
    await sink.open()
    assert sink.swept is not None
    assert sink.swept.result(timeout=5) == 1
    assert "removed 1 temporary file" in caplog.text
    await sink.aclose()


async def test_a_root_that_cannot_be_made_is_warned_of_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocker = tmp_path / "volume"
    blocker.touch()
    sink = DirectorySink("local", DirectoryOptions(blocker / "archive"))
    await sink.open()
    assert "tried again with each batch" in caplog.text
    assert isinstance(await sink.send(batch(), [b"abc"]), Parked)
    assert isinstance(await sink.check(), Parked)
    blocker.unlink()
    assert await sink.send(batch(), [b"abc"]) == Delivered()
    await sink.aclose()


async def test_a_damaged_frame_that_must_be_packed_anew_is_rejected(tmp_path: Path) -> None:
    sink = DirectorySink("local", DirectoryOptions(tmp_path, Codec.GZIP))
    await sink.open()
    assert isinstance(await sink.send(batch(), [b"damaged"]), Rejected)
    await sink.aclose()
