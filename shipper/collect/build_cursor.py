"""How far the output of one build has been taken. Pure.

An output only grows, and the platform replays it from its beginning. So the number of lines taken says what is new, and
a hash over those lines shows whether what is replayed is still the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import orjson
from xxhash import xxh3_64

from shipper.model import CursorWrite, StoredCursor

_VERSION: Final = 1
_SEEN_EVERY_MS: Final = 24 * 3_600_000  # how exact `seen_ms` is


class Source(StrEnum):
    """What printed it; the values are those of the archive's `source`."""

    BUILD = "build"
    COMPILE = "compile"


@dataclass(slots=True)
class BuildCursor:
    """The lines of one output that were taken.

    `build_id` is its build_id, or the deploy_id of a compile. `time_ms` is the build's own time (its lines may have
    none), `known_ms` when it was first heard of, `seen_ms` when last, all Unix ms. `certain` says that the platform
    itself names it as a build of this app that prints. A `closed` one is not asked for again.
    """

    key: str
    build_id: str
    source: Source
    time_ms: int
    known_ms: int
    seen_ms: int
    certain: bool = True
    closed: bool = False
    lines: int = 0
    digest: int = 0
    _at: int = 0
    _hash: Any = field(default_factory=xxh3_64)

    def confirm(self, time_ms: int, now_ms: int, *, certain: bool) -> bool:
        """Something names the build again, and may know more of it; whether that is worth storing."""
        sure = certain and not self.certain
        news = sure or now_ms - self.seen_ms > _SEEN_EVERY_MS
        self.certain = self.certain or certain
        if sure and not self.lines:
            self.closed = False  # when it was asked for, it may not have been there yet
        if time_ms and not self.lines:
            self.time_ms = time_ms
        if news:
            self.seen_ms = now_ms
        return news

    def begin(self) -> None:
        """A replay begins."""
        self._at, self._hash = 0, xxh3_64()

    def take(self, lines: Sequence[bytes]) -> tuple[int, bool]:
        """The next lines of the replay: how many of them were taken before, and whether it shows here that what was
        taken before was something else. The rest counts as taken.
        """
        old = min(len(lines), max(0, self.lines - self._at))
        changed = False
        if old:
            self._add(lines[:old])
            changed = self._at == self.lines and self._hash.intdigest() != self.digest
        if len(lines) > old:
            self._add(lines[old:])
        if self._at >= self.lines:
            self.lines, self.digest = self._at, self._hash.intdigest()
        return old, changed

    @property
    def behind(self) -> bool:
        """Whether the replay has not yet come to what is new."""
        return self._at < self.lines

    def _add(self, lines: Sequence[bytes]) -> None:
        self._hash.update(b"\n".join(lines) + b"\n")
        self._at += len(lines)

    def write(self) -> CursorWrite:
        """What the next commit has to store."""
        state = {
            "v": _VERSION,
            "source": self.source.value,
            "time_ms": self.time_ms,
            "known_ms": self.known_ms,
            "seen_ms": self.seen_ms,
            "certain": self.certain,
            "closed": self.closed,
            "lines": self.lines,
            "digest": self.digest,
        }
        return CursorWrite(self.key, orjson.dumps(state))

    @classmethod
    def load(cls, stored: StoredCursor, build_id: str) -> BuildCursor:
        """The cursor as it was committed. Raises ValueError for a state that this version cannot read."""
        state: dict[str, Any] = orjson.loads(stored.state)
        if state.get("v") != _VERSION:
            raise ValueError(
                f"cursor {stored.key} has version {state.get('v')!r}, this shipper reads {_VERSION}"
            )
        return cls(
            stored.key,
            build_id,
            Source(state["source"]),
            state["time_ms"],
            state["known_ms"],
            state["seen_ms"],
            state["certain"],
            state["closed"],
            state["lines"],
            state["digest"],
        )
