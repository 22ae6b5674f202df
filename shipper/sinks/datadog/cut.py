"""Texts that are too long for a log: what fits of them, whole characters only, and a marker that says what does not."""

from __future__ import annotations

from typing import Final

import orjson

from shipper.sinks.datadog.labels import showable

MARKER_ROOM: Final = 64
"""Bytes of JSON that a marker takes at most."""

_LONGEST_ESCAPE: Final = 6  # \u001f
_SHORT_ESCAPE: Final = 2  # \n


def cut(text: str, room: int) -> tuple[str, int]:
    """The text with a marker at its end, in at most `room` bytes of JSON (quotes aside), and how many bytes of UTF-8
    are left out. A text that fits comes back as it is.
    """
    text = showable(text)
    kept = _beginning(text, max(0, room))
    if len(kept) == len(text):
        return text, 0
    kept = _beginning(text, max(0, room - MARKER_ROOM))
    left_out = len(text.encode()) - len(kept.encode())
    return f"{kept}… [cut by shipper: {left_out} bytes more]", left_out


def _beginning(text: str, room: int) -> str:
    """As much of the text as takes no more than `room` bytes of JSON."""
    escaped = orjson.dumps(text[: room + 1])[1:-1]  # a character takes a byte at least
    if len(escaped) <= room:
        return text[: room + 1]
    kept: str = orjson.loads(b'"' + escaped[: _boundary(escaped, room)] + b'"')
    return kept


def _boundary(escaped: bytes, at: int) -> int:
    """The last place up to `at` where neither a character nor an escape is cut in two."""
    begin = escaped.rfind(b"\\", max(0, at - _LONGEST_ESCAPE + 1), at)
    if begin >= 0 and _opens(escaped, begin):
        length = _LONGEST_ESCAPE if escaped[begin + 1 : begin + 2] == b"u" else _SHORT_ESCAPE
        if begin + length > at:
            return begin
    while at > 0 and escaped[at] & 0xC0 == 0x80:  # inside a character
        at -= 1
    return at


def _opens(escaped: bytes, backslash: int) -> bool:
    r"""Whether this backslash begins an escape; it is otherwise the second one of `\\`."""
    run = backslash
    while run > 0 and escaped[run - 1] == ord("\\"):
        run -= 1
    return (backslash - run) % 2 == 0
