"""HTTP/2's frames (RFC 9113 sections 4 and 6): their numbers, and how those that a client sends are laid out."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER: Final = struct.Struct(">BHBBI")  # length (in two parts), type, flags, stream
HEADER_SIZE: Final = HEADER.size
MAX_FRAME: Final = 16_384  # what either side must take; we ask for no more, and send no more
MAX_STREAM_ID: Final = 2**31 - 1
MAX_WINDOW: Final = 2**31 - 1

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

_SETTING: Final = struct.Struct(">HI")
_NUMBER: Final = struct.Struct(">I")
_GOAWAY: Final = struct.Struct(">II")
_UPDATE: Final = struct.Struct(">BHBBII")


class ErrorCode(IntEnum):
    """Why a stream or a connection is ended (RFC 9113 section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Setting(IntEnum):
    """What a side says of itself (RFC 9113 section 6.5.2)."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class RuleBroken(Exception):
    """The other side broke HTTP/2's rules in a way that ends the connection. Never leaves this package."""

    def __init__(self, code: ErrorCode, what: str) -> None:
        super().__init__(what)
        self.code = code


def code_name(code: int) -> str:
    """An error code as text; what is no known code as its number."""
    try:
        return ErrorCode(code).name
    except ValueError:
        return f"error {code}"


def pack(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """A frame."""
    size = len(payload)
    return HEADER.pack(size >> 16, size & 0xFFFF, kind, flags, stream_id) + payload


def settings(values: Mapping[Setting, int]) -> bytes:
    """A SETTINGS frame."""
    return pack(SETTINGS, 0, 0, b"".join(_SETTING.pack(key, value) for key, value in values.items()))


def read_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Numbers and values of a SETTINGS frame."""
    if len(payload) % _SETTING.size:
        raise RuleBroken(ErrorCode.FRAME_SIZE_ERROR, "sent SETTINGS of a wrong length")
    return _SETTING.iter_unpack(payload)


def window_update(stream_id: int, more: int) -> bytes:
    """So many bytes more may be sent on a stream, or (0) on the connection."""
    return _UPDATE.pack(0, 4, WINDOW_UPDATE, 0, stream_id, more)


def reset(stream_id: int, code: int) -> bytes:
    """A RST_STREAM frame."""
    return pack(RST_STREAM, 0, stream_id, _NUMBER.pack(code))


def goaway(code: int) -> bytes:
    """A GOAWAY frame of a side that the other opened no streams on."""
    return pack(GOAWAY, 0, 0, _GOAWAY.pack(0, code))


def read_goaway(payload: bytes) -> tuple[int, int, bytes]:
    """Last stream, error code and what else a GOAWAY frame says."""
    if len(payload) < _GOAWAY.size:
        raise RuleBroken(ErrorCode.FRAME_SIZE_ERROR, "sent a GOAWAY of a wrong length")
    last, code = _GOAWAY.unpack_from(payload)
    return last & MAX_STREAM_ID, code, payload[_GOAWAY.size :]


def read_number(payload: bytes) -> int:
    """The number that is all of a WINDOW_UPDATE or RST_STREAM frame."""
    if len(payload) != _NUMBER.size:
        raise RuleBroken(ErrorCode.FRAME_SIZE_ERROR, "sent a frame of a wrong length")
    number: int = _NUMBER.unpack(payload)[0]
    return number


def header_block(stream_id: int, block: bytes, *, ends: bool) -> bytes:
    """HEADERS, and as many CONTINUATION frames as the block needs."""
    pieces = [block[at : at + MAX_FRAME] for at in range(0, len(block), MAX_FRAME)] or [b""]
    out = []
    for index, piece in enumerate(pieces):
        flags = END_HEADERS if index == len(pieces) - 1 else 0
        if index == 0:
            out.append(pack(HEADERS, flags | (END_STREAM if ends else 0), stream_id, piece))
        else:
            out.append(pack(CONTINUATION, flags, stream_id, piece))
    return b"".join(out)


def unpadded(flags: int, payload: bytes) -> bytes:
    """What a frame carries without its padding."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise RuleBroken(ErrorCode.PROTOCOL_ERROR, "sent a frame with more padding than frame")
    return payload[1 : len(payload) - payload[0]]
