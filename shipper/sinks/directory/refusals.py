"""What a disk's refusal means for a batch: one table of error numbers."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from shipper.sinks.port import Parked, Refusal, Rejected, Retry

# Errors after which the same write may succeed without anybody's help, and those that a person has to end.
# What is in no table (an I/O error, a stale handle, too many open files) is tried again: nothing is lost by
# that.
_RETRY: Final = {
    errno.ENOSPC: "no space is left: free some, enlarge the volume or remove old folders",
    errno.EDQUOT: "the disk quota is used up: raise it or remove old folders",
    errno.ENOENT: "the folder is gone: is the volume mounted? A folder that somebody removed is made again",
}
_PARKED: Final = {
    errno.EROFS: "the file system is read-only: remount it for writing or choose another `path`",
    errno.EACCES: "no permission: give this process's user write access to `path`, or choose another one",
    errno.EPERM: "not permitted: give this process's user write access to `path`, or choose another one",
    errno.ENOTDIR: "something on the way is a file where a folder must be: move it away or choose another `path`",
    errno.EISDIR: "a folder lies where the file must be: move it away",
    errno.ENAMETOOLONG: "the path is too long for this file system: choose a shorter `path`",
    errno.ELOOP: "too many symbolic links on the way: choose another `path`",
}
_REJECTED: Final = {
    errno.EFBIG: "the file is larger than the file system or `ulimit -f` allows: lower `batch.max_size`",
}


def refusal(error: OSError, root: Path) -> Refusal:
    """The outcome of a write below `root` that ended in `error`."""
    number = error.errno or 0
    where = f"{error.filename or root}"
    said = f"cannot write to {where}: {{}} ({os.strerror(number) if number else error})"
    if number in _PARKED:
        return Parked(said.format(_PARKED[number]))
    if number in _REJECTED:
        return Rejected(said.format(_REJECTED[number]))
    return Retry(said.format(_RETRY.get(number, "the disk reports an error")))
