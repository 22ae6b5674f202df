"""The folder's files are for its owner: what others could read or lead elsewhere is put right or refused.

A file that the buffer makes has mode 0600 whatever the umask. Rights of the group are left alone where somebody gave
them: Kubernetes does so with an `fsGroup`, and the next pod may have another user.

Whoever may write into the folder can always remove its files. Links in it are refused, so that he can not have the
daemon write into files of others.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_FOLDER: Final = 0o700
_OTHERS: Final = stat.S_IRWXO

log = logging.getLogger("shipper.buffer")


def make_folder(directory: Path) -> None:
    """Make the folder where it is missing, for its owner alone; one that is there keeps its mode. Raises OSError."""
    directory.mkdir(mode=_FOLDER, parents=True, exist_ok=True)


def keep_private(files: Iterable[Path]) -> None:
    """Take the rights of others off files of an earlier run or of a copy. Raises OSError for one that is a link or
    anything else but a file.
    """
    for file in files:
        try:
            mode = file.lstat().st_mode
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(mode):
            raise OSError(errno.ELOOP, f"{file.name} is a link or no file at all, and may lead anywhere")
        if mode & _OTHERS:
            _close(file, stat.S_IMODE(mode) & ~_OTHERS)


def _close(file: Path, mode: int) -> None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
    except OSError as error:
        log.warning(
            "every user of this machine may open %s, and that cannot be changed: %s", file, error.strerror
        )
    else:
        log.warning("every user of this machine could open %s: that right is taken away", file)
