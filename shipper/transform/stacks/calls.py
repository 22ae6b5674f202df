"""Traces whose calls begin with `at`: those of Java and its relatives, of Node and Deno, and of .NET.

They are recognised alike, because they begin alike (`SomeError: what happened`), and told apart by their calls.
Shapes: https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/lang/Throwable.html#printStackTrace(),
https://v8.dev/docs/stack-trace-api, https://nodejs.org/api/errors.html,
https://learn.microsoft.com/dotnet/api/system.exception.stacktrace, and for errors of Rust that carry their causes
https://docs.rs/anyhow; the tests hold what was really printed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from shipper.entry import Failure
from shipper.transform.stacks.at import CALL, CARET, OMITTED, SEAM, SECTIONS, SOURCE, failure_of_calls
from shipper.transform.stacks.port import Verdict
from shipper.transform.stacks.shapes import message_line

# A class is known by the end of its name (searched for), or by standing first on the line with a package or in camel
# case: nearly every exception is one of these, and few other lines are.
_NAMED: Final = re.compile(
    r"(?:Error|Exception|Throwable|Rejection)(?:\$\w{1,64})?(?: \[\w{1,64}\])?\]?(?::|$| \{$)"
)
_FIRST: Final = re.compile(
    r"[A-Za-z_]\w*+(?:\.[\w$]++)++(?:: |$)|[A-Z][a-z0-9]++[A-Z][\w$]*+: |Exception in thread |(?:Uncaught |error: )"
)
_CAUSE: Final = re.compile(r"(?:\s*Caused by: |\s*Wrapped by: |\s+Suppressed: |\s*---> )\S")
_PROPERTY: Final = re.compile(r"\s+(?:\[\w+\]|'[^']*'|[\w$]+): ")
_RUNTIME: Final = "Node.js v"
_MAX_START: Final = 16 << 10  # characters: a longer line is no beginning of a trace


class Calls:
    """Phases: `head` after the line that names the error (`open_head` where it ends with a brace), `source`, `caret`
    and `named` in what Node prints before that line, `calls` among calls, `cause` after a line that names a cause,
    `block` among the properties of an error that Node prints in braces, `gap` after an empty line below, `causes`
    among the causes of an error of Rust.
    """

    name = "calls"

    def start(self, line: str) -> tuple[Verdict, str] | None:
        if len(line) > _MAX_START:
            return None
        if _NAMED.search(line) or _FIRST.match(line):
            return Verdict.MAYBE, _head(line)
        return (Verdict.MAYBE, "source") if SOURCE.match(line) else None

    def step(self, phase: str, line: str) -> tuple[Verdict, str]:
        match phase:
            case "calls":
                return self._in_calls(line)
            case "head" | "cause":
                return self._in_message(phase, line)
            case "open_head":
                return (Verdict.PART, "block") if _PROPERTY.match(line) else self._in_message("head", line)
            case "block" if line == "}":
                return Verdict.PART, "calls"
            case "block" | "causes" if line.startswith(" "):
                return Verdict.PART, phase
            case "source":
                return Verdict.MAYBE, "caret"
            case "caret" if CARET.match(line):
                return Verdict.PART, "named"
            case "named" if line and not line.startswith(_RUNTIME):
                return Verdict.PART, _head(line)
            case "causes" if line in SECTIONS:
                return Verdict.PART, "causes"
            case "block" | "named" | "causes" | "gap":
                return self._below(phase, line)
            case _:
                return Verdict.END, ""

    def _in_calls(self, line: str) -> tuple[Verdict, str]:
        if CALL.match(line):
            return Verdict.PART, "block" if line.endswith(" {") else "calls"
        if OMITTED.match(line) or SEAM.match(line):
            return Verdict.PART, "calls"
        return (Verdict.PART, "cause") if _CAUSE.match(line) else self._below("gap", line)

    def _in_message(self, phase: str, line: str) -> tuple[Verdict, str]:
        if line:
            verdict, then = self._in_calls(line)
            if verdict is Verdict.PART:
                return verdict, then
        if phase == "head" and line in SECTIONS:
            return Verdict.PART, "causes"
        return message_line(line, phase)

    def _below(self, phase: str, line: str) -> tuple[Verdict, str]:
        if not line:
            return Verdict.MAYBE, phase
        return (Verdict.PART, "end") if line.startswith(_RUNTIME) else (Verdict.END, "")

    def failure(self, lines: Sequence[str]) -> Failure | None:
        return failure_of_calls(lines)


def _head(line: str) -> str:
    return "open_head" if line.endswith("{") else "head"
