"""A JSON answer with a string too long to keep: the string is handed out while the answer comes in.

What is left of the answer without it is a small JSON text, which the ordinary parser and the ordinary rules about
envelopes and errors take. Memory is what one read brings, whatever is sent.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Final

from shipper.ignite.build_log import Malformed

MOST_BESIDE: Final = 64 * 1024  # bytes of the answer without the string
_OUTSIDE: Final = re.compile(rb'["{}\[\],:]')
_INSIDE: Final = re.compile(rb'["\\]')
_QUOTE, _COLON = b'"'[0], b":"[0]
_ESCAPES: Final = {b"\\/": b"/", b"\\n": b"\n", b"\\r": b"\r", b"\\t": b"\t"}
_UNICODE: Final = re.compile(rb"\\u00([0-7][0-9a-fA-F])")  # what base64 is made of is ASCII
_UNICODE_SIZE: Final = 6
_BLANK: Final = b" \t\r\n"
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


@dataclass(slots=True)
class LongString:
    """The value of the key `name` as raw bytes. `beside` is the rest of the answer, in which that value is empty.

    Of several such keys the first with a string is meant; the others stay in `beside`.
    """

    name: bytes
    beside: bytearray = field(default_factory=bytearray)
    _in_other: bool = False
    _in_wanted: bool = False
    _next: bool = False  # the wanted key and its colon have come
    _taken: bool = False
    _key: int = -1  # where in `beside` the string began that ended last
    _escape: bytes = b""  # that is not whole

    def feed(self, data: bytes) -> list[bytes]:
        """The wanted string's bytes that `data` brings. Raises Malformed."""
        found: list[bytes] = []
        at = 0
        while at < len(data):
            if self._in_wanted:
                at = self._wanted(data, at, found)
            elif self._in_other:
                at = self._other(data, at)
            else:
                at = self._between(data, at)
        return found

    def _keep(self, part: bytes) -> None:
        self.beside += part
        if len(self.beside) > MOST_BESIDE:
            raise Malformed(f"more than {MOST_BESIDE} bytes without {self.name.decode()!r}")

    def _between(self, data: bytes, at: int) -> int:
        found = _OUTSIDE.search(data, at)
        end = len(data) if found is None else found.end()
        self._keep(data[at:end])
        if found is None:
            return end
        token = data[end - 1]
        if token == _QUOTE:
            self._in_wanted, self._in_other = self._next, not self._next
            self._key = len(self.beside) - 1
            self._next = False
        else:
            self._next = token == _COLON and not self._taken and self._was_wanted()
            self._key = -1
        return end

    def _was_wanted(self) -> bool:
        """Whether the last string, after which a colon came, is the wanted key."""
        key = bytes(self.beside[self._key : -1]) if self._key >= 0 else b""
        return key.rstrip(_BLANK) == b'"%b"' % self.name

    def _other(self, data: bytes, at: int) -> int:
        if self._escape:
            self._escape = b""
            self._keep(data[at : at + 1])
            return at + 1
        found = _INSIDE.search(data, at)
        end = len(data) if found is None else found.end()
        self._keep(data[at:end])
        if found is not None:
            self._in_other = data[end - 1] != _QUOTE
            self._escape = b"\\" if self._in_other else b""
        return end

    def _wanted(self, data: bytes, at: int, into: list[bytes]) -> int:
        if self._escape:
            return self._unescape(data, at, into)
        found = _INSIDE.search(data, at)
        end = len(data) if found is None else found.start()
        if end > at:
            into.append(data[at:end])
        if found is None:
            return end
        if data[end] == _QUOTE:
            self._keep(b'"')
            self._in_wanted, self._taken = False, True
        else:
            self._escape = b"\\"
        return end + 1

    def _unescape(self, data: bytes, at: int, into: list[bytes]) -> int:
        size = _UNICODE_SIZE if (self._escape + data[at : at + 1])[1:2] == b"u" else 2
        end = at + size - len(self._escape)
        self._escape += data[at:end]
        if len(self._escape) == size:
            match = _UNICODE.fullmatch(self._escape)
            char = bytes([int(match[1], 16)]) if match else _ESCAPES.get(self._escape)
            if char is None:
                raise Malformed(f"{self.name.decode()} is not base64")
            into.append(char)
            self._escape = b""
        return min(end, len(data))


@dataclass(slots=True)
class Base64:
    """Base64 that comes in pieces, standard or URL-safe, with padding or without; line ends are skipped."""

    _rest: bytes = b""
    _padded: bool = False

    def feed(self, text: bytes) -> bytes:
        """The bytes that are complete. Raises Malformed."""
        text = text.translate(_URL_SAFE, delete=_BLANK)
        bare = text.rstrip(b"=")
        if b"=" in bare or (bare and self._padded):
            raise Malformed("base64 that goes on after its end")
        self._padded = self._padded or len(bare) < len(text)
        text = self._rest + bare
        whole = len(text) // 4 * 4
        self._rest = text[whole:]
        return _decoded(text[:whole])

    def finish(self) -> bytes:
        """The last bytes."""
        rest, self._rest = self._rest, b""
        return _decoded(rest + b"=" * (-len(rest) % 4))


def _decoded(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Malformed(f"not base64: {error}") from None
