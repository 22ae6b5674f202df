"""What a build prints, bytes cut anywhere, as lines. Pure.

A line ends with LF, or with CR LF. A CR alone is part of the line: a progress bar is one line with all its states, as
in the file that a shell would have written. What is longer than a line may be is cut, never dropped. How the bytes
were cut on their way changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

LONGEST: Final = 1024 * 1024  # bytes of a line; a progress bar that never ends its line fills as many


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines without their ends, and when each began to be printed."""

    times: list[int]
    lines: list[bytes]


@dataclass(slots=True)
class LineCutter:
    """Cuts one output into lines, from its beginning. Keeps what is no whole line yet, at most `longest` and a read."""

    longest: int = LONGEST
    _rest: bytearray = field(default_factory=bytearray)
    _began: int = 0

    def feed(self, data: bytes, time_ms: int) -> Lines:
        """The lines that `data`, printed at `time_ms`, completes."""
        found = Lines([], [])
        if not data:
            return found
        first, *others = data.split(b"\n")
        began = self._began if self._rest else time_ms
        self._rest += first
        for other in others:
            self._complete(began, found)
            self._rest += other
            began = time_ms
        self._began = began
        self._shorten(began, found)
        return found

    def finish(self) -> Lines:
        """The last line, if the output does not end with a line's end."""
        found = Lines([], [])
        if self._rest:
            self._complete(self._began, found)
        return found

    def _complete(self, began: int, found: Lines) -> None:
        self._shorten(began, found)
        line = bytes(self._rest)
        self._rest.clear()
        found.times.append(began)
        found.lines.append(line.removesuffix(b"\r"))

    def _shorten(self, began: int, found: Lines) -> None:
        while len(self._rest) > self.longest:
            size = _whole_text(self._rest, self.longest)
            found.times.append(began)
            found.lines.append(bytes(self._rest[:size]))
            del self._rest[:size]


def _whole_text(line: bytearray, size: int) -> int:
    """Where to cut so that no UTF-8 character is cut in two: at `size` or up to three bytes before it."""
    for back in range(min(4, size)):
        if line[size - back] & 0xC0 != 0x80:
            return size - back
    return size
