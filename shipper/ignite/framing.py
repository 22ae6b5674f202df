"""gRPC's length-prefixed messages, cut out of a byte stream in bulk.

A body is `[flag 1 byte][length 4 bytes, big endian][message]` repeated
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). Each prefix is rewritten as the header of
field 1 of a wrapper message `{ repeated Item items = 1; }`, so that a chunk of a hundred messages is parsed
by one call.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

MAX_MESSAGE: Final = (
    16 * 1024 * 1024
)  # bytes; the platform's lines are far below, and memory must stay bounded
_PREFIX: Final = struct.Struct(">BI")
_PREFIX_SIZE: Final = 5


def frame(message: bytes) -> bytes:
    """One uncompressed message with its prefix."""
    return _PREFIX.pack(0, len(message)) + message


def _item_header(size: int) -> bytes:
    header = bytearray(b"\x0a")
    while size > 0x7F:
        header.append(size & 0x7F | 0x80)
        size >>= 7
    header.append(size)
    return bytes(header)


_ITEM_HEADERS: Final = tuple(_item_header(size) for size in range(4096))


@dataclass(frozen=True, slots=True)
class Messages:
    """Complete messages of one read. `wrapped` is all of them as field 1 of a wrapper message; `bad` counts
    what could not be unpacked (damaged compression, larger than MAX_MESSAGE).
    """

    wrapped: bytes
    count: int
    bad: int = 0


EMPTY: Final = Messages(b"", 0)


@dataclass(slots=True)
class Deframer:
    """Turns reads into complete messages; keeps what is incomplete, at most MAX_MESSAGE and a read."""

    _rest: bytearray = field(default_factory=bytearray)
    _need: int = _PREFIX_SIZE
    _skip: int = 0

    def feed(self, data: bytes) -> Messages:
        """The messages that `data` completes, in order."""
        if self._skip:
            dropped = min(self._skip, len(data))
            self._skip -= dropped
            data = data[dropped:]
        if self._rest:
            self._rest += data
            if len(self._rest) < self._need:
                return EMPTY
            data = bytes(self._rest)
            self._rest.clear()
        return self._cut(data)

    def _cut(self, data: bytes) -> Messages:
        parts: list[bytes] = []
        add = parts.append
        at, end, count, bad = 0, len(data), 0, 0
        headers, unpack = _ITEM_HEADERS, _PREFIX.unpack_from
        self._need = _PREFIX_SIZE
        while end - at >= _PREFIX_SIZE:
            flag, size = unpack(data, at)
            start = at + _PREFIX_SIZE
            if size > MAX_MESSAGE:
                bad += 1
                self._skip = max(0, size - (end - start))
                at = min(end, start + size)
                continue
            if end - start < size:
                self._need = size + _PREFIX_SIZE
                break
            at = start + size
            if flag:
                message = _inflate(data[start:at])
                if message is None:
                    bad += 1
                    continue
                add(_item_header(len(message)))
                add(message)
            else:
                add(headers[size] if size < 4096 else _item_header(size))
                add(data[start:at])
            count += 1
        if at < end:
            self._rest += data[at:]
        return Messages(b"".join(parts), count, bad)

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._rest) or self._skip > 0


def _inflate(data: bytes) -> bytes | None:
    """A gzip-compressed message, bounded against bombs; None where it is damaged or too large."""
    inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, told apart by the header
    try:
        message = inflater.decompress(data, MAX_MESSAGE)
    except zlib.error:
        return None
    return message if inflater.eof else None


def split(wrapped: bytes) -> list[bytes]:
    """The single messages of a wrapper: the slow path, for a chunk that does not parse as a whole."""
    messages: list[bytes] = []
    at, end = 0, len(wrapped)
    while at < end:
        at += 1
        size = shift = 0
        while True:
            byte = wrapped[at]
            at += 1
            size |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
        messages.append(wrapped[at : at + size])
        at += size
    return messages
