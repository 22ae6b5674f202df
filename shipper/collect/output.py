"""Takes what a build printed into the intake: as lines, each once, however often its output is replayed."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Final

from shipper.archive.codec import BuildIdentity
from shipper.collect.build_cursor import BuildCursor, Source
from shipper.collect.context import Context
from shipper.ignite.lines import LineCutter, Lines
from shipper.model import App, GapReason, Kind

log = logging.getLogger("shipper.collect")

PIECE: Final = 64 * 1024  # bytes that are cut into lines at once
AT_ONCE: Final = 2048  # lines that are taken at once: short ones are many


@dataclass(slots=True)
class OutputTaker:
    """One replay after the other of one build's output. `size` counts the bytes of the present one, `newest_ms` is the
    time of the newest line taken.

    A replay that brings nothing leaves alone what the one before it has brought of a last line.
    """

    app: App
    cursor: BuildCursor
    context: Context
    size: int = 0
    newest_ms: int | None = None
    _cutter: LineCutter = field(default_factory=LineCutter)
    _cut: int = 0  # bytes that went through it
    _begins: bool = True

    def begin(self) -> None:
        """A replay begins."""
        self.size, self._begins = 0, True

    def at_end_of(self, size: int | None) -> bool:
        """Whether the last replay that brought anything brought so many bytes."""
        return self._cut == size

    async def take(self, data: bytes, time_ms: int = 0) -> None:
        """The next bytes; without a time of their own they have the build's. Waits while too much is pending."""
        if self._begins and data:
            self._begins, self._cutter, self._cut = False, LineCutter(), 0
            self.cursor.begin()
        self.size += len(data)
        self._cut += len(data)
        for at in range(0, len(data), PIECE):
            await self._put(self._cutter.feed(data[at : at + PIECE], time_ms or self.cursor.time_ms))

    async def finish(self) -> None:
        """The output is complete: its last line may have no end."""
        await self._put(self._cutter.finish())
        if self.cursor.behind:
            log.warning(
                "the log of a build is shorter than what was taken of it",
                extra={"app": str(self.app), "build": self.cursor.build_id},
            )

    async def _put(self, found: Lines) -> None:
        for at in range(0, len(found.lines), AT_ONCE):
            await self.context.intake.admit()
            self._take(found.times[at : at + AT_ONCE], found.lines[at : at + AT_ONCE])

    def _take(self, times: list[int], lines: list[bytes]) -> None:
        old, changed = self.cursor.take(lines)
        intake = self.context.intake
        if old:
            self.context.meter.count("duplicates_suppressed_total", old, Kind.BUILDS.value)
        if changed:
            self.gap(GapReason.BUILD_CHANGED, "what was taken before is not what is replayed now")
        if len(lines) > old:
            intake.take_build(self.identity, times[old:], lines[old:], self.cursor)
            self.newest_ms = times[-1]

    def gap(self, reason: GapReason, detail: str, lost: int | None = None) -> None:
        """A known loss of this output."""
        cursor = self.cursor
        what = "compile" if cursor.source is Source.COMPILE else "build"
        detail = f"{what} {cursor.build_id}: {detail}"
        to_ms = max(cursor.time_ms, self.newest_ms or cursor.time_ms)
        self.context.intake.gap(
            self.app, reason, cursor.time_ms, to_ms, kind=Kind.BUILDS, detail=detail, lost=lost
        )
        self.context.intake.touch(cursor)

    @property
    def identity(self) -> BuildIdentity:
        """Whose lines they are."""
        cursor, app = self.cursor, self.app
        compiled = cursor.source is Source.COMPILE
        return BuildIdentity(
            app.organization,
            app.name,
            build_id="" if compiled else cursor.build_id,
            deploy_id=cursor.build_id if compiled else "",
            source=cursor.source.value,
        )
