"""Small file systems in memory, where the machine lets us mount them."""

from __future__ import annotations

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
