"""A disk that fails at one system call: the library that is preloaded into the daemon, and the file that tells it."""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("faulty_disk.c")
_LAYOUT: Final = struct.Struct("=iiIIqqqq240s")
_SEEN: Final = struct.Struct("=qq")
_SEEN_AT: Final = 32


class Act(IntEnum):
    """What becomes of a call. TORN writes half of the data before the process dies."""

    NOTHING = 0
    FAIL = 1
    SHORT = 2
    KILL_BEFORE = 3
    KILL_AFTER = 4
    TORN = 5


KILLS: Final = (Act.KILL_BEFORE, Act.KILL_AFTER, Act.TORN)


class Call(IntFlag):
    """Kinds of system calls; RENAME is link too."""

    OPEN = 1
    WRITE = 2
    SYNC = 4
    RENAME = 8
    UNLINK = 16
    CUT = 32
    MKDIR = 64
    ALL = 127


class Step(IntFlag):
    """What the buffer is at; UPLOAD is every call below the archive's folder."""

    OTHER = 1
    COMMIT = 2
    SEAL = 4
    ACKNOWLEDGE = 8
    SINKS = 16
    CHECKPOINT = 32
    UPLOAD = 64
    BUFFER = 63
    ALL = 127


def build(folder: Path) -> Path | None:
    """The library; None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    library = folder / "faulty_disk.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, capture_output=True, check=False)
    return library if done.returncode == 0 else None


class FaultyDisk:
    """What all lives of one daemon share. Nothing fails until `arm`."""

    def __init__(self, library: Path, folder: Path, *, buffer: Path, archive: Path) -> None:
        told = folder / "faulty_disk"
        told.write_bytes(bytes(_LAYOUT.size))
        with told.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _LAYOUT.size)
        self.environment: Final = {
            "LD_PRELOAD": str(library),
            "CHAOS_DISK": str(told),
            "CHAOS_DISK_BUFFER": str(buffer),
            "CHAOS_DISK_ARCHIVE": str(archive),
        }

    def arm(
        self, act: Act, *, calls: Call = Call.ALL, steps: Step = Step.ALL, before: int = 0, times: int = 1,
        error: int = 0,
    ) -> None:  # fmt: skip
        """Let `before` calls of these kinds pass, then act on so many; below zero until `disarm`."""
        self.disarm()
        seen, acted = self._counts()
        _LAYOUT.pack_into(self._memory, 0, 0, error, calls, steps, before, times, seen, acted, b"")
        struct.pack_into("=i", self._memory, 0, act)  # last: from here on it counts

    def disarm(self) -> None:
        """From now on nothing fails."""
        struct.pack_into("=i", self._memory, 0, Act.NOTHING)

    @property
    def seen(self) -> int:
        """Calls that changed something, over all lives."""
        return self._counts()[0]

    @property
    def acted(self) -> int:
        """How often something was done to one."""
        return self._counts()[1]

    @property
    def last(self) -> str:
        """What was done something to: step, call and file."""
        return bytes(self._memory[-240:]).split(b"\0", 1)[0].decode(errors="replace")

    def _counts(self) -> tuple[int, int]:
        seen, acted = _SEEN.unpack_from(self._memory, _SEEN_AT)
        return seen, acted
