"""Numbers, times and states in the words that people read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def instant(at_ms: int | None) -> str | None:
    """`2026-11-23T20:15:00.123Z`; None for what is no time that a calendar has."""
    if at_ms is None:
        return None
    try:
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def lasting(seconds: float) -> str:
    """`45 s`, `2 min`, `3 h 20 min`: at most two units, the smaller one only where it matters."""
    whole = round(max(seconds, 0.0))
    for index, (size, unit) in enumerate(_UNITS):
        if whole >= size:
            count, rest = divmod(whole, size)
            smaller = rest // _UNITS[index + 1][0] if size > 60 else 0
            return f"{count} {unit}" + (f" {smaller} {_UNITS[index + 1][1]}" if smaller else "")
    return "0 s"


def bytes_of(count: float) -> str:
    """`1.5 GiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"


def many(count: float, one: str, more: str = "") -> str:
    """`1 gap`, `1,204 gaps`."""
    return f"{count:,.0f} {one if round(count) == 1 else more or one + 's'}"


def listed(counts: Mapping[str, float]) -> str:
    """`rotated 3, restarted 1`: the most first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,.0f}" for name, count in ordered)
