"""Noticing that a configuration file, or a file that it names, has other content than before.

Files are looked at every few seconds: a mounted ConfigMap or Secret is a chain of links of which one is replaced, which
looks the same from here as a file that an editor has renamed into its place or one that was written anew
(https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/#mounted-configmaps-are-updated-automatically).
"""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shipper.config.settings import Settings


EVERY_S: Final = 2.0
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


@dataclass(slots=True)
class Settled:
    """Decides when a change counts: when two looks in a row show the same, and that is news."""

    known: Look
    _before: Look | None = None

    def shows_news(self, look: Look) -> bool:
        """Whether this look, after the one before, means that something has changed and is whole."""
        again, self._before = look == self._before, look
        return again and look != self.known


@dataclass(slots=True)
class Watch:
    """Watches the files that it looked at, of which `known` is what they held."""

    known: Look = field(default_factory=dict)
    every_s: float = EVERY_S
    _looker: Looker = field(default_factory=Looker)

    @property
    def files(self) -> frozenset[Path]:
        """Those that are watched."""
        return frozenset(self.known)

    async def look(self, files: Iterable[Path]) -> Look:
        """What these files hold now; from now on they are watched."""
        self.known = await asyncio.to_thread(self._looker.look, frozenset(files))
        return self.known

    def keep(self, files: Iterable[Path]) -> None:
        """Of the files that are watched, watch these alone."""
        self.known = {file: self.known[file] for file in files if file in self.known}

    async def changed(self) -> None:
        """Return when they hold something else than what is known, and no longer change."""
        settled = Settled(self.known)
        while True:
            await asyncio.sleep(self.every_s)
            if settled.shows_news(await asyncio.to_thread(self._looker.look, self.files)):
                return


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
