"""Writing files so that a crash leaves either the whole file under its name or nothing; blocking calls, for a thread.

The order is: write to a temporary name in the same folder, fsync the file, rename it, fsync the folder.
rename(2) is atomic within a file system; the folder's entry is durable only after the folder's own fsync
(https://man7.org/linux/man-pages/man2/fsync.2.html).
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from threading import Event
from typing import Final

_PREFIX: Final = ".tmp-shipper-"
_OURS: Final = re.compile(re.escape(_PREFIX) + r"[0-9a-f]{16}\Z")
_PIECE: Final = 1024 * 1024


class Written(Enum):
    """What became of the file."""

    NEW = "new"
    SAME = "same"  # it lay there already, byte for byte
    REPLACED = "replaced"  # something else lay there


class Folders:
    """The folders below a root that this process knows to be durable, with all their ancestors up to the root.

    A folder that another process (or an attempt that was cut off) made is not known, so it is made durable
    once more.
    """

    _MOST: Final = 4096

    def __init__(self, root: Path) -> None:
        self.root: Final = root
        self._known: set[Path] = set()

    def make(self, folder: Path) -> None:
        """Make the folder and its ancestors below the root, each durable. Raises FileNotFoundError without a root."""
        if folder in self._known and folder.is_dir():
            return
        missing = [folder, *folder.parents]
        lineage = missing[: missing.index(self.root)]  # innermost first, without the root
        for each in reversed(lineage):
            with suppress(FileExistsError):
                each.mkdir()
            sync_folder(each.parent)
        if len(self._known) >= self._MOST:  # an hour's folder is not used for ever
            self._known.clear()
        self._known.add(folder)


def make_root(root: Path) -> None:
    """Make the root and what is missing above it, each durable."""
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)
    if not root.is_dir():
        raise NotADirectoryError(20, "Not a directory", str(root))


def write_durably(target: Path, body: Sequence[bytes], folders: Folders) -> Written:
    """Put the bytes under `target`; when this returns they survive a power cut.

    Raises OSError; `target` then is as it was, or whole.
    """
    folders.make(target.parent)
    found = _found(target, body)
    if found is Written.SAME:
        _sync_file(target)  # whoever wrote it may have been cut off before its fsync
    else:
        _replace(target, body)
    sync_folder(target.parent)
    return found


def sweep(root: Path, stop: Event) -> int:
    """Remove temporary files that a crash left below the root; the count of them. Ends early when `stop` is set.

    A file that is being written is locked by its writer, in whatever process, and is left alone; so is what
    cannot be removed.
    """
    removed = 0
    for folder, _, names in os.walk(root):
        if stop.is_set():
            break
        for name in filter(_OURS.match, names):
            with suppress(OSError):
                removed += _remove_if_orphaned(Path(folder, name))
    return removed


def probe(root: Path) -> None:
    """Raise OSError unless files can be made below the root. Leaves nothing behind."""
    temporary = _temporary(root)
    descriptor = _create(temporary)
    try:
        os.write(descriptor, b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _found(target: Path, body: Sequence[bytes]) -> Written:
    try:
        status = target.lstat()
    except FileNotFoundError:
        return Written.NEW
    if not stat.S_ISREG(status.st_mode):  # a link: what lies behind it is not ours, however well it looks
        return Written.REPLACED
    if status.st_size != sum(map(len, body)):
        return Written.REPLACED
    with target.open("rb") as file:
        same = all(file.read(len(piece)) == piece for piece in body)
    return Written.SAME if same else Written.REPLACED


def _replace(target: Path, body: Iterable[bytes]) -> None:
    temporary = _temporary(target.parent)
    descriptor = _create(temporary)
    try:
        try:
            for piece in body:
                _write_all(descriptor, piece)
            os.fsync(descriptor)
            temporary.rename(target)  # still locked, so that no sweep takes it for an orphan
        finally:
            os.close(descriptor)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _temporary(folder: Path) -> Path:
    return folder / f"{_PREFIX}{secrets.token_hex(8)}"


def _create(temporary: Path) -> int:
    """A new file, locked for as long as it is open. The mode is that of any new file: 0666 less the umask."""
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with suppress(OSError):  # a file system without locks: then a sweep leaves every temporary file alone
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _write_all(descriptor: int, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view[:_PIECE]) :]


def _sync_file(target: Path) -> None:
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_if_orphaned(temporary: Path) -> bool:
    descriptor = os.open(temporary, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(
            descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB
        )  # raises while a writer holds it, or without locks
        temporary.unlink()
    finally:
        os.close(descriptor)
    return True
