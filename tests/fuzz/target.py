"""What is fuzzed: a function of bytes that must end in a word about what came of them, or raise nothing at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

MOST_BYTES: Final = 8_192  # of one input: what is quadratic shows here too
USUAL_BYTES: Final = 800  # of nearly all inputs: more of them are tried in the same time


@dataclass(frozen=True, slots=True)
class Target:
    """One reader of what others send. `run` maps the errors that are declared to words; everything that it raises is a
    finding. `seeds` are inputs as they should be, `words` pieces that mutations put in.
    """

    name: str
    what: str
    seeds: Sequence[bytes]
    run: Callable[[bytes], str] | None = None
    run_async: Callable[[bytes], Awaitable[str]] | None = None
    words: Sequence[bytes] = ()


class Knobs:
    """Takes small numbers from the front of an input, so that mutations turn knobs too."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, end: int) -> int:
        """A number from 0 to end - 1; 0 when the input is used up."""
        if self._at >= len(self._data):
            return 0
        self._at += 1
        return self._data[self._at - 1] % end

    def rest(self) -> bytes:
        """What is left."""
        return self._data[self._at :]


_PIECES: Final = ((1_000_000,), (1,), (7, 64), (3, 1, 900), (1, 4096))


def in_pieces(knobs: Knobs) -> Iterator[bytes]:
    """The rest of an input, cut as a knob says."""
    sizes = _PIECES[knobs.below(len(_PIECES))]
    data, at, turn = knobs.rest(), 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        yield data[at : at + size]
        at, turn = at + size, turn + 1


def awaited(work: Awaitable[str]) -> str:
    """What a coroutine returns that never waits; AssertionError where it does."""
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return str(end.value)
    raise AssertionError("it waits")
