"""Where one JSON value ends, in bytes that are cut anywhere.

Only brackets and quotes are looked at, each byte once or twice; what is between them is for the parser. So time is
linear in the bytes and memory is bounded, whatever the other side sends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

# Possessive: nothing is kept for going back, so a text of ten million escapes needs no memory.
_PLAIN: Final = rb'[^"{}\[\]]*+'
_TEXT: Final = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_REST_OF_TEXT: Final = re.compile(_TEXT, re.DOTALL)
_NO_BRACKET: Final = re.compile(_PLAIN + rb'(?:"' + _TEXT + rb'"' + _PLAIN + rb")*+", re.DOTALL)
_OPENING: Final = frozenset(b"{[")
_QUOTE, _BACKSLASH = b'"'[0], b"\\"[0]

MAX_VALUE: Final = 24 * 1024 * 1024  # bytes; 16 MiB of message, which base64 and escapes make larger
MAX_DEPTH: Final = 64  # objects and arrays inside each other; the platform's need three
_ENDLESS: Final = 4  # times the limit: what has not ended by then was torn, and swallows all that follows


@dataclass(slots=True)
class Scanner:
    """Takes one value after the other. One beyond `limit` bytes or MAX_DEPTH is read to its end, counts as `bad` and is
    not kept.
    """

    limit: int = MAX_VALUE
    bad: int = 0
    _pending: bytearray = field(default_factory=bytearray)
    _size: int = 0
    _depth: int = 0
    _quoted: bool = False
    _escaped: bool = False
    _spoiled: bool = False

    @property
    def began(self) -> bool:
        """Whether a value has begun and not ended."""
        return self._depth > 0

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return len(self._pending)

    @property
    def endless(self) -> bool:
        """Whether the value that has begun is so long that its end was missed."""
        return self._size > _ENDLESS * self.limit

    def take(self, data: bytes, at: int, values: list[bytes]) -> int:
        """Go on with the value that has begun; else one begins at `at`, with a bracket. Returns where it ends, or the
        end of `data`; a value that ended well is appended to `values`.
        """
        start = at
        if self._depth == 0:
            self._depth, at = 1, at + 1
        elif self._escaped and data:
            self._escaped, at = False, at + 1
        at = self._scan(data, at)
        self._keep(data[start:at])
        if self._depth == 0:
            if self._spoiled:
                self.bad += 1
            else:
                values.append(bytes(self._pending))
            self._forget()
        return at

    def give_up(self) -> None:
        """The value that has begun will not end: it is a bad one."""
        if self._depth:
            self.bad += 1
        self._depth = 0
        self._quoted = self._escaped = False
        self._forget()

    def _scan(self, data: bytes, at: int) -> int:
        """To the end of the value, or of the data."""
        size, depth = len(data), self._depth
        while at < size:
            if self._quoted:
                at = _end(_REST_OF_TEXT, data, at)
                if at < size:
                    self._escaped = data[at] == _BACKSLASH  # the last byte: what it escapes is still to come
                    self._quoted = self._escaped
                    at += 1
                continue
            at = _end(_NO_BRACKET, data, at)
            if at == size:
                break
            token = data[at]
            at += 1
            if token == _QUOTE:  # of a text that does not end here
                self._quoted = True
            elif token in _OPENING:
                depth += 1
                self._spoiled = self._spoiled or depth > MAX_DEPTH
            else:
                depth -= 1
                if depth == 0:
                    break
        self._depth = depth
        return at

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        self._spoiled = self._spoiled or self._size > self.limit
        if self._spoiled:
            self._pending = bytearray()
        else:
            self._pending += part

    def _forget(self) -> None:
        self._pending = bytearray()
        self._size, self._spoiled = 0, False


def _end(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
    """Where a pattern ends that matches anywhere, if only nothing."""
    found = pattern.match(data, at)
    assert found is not None
    return found.end()
