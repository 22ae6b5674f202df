"""Frames: the records of one partition from one commit, compressed as they will lie in the archive."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from shipper.archive.codec import compress, encode_gap
from shipper.archive.layout import hour_of
from shipper.model import Codec, Frame, Gap, Kind, Partition


@dataclass(slots=True)
class FrameDraft:
    """NDJSON of one partition that is still being gathered: lines or runs of lines, each with its newline."""

    chunks: list[bytes]
    first_ms: int
    last_ms: int
    records: int

    def add(self, chunks: list[bytes], first_ms: int, last_ms: int, records: int | None = None) -> None:
        """One record in each chunk, or `records` in all of them."""
        self.chunks.extend(chunks)
        self.records += len(chunks) if records is None else records
        self.first_ms = min(self.first_ms, first_ms)
        self.last_ms = max(self.last_ms, last_ms)


def make_frames(drafts: Mapping[Partition, FrameDraft], codec: Codec) -> list[Frame]:
    """Compress each draft into one frame. CPU-bound; releases the GIL while it compresses."""
    return [_frame(partition, draft, codec) for partition, draft in drafts.items() if draft.records]


def gap_frame(gap: Gap, codec: Codec) -> Frame:
    """A frame of one gap record."""
    (frame,) = gap_frames([gap], codec)
    return frame


def gap_partition(gap: Gap) -> Partition:
    """The hour in which it was noticed."""
    return Partition(Kind.GAPS, gap.app.organization, gap.app.name, hour_of(gap.noticed_ms))


def gap_frames(gaps: Iterable[Gap], codec: Codec) -> list[Frame]:
    """The gap records of each app as one frame, in the hour in which they were noticed."""
    drafts: dict[Partition, FrameDraft] = {}
    for gap in gaps:
        at = gap.noticed_ms
        drafts.setdefault(gap_partition(gap), FrameDraft([], at, at, 0)).add([encode_gap(gap)], at, at)
    return make_frames(drafts, codec)


def _frame(partition: Partition, draft: FrameDraft, codec: Codec) -> Frame:
    raw = b"".join(draft.chunks)
    return Frame(
        partition=partition,
        codec=codec,
        records=draft.records,
        first_ms=draft.first_ms,
        last_ms=draft.last_ms,
        raw_size=len(raw),
        data=compress(codec, raw),
    )
