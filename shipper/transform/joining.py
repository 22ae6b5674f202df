"""Lines of stack traces as one entry each: a fold over the entries of one partition.

How the lines are cut into calls of `feed`, and whether a `state` and a `resume` lie between them, changes nothing in
what comes out. Entries come out in the order in which they are complete: lines of one replica and stream never
overtake each other, but a trace comes after lines of other streams that were printed while it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shipper.config.joining import JoinSettings
from shipper.entry import Entry

MAX_BYTES: Final = 128 << 10


@dataclass(frozen=True, slots=True)
class JoinLimits:
    """Bounds of one joined entry: lines, bytes, and milliseconds of record time between two of its lines."""

    max_lines: int = 1_000
    max_bytes: int = MAX_BYTES
    max_wait_ms: int = 2_000

    @classmethod
    def of(cls, settings: JoinSettings) -> JoinLimits:
        """The limits that a sink's `join` section asks for."""
        return cls(max_lines=settings.max_lines, max_wait_ms=round(settings.max_wait * 1_000))

    @property
    def hold_s(self) -> float:
        """How long delivery lets held lines wait for more before it flushes them."""
        return self.max_wait_ms / 1_000 + 1.0


class Joiner:
    """Joins the stack traces in the lines of one partition. Entries of other kinds pass as they are."""

    def __init__(self, limits: JoinLimits) -> None:
        self._limits = limits

    @classmethod
    def resume(cls, state: bytes, limits: JoinLimits) -> Joiner:
        """A joiner that goes on where `state` was taken; empty or unreadable state is a new one."""
        return cls(limits)

    @property
    def held(self) -> int:
        """How many records are held back, in no entry yet."""
        return 0

    def feed(self, entries: Sequence[Entry]) -> list[Entry]:
        """The entries that these complete. A joined one is the first line's entry with `text` and the record's
        `line` all lines (parted by line feeds), `lines` their number, and `failure` what the trace says.
        """
        return list(entries)

    def flush(self) -> list[Entry]:
        """What is held back, joined as far as it goes: nothing more will come."""
        return []

    def state(self) -> bytes:
        """What is held back, for `resume`: less than 256 KiB, empty where there is nothing to keep."""
        return b""
