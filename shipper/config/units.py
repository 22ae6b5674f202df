"""Durations and sizes as people write them: `500ms`, `5s`, `10m`, `1h`; `64KiB`, `10MiB`, `10GiB`."""

from __future__ import annotations

import re
from typing import Final

DURATION_FORMS: Final = "500ms, 5s, 10m, 1h"
SIZE_FORMS: Final = "64KiB, 10MiB, 10GiB"

DURATION_PATTERN: Final = r"[0-9]{1,15}(\.[0-9]{1,9})?(ms|s|m|h)"
SIZE_PATTERN: Final = r"[0-9]{1,15}(B|KiB|MiB|GiB|TiB)"

_MS_PER_UNIT: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_BYTES_PER_UNIT: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_BINARY_UNITS: Final = {"": "B", "K": "KiB", "M": "MiB", "G": "GiB", "T": "TiB"}

_DURATION: Final = re.compile(DURATION_PATTERN, re.ASCII)
_SIZE: Final = re.compile(SIZE_PATTERN, re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
_LOOSE_SIZE: Final = re.compile(r"([0-9]+) ?([KMGT]?)i?B?", re.ASCII | re.IGNORECASE)


class UnitError(ValueError):
    """The text is no duration or no size; the message says what would be, and repeats nothing but a number."""


def parse_duration(text: str) -> float:
    """Seconds. The unit is required: a bare `5` means seconds to one reader and milliseconds to the next."""
    if not _DURATION.fullmatch(text):
        if _NUMBER.fullmatch(text):
            raise UnitError(f"needs a unit; write {text}s for seconds, {text}m for minutes")
        raise UnitError(f"is not a duration; write a number and ms, s, m or h, for example {DURATION_FORMS}")
    number = text.rstrip("msh")
    return float(number) * _MS_PER_UNIT[text[len(number) :]] / 1_000


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back as the same number of seconds."""
    whole_ms = round(seconds * 1_000)
    if whole_ms / 1_000 != seconds:
        return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
    unit = next(u for u in ("h", "m", "s", "ms") if whole_ms % _MS_PER_UNIT[u] == 0) if whole_ms else "s"
    return f"{whole_ms // _MS_PER_UNIT[unit]}{unit}"


def parse_size(text: str) -> int:
    """Bytes. Units are binary (1 KiB is 1024 bytes); `MB` is refused, because it is read both ways."""
    if not _SIZE.fullmatch(text):
        raise UnitError(_size_hint(text))
    number = text.rstrip("BiKMGT")
    return int(number) * _BYTES_PER_UNIT[text[len(number) :]]


def format_size(size: int) -> str:
    """The shortest text that `parse_size` reads back as the same number of bytes."""
    units = ("TiB", "GiB", "MiB", "KiB", "B")
    unit = next(u for u in units if size % _BYTES_PER_UNIT[u] == 0) if size else "B"
    return f"{size // _BYTES_PER_UNIT[unit]}{unit}"


def _size_hint(text: str) -> str:
    if _NUMBER.fullmatch(text):
        return f"needs a unit; write {text}MiB or {text}B"
    if loose := _LOOSE_SIZE.fullmatch(text):
        return f"is not a size: units are binary here; write {loose[1]}{_BINARY_UNITS[loose[2].upper()]}"
    return f"is not a size; write a whole number and B, KiB, MiB, GiB or TiB, for example {SIZE_FORMS}"
