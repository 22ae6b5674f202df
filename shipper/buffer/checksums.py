"""The checksum of a row: SQLite checks a page's structure, but not what is written on it."""

from __future__ import annotations

import zlib

from shipper.buffer.database import Damaged, Row


def with_checksum(*content: object) -> list[object]:
    """The values of a row, and their checksum as its last."""
    return [*content, _checksum(content)]


def without_checksum(values: Row, what: str) -> Row:
    """What `with_checksum` was given. Raises Damaged for what was never written; `what` it is, for the message."""
    if values[-1] != _checksum(values[:-1]):
        raise Damaged(f"the row of {what} {values[0]!r} does not have its checksum")
    return values[:-1]


def _checksum(content: tuple[object, ...]) -> int:
    return zlib.crc32(repr(content).encode())
