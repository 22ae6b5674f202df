"""Small file systems in memory, where the machine lets us mount them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def mount(folder: Path, options: str) -> bool:
    """Mount a tmpfs there; False where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", options, "chaos", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def remount(folder: Path, options: str) -> bool:
    """Change a mounted tmpfs."""
    command = ["mount", "-o", f"remount,{options}", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount(folder: Path) -> None:
    """Lazily, whoever is in it."""
    subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=False)


class LoopDisk:
    """An ext4 file system in a file. Aborted it takes no write any more, whoever has files of it open, as one does that
    met an error of its disk; what had not been made durable is lost.
    """

    def __init__(self, image: Path, folder: Path) -> None:
        self._image = image
        self._folder = folder

    @classmethod
    def make(cls, image: Path, folder: Path, mib: int) -> LoopDisk | None:
        """Mounted; None where that is not allowed."""
        with image.open("wb") as file:
            file.truncate(mib * 1024 * 1024)
        made = cls(image, folder)
        return made if _done("mkfs.ext4", "-q", "-F", str(image)) and made.mend() else None

    def abort(self) -> bool:
        """From now on it is read-only."""
        return _done("mount", "-o", "remount,abort", str(self._folder))

    def mend(self) -> bool:
        """Mount it anew. Nobody may have files of it open."""
        if self._folder.is_mount() and not _done("umount", str(self._folder)):
            return False
        return _done("mount", "-o", "loop", str(self._image), str(self._folder))


def _done(*command: str) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
