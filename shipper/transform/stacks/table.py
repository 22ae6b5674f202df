"""All runtimes whose traces are recognised, and the cheap question whether a line may begin one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from shipper.entry import Failure
from shipper.transform.stacks.calls import Calls
from shipper.transform.stacks.go import Go, frames_of_goroutine
from shipper.transform.stacks.port import MAX_FRAMES, Runtime, Verdict
from shipper.transform.stacks.python import Python
from shipper.transform.stacks.rust import Rust

RUNTIMES: Final[Mapping[str, Runtime]] = {
    runtime.name: runtime for runtime in (Python(), Rust(), Go(), Calls())
}

_MAX_STACK_LINES: Final = 2_000
Opening: TypeAlias = tuple[str, Verdict, str]

_MAX_LEAD: Final = 32  # lines of a stack before the one that names the error
_MAX_STACK: Final = 256 << 10  # characters of a stack in a field that are read

_ENDS: Final = ("last):", "last):\r")
_begins_so = re.compile(
    r"""
      [ ][ ]File[ ]" | Exception[ ]in[ ]thread[ ] | Uncaught[ ]
    | goroutine[ ]\d | runtime:[ ]goroutine[ ] | SIG[A-Z]+:[ ]
    | (?: (?:file:/)?/ | node: | [A-Z]:\\ | \[eval\] | evalmachine\. )\S*:\d+\s*$   # where Node shows the source
    | [A-Za-z_]\w*+(?:\.[\w$]++)++(?::[ ]|\s*$)                              # com.acme.StoreDown: no database
    | [A-Z][a-z0-9]++[A-Z][\w$]*+:[ ]                                        # StoreDown: no database
    """,
    re.VERBOSE,
).match


def may_open(line: str) -> bool:
    """Whether it is worth asking `opening`: a few searches for what most lines do not have.

    Literals are searched one by one, because the engine of regular expressions takes several times as long for all
    of them together.
    """
    return (
        "rror" in line
        or "xception" in line
        or "panic" in line
        or line.endswith(_ENDS)
        or _begins_so(line) is not None
    ) and not line.startswith("{")


def opening(line: str) -> Opening | None:
    """The runtime whose trace this line may begin, what it is to it, and the phase after it."""
    if not may_open(line):
        return None
    line = line.rstrip()
    for name, runtime in RUNTIMES.items():
        if (started := runtime.start(line)) is not None:
            return name, *started
    return None


def failure_of(stack: str) -> Failure | None:
    """What the text of a stack trace says, as a program puts it into a field of its log line; None without calls.

    Calls alone, as zap writes them, name no error: `type` and `message` are empty then.
    """
    lines = [line.rstrip() for line in stack[:_MAX_STACK].split("\n", _MAX_STACK_LINES)[:_MAX_STACK_LINES]]
    for at, line in enumerate(lines[:_MAX_LEAD]):
        if (opened := opening(line)) is not None:
            failure = RUNTIMES[opened[0]].failure(lines[at:])
            if failure is not None and failure.frames:
                return failure
    calls = frames_of_goroutine(lines)
    return Failure(Go.name, "", "", tuple(reversed(calls[:MAX_FRAMES]))) if calls else None
