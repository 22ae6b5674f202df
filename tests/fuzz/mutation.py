"""Inputs from inputs: small changes to bytes, drawn from a seeded generator."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from tests.fuzz.target import MOST_BYTES, USUAL_BYTES

_NUMBERS: Final = (0, 1, 5, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_CHOICES: Final = 8


def mutated(data: bytes, others: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> bytes:
    """The input with one to some changes: nearly always as long as it was or USUAL_BYTES, at most MOST_BYTES."""
    longest = MOST_BYTES if rng.random() < 0.02 else max(USUAL_BYTES, len(data))
    for _ in range(1 << int(rng.random() ** 2 * 4)):
        data = _changed(data, others, words, rng)
    return data[:longest]


def _changed(data: bytes, others: Sequence[bytes], words: Sequence[bytes], rng: random.Random) -> bytes:
    size = len(data)
    at = int(rng.random() * (size + 1))
    match int(rng.random() * _CHOICES):
        case 0:
            return data[:at] + bytes((int(rng.random() * 256),)) + data[at + 1 :]
        case 1:
            if at < size:
                return data[:at] + bytes((data[at] ^ 1 << int(rng.random() * 8),)) + data[at + 1 :]
            return data
        case 2:
            return data[:at] + data[at + 1 + int(rng.random() ** 3 * 64) :]
        case 3:
            return data[:at] + rng.randbytes(1 + int(rng.random() ** 3 * 16)) + data[at:]
        case 4 if words:
            word = words[int(rng.random() * len(words))]
            return data[:at] + word + data[at + (len(word) if rng.random() < 0.5 else 0) :]
        case 5:
            number = _NUMBERS[int(rng.random() * len(_NUMBERS))]
            width = 1 << int(rng.random() * 4)
            order = "big" if rng.random() < 0.5 else "little"
            raw = (number & (1 << 8 * width) - 1).to_bytes(width, order)  # type: ignore[arg-type]
            return data[:at] + raw + data[at + width :]
        case 6:
            begin = int(rng.random() * (at + 1))
            return data[:at] + data[begin:at] * (1 + int(rng.random() ** 4 * 30)) + data[at:]
        case _:
            other = others[int(rng.random() * len(others))]
            begin = int(rng.random() * (len(other) + 1))
            return data[:at] + other[begin:]
