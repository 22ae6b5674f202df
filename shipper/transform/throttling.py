"""Throttling: at most so many records in each second of the records' own time, of one app.

The counts are of one partition, whose records are of one hour. So there are as many as an hour has seconds, and they
say the same whichever way the records were cut into batches, late ones included.
"""

from __future__ import annotations

import zlib
from array import array
from typing import Final

_SECONDS: Final = 3_600
_TYPE: Final = "I"
_SIZE: Final = _SECONDS * array(_TYPE).itemsize


class Throttle:
    """The counts of one route and one partition."""

    __slots__ = ("_counts", "_most")

    def __init__(self, most: int, state: bytes = b"") -> None:
        self._most = most
        self._counts = _unpacked(state)

    def admits(self, timestamp_ms: int, records: int) -> bool:
        """Whether there is room in that second; if so, the records are counted.

        An entry of several records passes where there is room for one: a stack trace is longer than some limits.
        """
        second = timestamp_ms // 1_000 % _SECONDS
        if self._counts[second] >= self._most:
            return False
        self._counts[second] = min(self._counts[second] + records, self._most)
        return True

    def state(self) -> bytes:
        """The counts, for a throttle that goes on. Some hundred bytes, as most of the seconds are alike."""
        return zlib.compress(self._counts.tobytes(), 1) if any(self._counts) else b""


def _unpacked(state: bytes) -> array[int]:
    counts = array(_TYPE, bytes(_SIZE))
    if not state:
        return counts
    try:
        unpacked = zlib.decompressobj().decompress(state, _SIZE + 1)
    except zlib.error:
        return counts
    return array(_TYPE, unpacked) if len(unpacked) == _SIZE else counts
