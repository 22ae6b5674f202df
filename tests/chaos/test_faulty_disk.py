"""The library that makes system calls fail does what it is told, to the calls it is told of, and to no others."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3  # noqa: F401 - so that its library is in the maps
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.faulty_disk import Act, Call, FaultyDisk, Step, build

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no compiler for the library")

WRITE = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
for piece in (b"one.", b"two.", b"three."):
    os.write(fd, piece)
os.fsync(fd)
"""
SEAL = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
for table in ("frames", "batches"):
    db.execute(f"CREATE TABLE {table} (id INTEGER)")
    db.execute("BEGIN")
    db.execute(f"INSERT INTO {table} VALUES (1)")
    db.execute("COMMIT")
"""


@pytest.fixture
def disk(tmp_path: Path) -> FaultyDisk:
    for name in ("buffer", "archive", "elsewhere"):
        (tmp_path / name).mkdir()
    library = build(tmp_path)
    assert library is not None
    return FaultyDisk(library, tmp_path, buffer=tmp_path / "buffer", archive=tmp_path / "archive")


def run(disk: FaultyDisk, program: str, file: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, str(file)],
        env={**os.environ, **disk.environment}, capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr.decode()


def test_nothing_fails_until_it_is_told_so(disk: FaultyDisk, tmp_path: Path) -> None:
    assert run(disk, WRITE, tmp_path / "archive" / "file") == (0, "")
    assert disk.seen == 5
    assert (disk.acted, disk.last) == (0, "")


def test_a_file_that_is_elsewhere_never_fails(disk: FaultyDisk, tmp_path: Path) -> None:
    disk.arm(Act.FAIL, error=5, times=-1)
    assert run(disk, WRITE, tmp_path / "elsewhere" / "file") == (0, "")
    assert disk.seen == 0


def test_one_call_of_a_kind_fails_and_the_next_does_not(disk: FaultyDisk, tmp_path: Path) -> None:
    disk.arm(Act.FAIL, calls=Call.SYNC, error=5)
    status, said = run(disk, WRITE, tmp_path / "archive" / "file")
    assert status == 1
    assert "Input/output error" in said
    assert disk.last == "upload: fsync file"
    assert run(disk, WRITE, tmp_path / "archive" / "file") == (0, "")


@pytest.mark.parametrize(
    ("act", "left"),
    [(Act.KILL_BEFORE, b"one."), (Act.TORN, b"one.tw"), (Act.KILL_AFTER, b"one.two.")],
)
def test_a_kill_comes_before_within_or_after_the_call(
    disk: FaultyDisk, tmp_path: Path, act: Act, left: bytes
) -> None:
    disk.arm(act, calls=Call.WRITE, before=1)
    file = tmp_path / "archive" / "file"
    assert run(disk, WRITE, file)[0] == -signal.SIGKILL
    assert file.read_bytes() == left
    assert disk.acted == 1


def test_a_short_write_says_how_much_it_wrote(disk: FaultyDisk, tmp_path: Path) -> None:
    disk.arm(Act.SHORT, calls=Call.WRITE)
    file = tmp_path / "archive" / "file"
    assert run(disk, WRITE, file)[0] == 0
    assert file.read_bytes() == b"ontwo.three."


@pytest.mark.skipif(
    "libsqlite3.so" not in Path("/proc/self/maps").read_text(), reason="SQLite is a part of this Python"
)
def test_the_step_is_known_by_the_transaction(disk: FaultyDisk, tmp_path: Path) -> None:
    disk.arm(Act.KILL_BEFORE, steps=Step.SEAL)
    assert run(disk, SEAL, tmp_path / "buffer" / "buffer.sqlite3")[0] == -signal.SIGKILL
    assert disk.last == "seal: pwrite buffer.sqlite3-wal"
