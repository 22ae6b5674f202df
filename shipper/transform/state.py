"""What a pipeline leaves for its next pass, as bytes: named parts, each the affair of who wrote it."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

_BEGIN: Final = b"\x01"  # the form; another one is unreadable, and that is to be empty
_HEAD: Final = struct.Struct("<HI")


def pack(parts: Mapping[str, bytes]) -> bytes:
    """Parts that are empty are left out; nothing at all is empty."""
    written = [
        _HEAD.pack(len(name := key.encode()), len(data)) + name + data for key, data in parts.items() if data
    ]
    return _BEGIN + b"".join(written) if written else b""


def unpack(state: bytes) -> dict[str, bytes]:
    """The parts; none of bytes that nobody packed."""
    parts: dict[str, bytes] = {}
    if not state.startswith(_BEGIN):
        return parts
    at = len(_BEGIN)
    try:
        while at < len(state):
            name_size, data_size = _HEAD.unpack_from(state, at)
            at += _HEAD.size
            name, data = state[at : at + name_size], state[at + name_size : at + name_size + data_size]
            at += name_size + data_size
            if at > len(state):
                return {}
            parts[name.decode()] = data
    except (struct.error, UnicodeDecodeError):
        return {}
    return parts
