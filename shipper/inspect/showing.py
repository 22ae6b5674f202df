"""What the platform has, for people's eyes or as JSON. What apps print may hold anything: no terminal is to obey it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shipper.sinks.stdout import harmless

Write = Callable[[Iterable[str]], None]
"""Prints lines at once."""

Warn = Callable[[str], None]
"""Says something beside them."""


@dataclass(frozen=True, slots=True)
class Screen:
    """Where it is shown. `json` asks for records as the archive has them, one a line."""

    json: bool
    write: Write
    warn: Warn

    def records(self, ndjson: bytes) -> None:
        """Print records, with control characters written out."""
        if ndjson:
            self.write(harmless(ndjson).decode().removesuffix("\n").split("\n"))


def safe(text: str | bytes) -> str:
    """Text in which whatever does not print (controls, escapes, marks that turn the direction) is written out."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def moment(at_ms: int) -> str:
    """A time in UTC; the number itself where it is absurd, nothing where it is zero."""
    if not at_ms:
        return "-"
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    except (OverflowError, ValueError, OSError):
        return str(at_ms)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows as aligned columns under a head."""
    cells = [list(head), *([safe(cell) or "-" for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]
