"""The files of a buffer's folder, and how a damaged one is replaced so that a crash in between loses nothing.

A new file is made under another name and renamed when it is complete; so a file that has the buffer's name
was complete once. A successor of a damaged file waits as `.salvaged` until the damaged one is out of the
way.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shipper.buffer.lock import LOCK_NAME

NAME: Final = "buffer.sqlite3"
_CORRUPT: Final = f"{NAME}.corrupt-"

log = logging.getLogger("shipper.buffer")


@dataclass(frozen=True, slots=True)
class Files:
    """Paths in the folder, and moves between them."""

    directory: Path

    @property
    def main(self) -> Path:
        """The buffer."""
        return self.directory / NAME

    @property
    def building(self) -> Path:
        """A file that is not complete."""
        return self.directory / f"{NAME}.building"

    @property
    def salvaged(self) -> Path:
        """A complete successor that has not yet taken the buffer's name."""
        return self.directory / f"{NAME}.salvaged"

    @property
    def all(self) -> tuple[Path, ...]:
        """Every path that is opened."""
        databases = (self.main, self.building, self.salvaged)
        return self.directory / LOCK_NAME, *(path for one in databases for path in with_log(one))

    def clear_building(self) -> None:
        """Remove what a crash left of a file in the making."""
        for path in with_log(self.building):
            path.unlink(missing_ok=True)

    def first(self) -> None:
        """The built file becomes the buffer of a folder that has none."""
        log_of(self.main).unlink(missing_ok=True)  # one without its file would be taken for the new file's
        self.building.rename(self.main)
        self.sync()

    def succeed(self, now: float) -> Path:
        """The built file becomes the buffer in the place of a damaged one; returns where that is now."""
        self.building.rename(self.salvaged)
        self.sync()
        return self.finish(now) or self.main

    def finish(self, now: float) -> Path | None:
        """Complete a succession that a crash may have cut short. Returns the damaged file's new name."""
        if not self.salvaged.exists():
            return None
        aside = self.directory / f"{_CORRUPT}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
        number = 1
        while any(path.exists() for path in with_log(aside)):
            number += 1
            aside = aside.with_name(f"{aside.name.split('.n')[0]}.n{number}")
        is_there = self.main.exists()
        for path, target in zip(reversed(with_log(self.main)), reversed(with_log(aside)), strict=True):
            if path.exists():
                path.rename(target)
        self.salvaged.rename(self.main)
        self.sync()
        if is_there:  # otherwise it went aside before the crash, under an earlier name
            self._remove_older(aside)
        return aside

    def sync(self) -> None:
        """Make renames durable."""
        descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _remove_older(self, newest: Path) -> None:
        """One damaged file stays for a look; each may be as large as the buffer."""
        for path in self.directory.glob(f"{_CORRUPT}*"):
            if path not in with_log(newest):
                log.warning("an older damaged buffer file is removed to keep the disk bounded: %s", path)
                path.unlink()


def log_of(path: Path) -> Path:
    """The write-ahead log of a database file."""
    return path.with_name(path.name + "-wal")


def with_log(path: Path) -> tuple[Path, Path]:
    """A database file and its log."""
    return path, log_of(path)
