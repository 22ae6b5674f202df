"""What a frame is, told by its bytes alone: for frames whose rows are damaged and whose bytes are not.

Every record says whose it is and when it was made, so its partition follows.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, Final

from shipper.archive.codec import decode, decompress
from shipper.archive.layout import hour_of
from shipper.buffer.index import FrameRow
from shipper.errors import ArchiveDamaged
from shipper.model import Codec, Kind, Partition

_LARGEST: Final = 256 * 1024 * 1024
_MAGIC: Final = {b"\x28\xb5\x2f\xfd": Codec.ZSTD, b"\x1f\x8b": Codec.GZIP}  # RFC 8878, 3.1.1; RFC 1952, 2.3.1


def rebuilt(frame_id: int, data: bytes, now_ms: int) -> tuple[FrameRow, Partition] | None:
    """The frame's row, of no partition's number and for no sink yet; None if the bytes are not records."""
    codec = next((codec for magic, codec in _MAGIC.items() if data.startswith(magic)), Codec.NONE)
    try:
        records = list(decode(decompress(codec, data, max_size=_LARGEST)))
    except ArchiveDamaged:
        return None
    partition = _partition(records[0]) if records else None
    if partition is None:
        return None
    times = [ms for record in records if type(ms := record.get("timestamp_ms")) is int]
    row = FrameRow(
        id=frame_id,
        partition_id=0,
        codec=codec,
        records=len(records),
        first_ms=min(times),
        last_ms=max(times),
        size=len(data),
        crc=zlib.crc32(data),
        sinks=0,
        committed_ms=now_ms,
    )
    return row, partition


def _partition(record: Mapping[str, Any]) -> Partition | None:
    organization, app = record.get("organization"), record.get("app")
    timestamp_ms = record.get("timestamp_ms")
    if type(timestamp_ms) is not int or not isinstance(organization, str) or not isinstance(app, str):
        return None
    return Partition(_kind(record), organization, app, hour_of(timestamp_ms))


def _kind(record: Mapping[str, Any]) -> Kind:
    if "stream_kind" in record:
        return Kind.GAPS
    if "line" not in record:
        return Kind.EVENTS
    return Kind.BUILDS if record.keys() & {"build_id", "deploy_id", "source"} else Kind.LOGS
