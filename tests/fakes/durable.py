"""A buffer in memory for tests of collection: what was committed, and nothing else, outlives a run."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shipper.archive.codec import decode, decompress, log_bytes
from shipper.errors import BufferError
from shipper.model import CursorWrite, Frame, Kind, StoredCursor
from tests.fakes.platform import Line


@dataclass
class FakeDurable:
    """`troubles` are raised by the next commits, one each; `commit_s` is how long one takes."""

    now_ms: Callable[[], int]
    commit_s: float = 0.005
    troubles: list[BufferError] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    commits: list[float] = field(default_factory=list)
    log_lines: int = 0
    space: asyncio.Event = field(default_factory=asyncio.Event)
    _states: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    _segments: dict[str, dict[int, bytes]] = field(default_factory=dict)

    async def commit(self, frames: Sequence[Frame], cursors: Sequence[CursorWrite]) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        await asyncio.sleep(self.commit_s)
        self.frames.extend(frames)
        self.log_lines += sum(frame.records for frame in frames if frame.partition.kind is Kind.LOGS)
        for write in cursors:
            self._store(write)
        self.commits.append(asyncio.get_running_loop().time())

    async def wait_for_space(self) -> None:
        await self.space.wait()
        self.space.clear()

    def _store(self, write: CursorWrite) -> None:
        if write.delete:
            self._states.pop(write.key, None)
            self._segments.pop(write.key, None)
            return
        self._states[write.key] = (write.state, self.now_ms())
        segments = self._segments.setdefault(write.key, {})
        segments.update(write.segments)
        self._segments[write.key] = {seq: data for seq, data in segments.items() if seq >= write.drop_below}

    def cursor_keys(self) -> list[str]:
        return list(self._states)

    def cursors(self) -> list[StoredCursor]:
        return [
            StoredCursor(key, state, tuple(sorted(self._segments[key].items())), updated_ms)
            for key, (state, updated_ms) in self._states.items()
        ]

    # ---- reading ----

    def records(self, kind: Kind) -> list[dict[str, Any]]:
        return [
            record
            for frame in self.frames
            if frame.partition.kind is kind
            for record in decode(decompress(frame.codec, frame.data))
        ]

    def lines(self, replica_id: str | None = None) -> list[Line]:
        """Log lines as they were printed, in the order of the archive."""
        found = []
        for record in self.records(Kind.LOGS):
            text: str | bytes = log_bytes(record)
            with contextlib.suppress(UnicodeDecodeError):
                text = bytes(text).decode()
            found.append(
                Line(record["app"], record["replica_id"], record["timestamp_ms"], record.get("stream"), text)
            )
        return [line for line in found if replica_id in (None, line.replica_id)]

    def counter(self) -> Counter[Line]:
        return Counter(self.lines())

    def texts(self, replica_id: str | None = None) -> list[str | bytes]:
        return [line.text for line in self.lines(replica_id)]

    def gaps(self) -> list[dict[str, Any]]:
        return self.records(Kind.GAPS)

    def reasons(self) -> list[str]:
        return [gap["reason"] for gap in self.gaps()]

    def events(self) -> list[dict[str, Any]]:
        return self.records(Kind.EVENTS)
