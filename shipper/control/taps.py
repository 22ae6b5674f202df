"""Records on their way into the buffer, shown to whoever taps: bounded, and never in the way.

A tap keeps references to bytes that were made anyway. What it cannot keep, because its reader is slower than what
comes, it leaves out and counts. While nobody taps, a commit pays for one look at an attribute.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

import orjson

from shipper.buffer import FrameDraft
from shipper.expression import Expression, Texts
from shipper.model import Kind, Partition

MOST_TAPS: Final = 4  # of the control socket's few places: some are left for other commands
MOST_WAITING: Final = 4 * 1024 * 1024
"""Bytes of NDJSON that wait for one tap's reader."""
SLICE: Final = 64 * 1024
_TEXTS: Final = ("line", "message", "reason", "detail")

Drafts = Mapping[Partition, FrameDraft]
Show = Callable[[Drafts], None]
"""Is shown what each commit takes."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records a tap is to show. Apps and replicas are names or globs; empty is all of them."""

    kinds: frozenset[Kind] = frozenset(Kind)
    app: str = ""
    replica: str = ""
    match: Expression | None = None

    def takes(self, partition: Partition) -> bool:
        """Whether any record of a partition may be meant."""
        names = (partition.app, f"{partition.organization}/{partition.app}")
        return partition.kind in self.kinds and (not self.app or any(_fits(self.app, one) for one in names))

    def of(self, ndjson: bytes) -> list[bytes]:
        """Those of the lines that are meant, each a JSON object. CPU-bound."""
        lines = ndjson.splitlines()
        if not self.replica and self.match is None:
            return lines
        known = [
            (line, record)
            for line, record in zip(lines, map(orjson.loads, lines), strict=True)
            if self._is_of_replica(record)
        ]
        if self.match is None:
            return [line for line, _ in known]
        texts = [(number, text) for number, (_, record) in enumerate(known) for text in _texts(record)]
        # All at once: an expression reads many texts faster than one after the other.
        found = self.match.among(Texts.of([text for _, text in texts]))
        return [known[number][0] for number in dict.fromkeys(texts[index][0] for index in found)]

    def _is_of_replica(self, record: Mapping[str, Any]) -> bool:
        return not self.replica or _fits(self.replica, str(record.get("replica_id", "")))


@dataclass(frozen=True, slots=True)
class Taken:
    """NDJSON of one partition from one commit, on its way to one reader."""

    partition: Partition
    ndjson: bytes


@dataclass(slots=True, eq=False)
class Tap:
    """What waits for one reader. `dropped` counts records that found no room since it was last asked for."""

    wanted: Wanted
    most: int = MOST_WAITING
    dropped: int = 0
    something: asyncio.Event = field(default_factory=asyncio.Event)
    _waiting: deque[Taken] = field(default_factory=deque)
    _size: int = 0

    def offer(self, drafts: Drafts) -> None:
        """What a commit takes."""
        for partition, draft in drafts.items():
            if not self.wanted.takes(partition):
                continue
            for run in draft.chunks:
                # A run that is larger than all there may be goes alone, if nothing else waits.
                if self._size and self._size + len(run) > self.most:
                    self.dropped += run.count(b"\n")
                    continue
                self._waiting.append(Taken(partition, run))
                self._size += len(run)
            self.something.set()

    def take(self) -> Taken | None:
        """The next piece, at most about a slice, in whole lines; None if nothing waits."""
        if not self._waiting:
            self.something.clear()
            return None
        taken = self._waiting.popleft()
        end = taken.ndjson.find(b"\n", SLICE) + 1
        if 0 < end < len(taken.ndjson):
            self._waiting.appendleft(Taken(taken.partition, taken.ndjson[end:]))
            taken = Taken(taken.partition, taken.ndjson[:end])
        self._size -= len(taken.ndjson)
        return taken

    def left_out(self) -> int:
        """How many records found no room since the last call."""
        dropped, self.dropped = self.dropped, 0
        return dropped


class Taps:
    """Everyone who taps. `attach` is given whom each commit is to be shown to while there is someone, then None."""

    def __init__(self, attach: Callable[[Show | None], None]) -> None:
        self._attach = attach
        self._open: list[Tap] = []

    def __len__(self) -> int:
        return len(self._open)

    @contextmanager
    def open(self, wanted: Wanted) -> Iterator[Tap]:
        """One more, while the block runs."""
        tap = Tap(wanted)
        self._open.append(tap)
        self._attach(self._offer)
        try:
            yield tap
        finally:
            self._open.remove(tap)
            if not self._open:
                self._attach(None)

    def _offer(self, drafts: Drafts) -> None:
        for tap in self._open:
            tap.offer(drafts)


def _texts(record: Mapping[str, Any]) -> Iterator[bytes]:
    """What a person reads of a record."""
    for name in _TEXTS:
        if name in record:
            yield str(record[name]).encode("utf-8", "replace")


def _fits(pattern: str, name: str) -> bool:
    return pattern == name or fnmatchcase(name, pattern)
