"""One gRPC message with a field too long to keep: the field's bytes are handed out while the message comes in.

A build log is one field of one message and may have any size, while every other message is small. Memory is what one
read brings, whatever is sent. The wire is described at https://protobuf.dev/programming-guides/encoding/ and, for the
prefix, at https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from shipper.ignite.build_log import Malformed

PIECE: Final = 256 * 1024  # of what comes out of compressed bytes at once
_PREFIX: Final = struct.Struct(">BI")
_LONGEST_VARINT: Final = 10
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}


@dataclass(slots=True)
class LongMessage:
    """The content of an answer's only message, piece by piece, unpacked where it is compressed."""

    _prefix: bytearray = field(default_factory=bytearray)
    _left: int = -1  # bytes of the message that are still to come; -1 before its prefix
    _inflater: Any = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The content that `data` brings. Raises Malformed, also for a second message."""
        if self._left < 0:
            missing = _PREFIX.size - len(self._prefix)
            self._prefix += data[:missing]
            data = data[missing:]
            if len(self._prefix) < _PREFIX.size:
                return
            self._begin()
        if len(data) > self._left:
            raise Malformed("more than one message")
        self._left -= len(data)
        if self._inflater is None:
            yield data
        else:
            yield from self._inflated(data)

    @property
    def begun(self) -> bool:
        """Whether anything came."""
        return bool(self._prefix)

    @property
    def complete(self) -> bool:
        """Whether the whole message came."""
        return self._left == 0 and (self._inflater is None or self._inflater.eof)

    def _begin(self) -> None:
        flag, self._left = _PREFIX.unpack(self._prefix)
        if flag > 1:
            raise Malformed("no gRPC framing")
        if flag:
            self._inflater = zlib.decompressobj(wbits=47)  # gzip or zlib, told apart by the header

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        inflater = self._inflater
        try:
            full = True  # there may be more to come out of what went in
            while (data or full) and not inflater.eof:
                piece = inflater.decompress(data, PIECE)
                full = len(piece) == PIECE
                data = inflater.unconsumed_tail
                yield piece
        except zlib.error as error:
            raise Malformed(f"damaged compression: {error}") from error
        if inflater.unused_data:
            raise Malformed("more than one compressed message")


@dataclass(slots=True)
class LongField:
    """The bytes of one message's field `number`, as they come. `numbers` are the integers among its other fields."""

    number: int
    numbers: dict[int, int] = field(default_factory=dict)
    _rest: bytes = b""  # of a tag, a length or an integer that is not whole
    _take: int = 0
    _skip: int = 0
    _seen: bool = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The field's bytes that `data` brings. Raises Malformed."""
        data = self._rest + data
        self._rest = b""
        at, end = 0, len(data)
        while at < end:
            if self._take:
                piece = data[at : at + self._take]
                self._take -= len(piece)
                at += len(piece)
                yield piece
            elif self._skip:
                skipped = min(self._skip, end - at)
                self._skip -= skipped
                at += skipped
            else:
                after = self._field(data, at)
                if after is None:
                    self._rest = data[at:]
                    return
                at = after

    @property
    def complete(self) -> bool:
        """Whether no field is cut."""
        return not (self._rest or self._take or self._skip)

    def _field(self, data: bytes, at: int) -> int | None:
        """Read a tag and what follows it but for its bytes; where those begin, None where it is not whole."""
        tag = _varint(data, at)
        if tag is None:
            return None
        kind, number = tag[0] & 7, tag[0] >> 3
        if number == 0 or (number == self.number and kind != _BYTES):
            raise Malformed(f"field {number} of wire type {kind}")
        if kind in _FIXED:
            self._skip = _FIXED[kind]
            return tag[1]
        if kind not in (_VARINT, _BYTES):
            raise Malformed(f"wire type {kind}")
        value = _varint(data, tag[1])
        if value is None:
            return None
        if kind == _VARINT:
            self.numbers[number] = value[0]
        elif number != self.number:
            self._skip = value[0]
        elif self._seen:
            raise Malformed(f"field {number} comes twice")
        else:
            self._take, self._seen = value[0], True
        return value[1]


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    """An integer and where it ends, None where it is not whole."""
    value = 0
    for index in range(_LONGEST_VARINT):
        if at + index >= len(data):
            return None
        byte = data[at + index]
        value |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return value, at + index + 1
    raise Malformed("an integer that does not end")
