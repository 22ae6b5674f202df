"""Fingerprints of log lines: 64 bits over time, stream and text, the same in every process.

With 65,536 fingerprints held per subscription, a new line is taken for an old one by accident once in 2**48
replayed lines.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Sequence
from typing import Final

from xxhash import xxh3_64_intdigest

_SALTS: Final = {None: 0, "stdout": 1, "stderr": 2}


def fingerprints(
    times: Sequence[int], streams: Sequence[str | None], lines: Sequence[str | bytes]
) -> array[int]:
    """One fingerprint a line. Text and its UTF-8 bytes have the same; time and stream are the seed of the
    hash.
    """
    digest = xxh3_64_intdigest
    salts = {stream: _salt(stream) for stream in set(streams)}
    if len(salts) == 1:
        salt = next(iter(salts.values()))
        return array("Q", [digest(line, time * 8 + salt) for time, line in zip(times, lines, strict=True)])
    return array(
        "Q",
        [
            digest(line, time * 8 + salts[stream])
            for time, stream, line in zip(times, streams, lines, strict=True)
        ],
    )


def _salt(stream: str | None) -> int:
    known = _SALTS.get(stream)
    return zlib.crc32((stream or "").encode()) << 3 if known is None else known
