"""Noticing that a configuration file, or a file that it names, has other content than before.

Files are looked at every few seconds: a mounted ConfigMap or Secret is a chain of links of which one is replaced, which
looks the same from here as a file that an editor has renamed into its place or one that was written anew
(https://kubernetes.io/docs/tasks/configure-pod-container/configure-pod-configmap/#mounted-configmaps-are-updated-automatically).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shipper.config.contents import Look, Looker

EVERY_S: Final = 2.0


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

    async def changed(self) -> None:
        """Return when they hold something else than what is known, and no longer change."""
        settled = Settled(self.known)
        while True:
            await asyncio.sleep(self.every_s)
            if settled.shows_news(await asyncio.to_thread(self._looker.look, self.files)):
                return
