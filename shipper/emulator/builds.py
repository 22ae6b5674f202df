"""Builds and compiles in the emulated world: what they print, cut anywhere, and how long it can be had."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from shipper.emulator.ledger import Ledger
from shipper.emulator.scenario import Clock

PENDING: Final = "BUILD_STATUS_PENDING"
RUNNING: Final = "BUILD_STATUS_RUNNING"
SUCCEEDED: Final = "BUILD_STATUS_SUCCEEDED"
FAILED: Final = "BUILD_STATUS_FAILED"


class Piece(NamedTuple):
    """What was printed at once: not a line, and perhaps not even whole characters."""

    timestamp_ms: int
    data: bytes


class EmulatedBuild:
    """One build (`source` is `build`) or compile (`compile`) of an app.

    Its log can be had by GetBuildLog once it has ended, until `forget`; its stream until `retire`.
    """

    def __init__(
        self, app: str, build_id: str, source: str, ledger: Ledger, created_ms: int, now_ms: Clock
    ) -> None:
        self.app = app
        self.build_id = build_id
        self.source = source
        self.created_ms = created_ms
        self.status = RUNNING
        self.kept = True  # whether its log has not been forgotten
        self.streamed = True  # whether its stream can still be opened
        self.pieces: list[Piece] = []
        self._now_ms = now_ms
        self._ledger = ledger
        self._readers: set[OutputReader] = set()

    @property
    def running(self) -> bool:
        """Whether it may still print."""
        return self.status in (PENDING, RUNNING)

    @property
    def log(self) -> bytes:
        """Everything printed."""
        return b"".join(piece.data for piece in self.pieces)

    def print(self, *lines: str | bytes, ts: int | None = None) -> None:
        """Print whole lines, each one chunk of the stream."""
        for line in lines:
            self.write((line.encode() if isinstance(line, str) else line) + b"\n", ts=ts)

    def write(self, data: bytes, *, ts: int | None = None) -> None:
        """Print bytes, which are one chunk of the stream."""
        if not self.running:
            raise ValueError(f"{self.build_id} has ended: it prints no more")
        self._ledger.built(self.app, self.source, self.build_id, data)
        self.pieces.append(Piece(self._now_ms() if ts is None else ts, data))
        self._ring()

    def finish(self, status: str = SUCCEEDED) -> None:
        """Print no more. Open streams end after the last chunk."""
        self.status = status
        self._ring()

    def retire(self) -> None:
        """The stream cannot be opened any more; the log can."""
        self.streamed = False

    def forget(self) -> None:
        """The platform's days are over: `found` is false from now on."""
        self.kept = self.streamed = False

    def reader(self, bell: asyncio.Event, *, from_start: bool) -> OutputReader:
        """Open a stream: what was printed (or nothing), then what is."""
        reader = OutputReader(self, bell, 0 if from_start else len(self.pieces))
        self._readers.add(reader)
        return reader

    def left(self, reader: OutputReader) -> None:
        """A stream is over."""
        self._readers.discard(reader)

    def _ring(self) -> None:
        for reader in self._readers:
            reader.bell.set()


class OutputReader:
    """One stream's place in an output; a `Source`."""

    def __init__(self, build: EmulatedBuild, bell: asyncio.Event, position: int) -> None:
        self.bell = bell
        self._build = build
        self._position = position

    @property
    def finished(self) -> bool:
        return not self._build.running and self._position >= len(self._build.pieces)

    def peek(self, limit: int) -> Sequence[Piece]:
        return self._build.pieces[self._position : self._position + limit]

    def advance(self, count: int) -> None:
        self._position += count

    def close(self) -> None:
        self._build.left(self)


class Builds:
    """All builds of the organization, in the order of their beginning, and what is the draft of each app."""

    def __init__(self, ledger: Ledger) -> None:
        self.all: dict[str, EmulatedBuild] = {}
        self.drafts: dict[str, EmulatedBuild] = {}  # by app: its newest compile
        self._ledger = ledger

    def start(self, app: str, build_id: str, source: str, created_ms: int, now_ms: Clock) -> EmulatedBuild:
        """A build begins; a compile is the app's draft from now on."""
        if build_id in self.all:
            raise ValueError(f"{build_id} exists already")
        build = self.all[build_id] = EmulatedBuild(app, build_id, source, self._ledger, created_ms, now_ms)
        if source == "compile":
            self.drafts[app] = build
        return build

    def forget_beyond(self, count: int) -> None:
        """Only the newest so many, and those under way, are known from now on."""
        excess = len(self.all) - count
        for build in [build for build in self.all.values() if not build.running][: max(0, excess)]:
            if self.drafts.get(build.app) is not build:
                del self.all[build.build_id]

    def listed(self) -> list[EmulatedBuild]:
        """What ListBuilds has: compiles are none of its."""
        return [build for build in self.all.values() if build.source == "build"]
