"""The lines of a batch in slices that are unpacked as they are asked for, so that no batch lies in memory whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from shipper.archive.codec import pieces
from shipper.model import Codec

SLICE: Final = 256 * 1024
"""Bytes of NDJSON that a pipeline is fed at once: about a thousand lines, ten milliseconds of a busy event loop."""


def slices(codec: Codec, frames: Sequence[bytes], size: int = SLICE) -> Iterator[bytes]:
    """The frames' lines in order, in slices of whole lines of `size` bytes, give or take a line; the last is what is
    left. The same frames are always cut alike.

    Raises ArchiveDamaged for a frame that cannot be unpacked.
    """
    parts: list[bytes] = []
    length = 0
    for piece in _cut(codec, frames, size):
        parts.append(piece)
        length += len(piece)
        if length < size:
            continue
        end = piece.rfind(b"\n") + 1
        if end:
            parts[-1] = piece[:end]
            yield b"".join(parts)
            rest = piece[end:]
            parts, length = ([rest], len(rest)) if rest else ([], 0)
    if parts:
        yield b"".join(parts)


def _cut(codec: Codec, frames: Sequence[bytes], size: int) -> Iterator[bytes]:
    """The content in pieces of at most `size` bytes; a frame's last line is ended in any case."""
    for frame in frames:
        last = b"\n"
        for piece in pieces(codec, frame):
            if piece:
                last = piece[-1:]
                yield from (piece[at : at + size] for at in range(0, len(piece), size))
        if last != b"\n":
            yield b"\n"
