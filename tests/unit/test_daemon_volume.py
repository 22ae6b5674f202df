"""What `check --connect` says of the buffer's folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shipper.daemon.volume import looked_at

MIB = 1024 * 1024


def test_a_folder_that_is_not_there_yet_counts_as_its_parent(tmp_path: Path) -> None:
    works, said = looked_at(tmp_path / "a" / "b", MIB)
    assert works, said
    assert "has room for" in said
    assert not (tmp_path / "a").exists()


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert looked_at(tmp_path / "file" / "buffer", MIB) == (
        False,
        f"{tmp_path}/file is not a folder: correct buffer.path",
    )


def test_a_volume_that_is_smaller_than_the_buffer_may_be_is_told(tmp_path: Path) -> None:
    works, said = looked_at(tmp_path, 1 << 60)
    assert works
    assert "less than buffer.max_size" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_folder_that_may_not_be_written_is_told_with_the_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    works, said = looked_at(tmp_path / "buffer", MIB)
    assert not works
    assert f"the user with the id {os.geteuid()} cannot write in {tmp_path}" in said
