"""Where one JSON value ends and the next begins, in a byte stream that is cut anywhere.

Only brackets and quotes are looked at, each byte once; what is between them is for the parser. So time is linear in
the bytes and memory is bounded, whatever the other side sends.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

_OUTSIDE: Final = re.compile(rb'["{}\[\]]')
_INSIDE: Final = re.compile(rb'["\\]')
_BLANK: Final = b" \t\r\n,]"  # between values: what separates those of an array, and its end
_OPENING: Final = frozenset(b"{[")
_QUOTE, _BACKSLASH = b'"'[0], b"\\"[0]

MAX_VALUE: Final = 24 * 1024 * 1024  # bytes; 16 MiB of message, which base64 and escapes make larger
MAX_DEPTH: Final = 64  # objects and arrays inside each other; the platform's need three


@dataclass(slots=True)
class Scanner:
    """Cuts objects (and arrays) out of a stream. What is no bracketed value between two of them counts as one bad one,
    and so does a value beyond `limit` bytes or MAX_DEPTH, whose bytes are not kept.
    """

    limit: int = MAX_VALUE
    bad: int = 0
    _pending: bytearray = field(default_factory=bytearray)
    _depth: int = 0
    _quoted: bool = False
    _escaped: bool = False
    _spoiled: bool = False

    @property
    def between(self) -> bool:
        """Whether no value has begun."""
        return self._depth == 0

    def feed(self, data: bytes) -> list[bytes]:
        """The values that end in `data`, in order."""
        values: list[bytes] = []
        at = start = 0
        if self._escaped and data:
            at, self._escaped = 1, False
        while (found := (_INSIDE if self._quoted else _OUTSIDE).search(data, at)) is not None:
            at = found.end()
            token = data[at - 1]
            if token == _QUOTE:
                # A quote between values opens nothing: who is not in a value cannot be in its text.
                self._quoted = not self._quoted and self._depth > 0
            elif token == _BACKSLASH:
                self._escaped = at >= len(data)
                at += 1
            elif token in _OPENING:
                if self._depth == 0:
                    self._stray(data[start : at - 1])
                    start = at - 1
                self._depth += 1
                self._spoiled = self._spoiled or self._depth > MAX_DEPTH
            elif self._depth > 0:
                self._depth -= 1
                if self._depth == 0:
                    self._complete(data[start:at], values)
                    start = at
        rest = data[start:]
        if self._depth:
            self._keep(rest)
        else:
            self._stray(rest)
        return values

    def give_up(self) -> None:
        """The value that has begun will not end: it is a bad one."""
        if self._depth:
            self.bad += 1
        self._pending.clear()
        self._depth = 0
        self._quoted = self._escaped = self._spoiled = False

    def _complete(self, last: bytes, values: list[bytes]) -> None:
        if self._spoiled or len(self._pending) + len(last) > self.limit:
            self.bad += 1
        elif self._pending:
            values.append(bytes(self._pending) + last)
        else:
            values.append(last)
        self._pending.clear()
        self._spoiled = False

    def _keep(self, part: bytes) -> None:
        if not self._spoiled and len(self._pending) + len(part) > self.limit:
            self._spoiled = True
        if self._spoiled:
            self._pending.clear()
        else:
            self._pending += part

    def _stray(self, part: bytes) -> None:
        if part.strip(_BLANK):
            self.bad += 1
