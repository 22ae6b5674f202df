"""What can be said of the buffer's folder before it is used: whether it may be written, whether there is room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from shipper.config.units import format_size

_LEAST: Final = 16 * 1024 * 1024  # as of buffer.max_size; below that a commit may fail at once


def looked_at(folder: Path, max_size: int) -> tuple[bool, str]:
    """Whether the buffer can be there, and what was seen or what to do. Nothing is written."""
    there = _first_that_exists(folder.absolute())
    if not there.is_dir():
        return False, f"{there} is not a folder: correct buffer.path"
    if not os.access(there, os.W_OK | os.X_OK):
        why = f"the user with the id {os.geteuid()} cannot write in {there}"
        return False, f"{why}: give it that right, or set buffer.path to another folder"
    room = shutil.disk_usage(there).free + _size(folder)
    seen = f"{folder} has room for {format_size(_rounded(room))}"
    if room < _LEAST:
        return False, f"{seen}: free some space on its volume, or set buffer.path to another one"
    if room < max_size:
        seen += f", less than buffer.max_size ({format_size(max_size)}): streams are held back when the volume is full"
    return True, seen


def _first_that_exists(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _size(folder: Path) -> int:
    """What the buffer itself takes already."""
    return sum(file.stat().st_size for file in folder.glob("buffer.sqlite3*"))


def _rounded(size: int) -> int:
    """Down to a whole number of the largest unit that leaves some digits."""
    unit = next((unit for unit in (1 << 30, 1 << 20, 1 << 10) if size >= 10 * unit), 1)
    return size - size % unit
