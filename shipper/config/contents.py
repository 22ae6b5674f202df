"""What files hold: the configuration's, and those that it names."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shipper.config.settings import Settings

MOST: Final = 1 << 20  # of a larger file, only the beginning counts: nothing that is configured is so large

Look = Mapping[Path, str]
"""The digest of each file's content; empty where there is none to be had."""

_Stamp = tuple[int, int, int, int, int]


class Looker:
    """Looks at files, and reads only those that seem to have changed since it looked last. Used by one thread."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[_Stamp, str]] = {}

    def look(self, files: Iterable[Path]) -> Look:
        """What the files hold now. Never raises."""
        seen = {file: self._seen(file) for file in files}
        self._known = {file: one for file, one in self._known.items() if file in seen}
        return seen

    def _seen(self, file: Path) -> str:
        try:
            found = file.stat()
            if not stat.S_ISREG(found.st_mode):  # a pipe can be read once
                return ""
            stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
            known = self._known.get(file)
            if known is not None and known[0] == stamp:
                return known[1]
            with file.open("rb") as opened:
                content = sha256(opened.read(MOST)).hexdigest()
        except (OSError, ValueError):
            self._known.pop(file, None)
            return ""
        self._known[file] = (stamp, content)
        return content


def files_read_by(settings: Settings) -> dict[tuple[str, ...], Path]:
    """The files whose content matters, by the setting that names them. A token file is none: it is read with each call
    for a token.
    """
    tls = settings.ignite.tls
    named: dict[tuple[str, ...], Path | None] = {
        ("ignite", "tls", "ca_file"): tls.ca_file,
        ("ignite", "tls", "cert_file"): tls.cert_file,
        ("ignite", "tls", "key_file"): tls.key_file,
    }
    for name, sink in settings.sinks.items():
        named["sinks", name, "ca_file"] = getattr(sink, "ca_file", None)
    return {setting: file for setting, file in named.items() if file is not None}


def files_of(settings: Settings | None) -> frozenset[Path]:
    """The same files by themselves; none where there are no settings."""
    return frozenset() if settings is None else frozenset(files_read_by(settings).values())
