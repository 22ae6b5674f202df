"""Fingerprints of log lines: 64 bits over time, stream and text, the same in every process.

With 65,536 fingerprints held per subscription, a new line is taken for an old one by accident once in 2**48 replayed
lines.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Sequence
from typing import Final

from xxhash import xxh3_64_intdigest

# The text is hashed by itself and the time mixed in afterwards. As the hash's seed, a time would meet short texts
# bit by bit (XXH3 of up to 16 bytes adds or xors the two), and "0" now would be "1" a millisecond later.
_SPREAD: Final = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: neighbouring times end far apart
_MASK: Final = 2**64 - 1


def fingerprints(
    times: Sequence[int], streams: Sequence[str | None], lines: Sequence[str | bytes]
) -> array[int]:
    """One fingerprint a line. Text and its UTF-8 bytes have the same."""
    digest, spread, mask = xxh3_64_intdigest, _SPREAD, _MASK
    salts = {stream: _salt(stream) for stream in set(streams)}
    if len(salts) == 1:
        salt = next(iter(salts.values()))
        mixed = {time: (time * spread ^ salt) & mask for time in set(times)}
        return array("Q", [digest(line) ^ mixed[time] for time, line in zip(times, lines, strict=True)])
    return array(
        "Q",
        [
            digest(line) ^ (time * spread ^ salts[stream]) & mask
            for time, stream, line in zip(times, streams, lines, strict=True)
        ],
    )


def _salt(stream: str | None) -> int:
    return 0 if stream is None else (zlib.crc32(stream.encode()) + 1) * _SPREAD & _MASK
