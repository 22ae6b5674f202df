"""What the system says of this process. What it does not say is None."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STATM: Final = Path("/proc/self/statm")
_FDS: Final = Path("/proc/self/fd")


@dataclass(frozen=True, slots=True)
class Usage:
    """Memory, processor time, open files."""

    rss_bytes: int | None
    cpu_seconds: float
    open_files: int | None


def usage() -> Usage:
    """Now. Takes some microseconds."""
    try:
        rss = int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        rss = None
    try:
        files = sum(1 for _ in _FDS.iterdir())
    except OSError:
        files = None
    return Usage(rss, time.process_time(), files)
