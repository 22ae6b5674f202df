"""Texts that are longer than Sentry takes: cut to a size in UTF-8, with a mark that says how much there was."""

from __future__ import annotations

from typing import Final

_MARK: Final = "… [cut by shipper: {} bytes in all]"
_ROOM: Final = len(_MARK.format(10**12).encode())
_LONGEST_CHARACTER: Final = 4  # bytes of UTF-8


def cut(text: str, most: int) -> str:
    """The text itself if it has at most `most` bytes, else as much of its beginning as fits with the mark."""
    if len(text) * _LONGEST_CHARACTER <= most:
        return text
    raw = text.encode("utf-8", "replace")
    if len(raw) <= most:
        return text
    mark = _MARK.format(len(raw))
    if most <= _ROOM:  # too short for any mark: what fits says more
        return raw[:most].decode("utf-8", "ignore")
    return raw[: most - len(mark.encode())].decode("utf-8", "ignore") + mark
