"""How a runtime's stack traces are recognised, line by line: the port that each of them fills."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, Protocol

from shipper.entry import Failure

MAX_MESSAGE: Final = 2_000  # characters of a failure's message that are kept
MAX_FRAMES: Final = 64  # calls that are kept, the innermost ones


class Verdict(Enum):
    """What a line is to the trace before it."""

    PART = auto()  # for certain; so are the lines before it that only might have been
    MAYBE = auto()  # a later line decides: a message of several lines, an empty line
    END = auto()  # no part of it


class Runtime(Protocol):
    """Recognises the traces that one kind of runtime prints. Pure: a phase is all that it knows of the lines before.

    Lines come without white space at their end. A phase is a short text of the runtime's own; one that it does not
    know ends the trace. Each call takes time in proportion to the line.
    """

    name: str

    def start(self, line: str) -> tuple[Verdict, str] | None:
        """The phase after a line that may be the first of a trace (MAYBE) or is one for certain (PART)."""

    def step(self, phase: str, line: str) -> tuple[Verdict, str]:
        """What a line is to a trace in `phase`, and the phase after it."""

    def failure(self, lines: Sequence[str]) -> Failure | None:
        """What the lines of a trace say, or None where they name nothing."""
