"""gRPC's length-prefixed messages, cut out of a byte stream in bulk.

A body is `[flag 1 byte][length 4 bytes, big endian][message]` repeated; flag 1 says that the message is compressed
(https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

MAX_MESSAGE: Final = 16 * 1024 * 1024  # bytes; log lines are far below, and memory must stay bounded
_INFLATED: Final = 1024 * 1024  # bytes of unpacked messages after which the rest of a read waits
_MOST_RATIO: Final = 1032  # of deflate (https://zlib.net/zlib_tech.html)
_PREFIX: Final = struct.Struct(">BI")
_PREFIX_SIZE: Final = _PREFIX.size


def frame(message: bytes) -> bytes:
    """One uncompressed message with its prefix."""
    return _PREFIX.pack(0, len(message)) + message


@dataclass(frozen=True, slots=True)
class Messages:
    """Complete messages of one read, in order. `bad` counts those left out: their compression was damaged, or they
    were too large.
    """

    bodies: list[bytes]
    bad: int = 0

    @property
    def count(self) -> int:
        """How many are complete and readable."""
        return len(self.bodies)


@dataclass(slots=True)
class Deframer:
    """Turns reads into complete messages; keeps what is incomplete, at most `limit` bytes and a read.

    `broken` says that what came is no gRPC framing: nothing after it can be understood. `more` says that messages wait
    which are to be had by feeding nothing: a read of compressed ones may unpack to a thousand times its size, so it
    comes in parts.
    """

    limit: int = MAX_MESSAGE
    broken: bool = False
    more: bool = False
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
                return Messages([])
            data = bytes(self._rest)
            self._rest.clear()
        return self._cut(data)

    def _cut(self, data: bytes) -> Messages:
        bodies: list[bytes] = []
        add, unpack, limit = bodies.append, _PREFIX.unpack_from, self.limit
        at, end, bad, inflated = 0, len(data), 0, 0
        self.more = False
        self._need = _PREFIX_SIZE
        while end - at >= _PREFIX_SIZE:
            flag, size = unpack(data, at)
            start = at + _PREFIX_SIZE
            stop = start + size
            if flag == 0 and stop <= end and size <= limit:  # nearly always
                add(data[start:stop])
                at = stop
                continue
            if flag > 1:
                self.broken = True
                return Messages(bodies, bad)
            if size > limit:
                bad += 1
                self._skip = max(0, stop - end)
                at = min(stop, end)
                continue
            if stop > end:
                self._need = size + _PREFIX_SIZE
                break
            if inflated >= _INFLATED:
                self.more = True
                break
            message = _inflate(data[start:stop], limit)
            if message is None:
                bad += 1
                inflated += min(limit, size * _MOST_RATIO)  # as much work as it may have been
            else:
                add(message)
                inflated += len(message)
            at = stop
        self._rest += data[at:]
        return Messages(bodies, bad)

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._rest) or self._skip > 0


def _inflate(data: bytes, limit: int) -> bytes | None:
    """A gzip-compressed message, bounded against bombs; None where it is damaged or too large."""
    inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, told apart by the header
    try:
        message = inflater.decompress(data, limit + 1)
    except zlib.error:
        return None
    whole = inflater.eof and not inflater.unused_data and len(message) <= limit
    return message if whole else None
