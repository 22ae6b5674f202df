"""Header blocks, in and out: HPACK (RFC 7541) is the hpack library's; the bounds around it are here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import hpack

from shipper.ignite.http2.frames import (
    END_HEADERS,
    END_STREAM,
    WITH_PRIORITY,
    ErrorCode,
    RuleBroken,
    unpadded,
)

MOST_BYTES: Final = 65_536  # of a header list, and of the block that it comes in
_MOST_PIECES: Final = 64  # frames of a block: empty ones cost the sender next to nothing
_OUR_TABLE: Final = 4_096  # HPACK's default, and enough for what we send
_PRIORITY_SIZE: Final = 5


@dataclass(frozen=True, slots=True)
class Fields:
    """A decoded header list: pseudo headers among the others, the first of each name."""

    values: Mapping[str, str]

    @property
    def status(self) -> int:
        """The HTTP status; 0 where there is none that could be one."""
        text = self.values.get(":status", "")
        return int(text) if len(text) == 3 and text.isascii() and text.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Block:
    """A header list that arrived whole. `ends` says that it is the last of its stream."""

    stream_id: int
    fields: Fields
    ends: bool


@dataclass(slots=True)
class BlockReader:
    """Collects HEADERS and CONTINUATION frames, and decodes them.

    Answers look alike: the same list that comes again is the same object.
    """

    open: bool = False
    _stream_id: int = 0
    _ends: bool = False
    _pieces: list[bytes] = field(default_factory=list)
    _size: int = 0
    _decoder: hpack.Decoder = field(default_factory=lambda: hpack.Decoder(max_header_list_size=MOST_BYTES))
    _last: tuple[list[tuple[bytes, bytes]], Fields] = field(default_factory=lambda: ([], Fields({})))

    def headers(self, flags: int, stream_id: int, payload: bytes) -> Block | None:
        """A HEADERS frame; the block, if that is all of it."""
        payload = unpadded(flags, payload)
        if flags & WITH_PRIORITY:
            if len(payload) < _PRIORITY_SIZE:
                raise RuleBroken(ErrorCode.FRAME_SIZE_ERROR, "sent HEADERS of a wrong length")
            payload = payload[_PRIORITY_SIZE:]
        self._stream_id, self._ends = stream_id, bool(flags & END_STREAM)
        self._size = 0
        return self._more(flags, payload)

    def continuation(self, flags: int, stream_id: int, payload: bytes) -> Block | None:
        """A CONTINUATION frame; the block, if that completes it."""
        if not self.open or stream_id != self._stream_id:
            raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "continued a header block that is not open")
        return self._more(flags, payload)

    def _more(self, flags: int, payload: bytes) -> Block | None:
        self._pieces.append(payload)
        self._size += len(payload)
        if self._size > MOST_BYTES or len(self._pieces) > _MOST_PIECES:
            raise RuleBroken(ErrorCode.ENHANCE_YOUR_CALM, "sent a header block without end")
        self.open = not flags & END_HEADERS
        if self.open:
            return None
        block = b"".join(self._pieces)
        self._pieces.clear()
        return Block(self._stream_id, self._decoded(block), self._ends)

    def _decoded(self, block: bytes) -> Fields:
        try:
            pairs: list[tuple[bytes, bytes]] = list(self._decoder.decode(block, raw=True))
        except hpack.OversizedHeaderListError as error:
            raise RuleBroken(ErrorCode.ENHANCE_YOUR_CALM, "sent more headers than we take") from error
        except (hpack.HPACKError, IndexError) as error:
            raise RuleBroken(ErrorCode.COMPRESSION_ERROR, "sent headers that cannot be decoded") from error
        if pairs != self._last[0]:
            values: dict[str, str] = {}
            for name, value in pairs:
                values.setdefault(name.decode("utf-8", "replace"), value.decode("utf-8", "replace"))
            self._last = (pairs, Fields(values))
        return self._last[1]


@dataclass(slots=True)
class BlockWriter:
    """Encodes header lists. What the other side says about its table takes effect with the next one: SETTINGS by
    the thousand must leave nothing behind.
    """

    _encoder: hpack.Encoder = field(default_factory=hpack.Encoder)
    _table: int = _OUR_TABLE
    _smallest: int = _OUR_TABLE

    def table_size(self, size: int) -> None:
        """How large the other side lets our table be."""
        self._table = min(size, _OUR_TABLE)
        self._smallest = min(self._smallest, self._table)

    def encode(self, headers: Iterable[tuple[str, str]]) -> bytes:
        """The block."""
        for size in (self._smallest, self._table):  # both must be told (RFC 7541 section 4.2)
            if size != self._encoder.header_table_size:
                self._encoder.header_table_size = size
        self._smallest = self._table
        return self._encoder.encode(headers)
