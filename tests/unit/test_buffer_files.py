"""Replacing a damaged file: a crash between any two steps loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper.buffer.files import Files

NOW = 1_760_400_000.0


def content(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_the_successor_takes_the_name_and_the_damaged_file_stays(tmp_path: Path) -> None:
    """With its log, under a name that tells when."""
    files = Files(tmp_path)
    files.main.write_text("damaged")
    (tmp_path / "buffer.sqlite3-wal").write_text("its log")
    files.building.write_text("new")
    aside = files.succeed(NOW)
    assert aside.name == "buffer.sqlite3.corrupt-20251014T000000Z"
    assert content(tmp_path) == {
        "buffer.sqlite3": "new",
        "buffer.sqlite3.corrupt-20251014T000000Z": "damaged",
        "buffer.sqlite3.corrupt-20251014T000000Z-wal": "its log",
    }


@pytest.mark.parametrize("done", range(4))
def test_a_succession_that_was_cut_short_is_completed(tmp_path: Path, done: int) -> None:
    """Whatever of log moved, file moved, successor renamed had happened: the end is the same."""
    files = Files(tmp_path)
    aside = tmp_path / "buffer.sqlite3.corrupt-20251014T000000Z"
    files.main.write_text("damaged")
    log = tmp_path / "buffer.sqlite3-wal"
    log.write_text("its log")
    files.building.write_text("new")
    if done >= 1:
        files.building.rename(files.salvaged)
    if done >= 2:
        log.rename(aside.with_name(aside.name + "-wal"))
    if done >= 3:
        files.main.rename(aside)
    again = files.finish(NOW + 1)
    if done == 0:  # what was being built may not be complete
        assert again is None
        assert files.main.read_text() == "damaged"
    else:
        assert files.main.read_text() == "new"
        assert not log.exists()
        assert not files.salvaged.exists()
        kept = {path.read_text() for path in tmp_path.glob("*.corrupt-*")}
        assert "damaged" in kept


def test_a_first_file_does_not_inherit_a_log(tmp_path: Path) -> None:
    """A log without its file would be replayed into the new one."""
    files = Files(tmp_path)
    (tmp_path / "buffer.sqlite3-wal").write_text("of a file that someone removed")
    files.building.write_text("new")
    files.first()
    assert content(tmp_path) == {"buffer.sqlite3": "new"}


def test_two_damaged_files_of_one_second_have_two_names(tmp_path: Path) -> None:
    """Nothing is overwritten; only the newest stays."""
    files = Files(tmp_path)
    for number in range(3):
        files.main.write_text(f"damaged {number}")
        files.building.write_text("new")
        aside = files.succeed(NOW)
        assert aside.read_text() == f"damaged {number}"
    assert len(list(tmp_path.glob("*.corrupt-*"))) == 1


def test_what_a_crash_left_half_built_is_removed(tmp_path: Path) -> None:
    """With its log."""
    files = Files(tmp_path)
    files.building.write_text("half")
    (tmp_path / "buffer.sqlite3.building-wal").write_text("log")
    files.clear_building()
    files.clear_building()
    assert content(tmp_path) == {}
