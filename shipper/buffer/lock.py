"""The lock that keeps a second process off the buffer.

It is an flock: the kernel releases it however the process ends, so a lock that was left behind never has to
be removed.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import Final

from shipper.errors import BufferLocked

LOCK_NAME: Final = "shipper.lock"


class Lock:
    """Held from `acquire` until `release` or the end of the process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, directory: Path) -> Lock:
        """Raises BufferLocked, naming the holder, or OSError if the file cannot be made."""
        path = directory / LOCK_NAME
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(descriptor, 300, 0).decode("utf-8", "replace").strip() or "an unknown process"
            os.close(descriptor)
            raise BufferLocked(
                f"the buffer {directory} is in use by {holder}: stop that process, or give this one a "
                "buffer.path of its own (two processes never share a buffer)"
            ) from error
        except OSError:
            os.close(descriptor)
            raise
        lock = cls(descriptor)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on host {socket.gethostname()}\n".encode(), 0)
        except OSError:  # a full disk: the lock holds without its text, which only serves the message above
            pass
        return lock

    def release(self) -> None:
        """Idempotent. The file stays: removing it would let two processes lock two files of one name."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
