"""Tracebacks of Python: chained, of exception groups, of syntax errors, of threads, and fatal errors.

Shapes: https://docs.python.org/3/library/traceback.html and https://docs.python.org/3/library/faulthandler.html; the
tests hold what the interpreter really printed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from shipper.entry import CodeFrame, Failure
from shipper.transform.stacks.port import MAX_FRAMES, MAX_MESSAGE, Verdict
from shipper.transform.stacks.shapes import begins_record

_HEADER: Final = "Traceback (most recent call last):"
_GROUP_HEADER: Final = "Exception Group " + _HEADER
_FATAL: Final = "Fatal Python error: "
_CHAINED: Final = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)
_DETAILS: Final = (
    "[SQL: ",
    "[parameters: ",
    "(Background on this error at: ",
)  # SQLAlchemy's own, not indented

_GROUP: Final = re.compile(r"\s+[|+]")
_FILE: Final = re.compile(r'\s*File "(.+?)", line (\d+)(?:,? in (.+))?')
_SYNTAX: Final = re.compile(r'  File ".+", line \d+$')
_SYNTAX_ERROR: Final = re.compile(r"\w+Error: ")
_EXCEPTION: Final = re.compile(r"([^\W\d][\w.<>]*+)(?:: ?(.*))?$")
_DUMP: Final = re.compile(r"(?:Current thread|Thread) 0x[0-9a-f]+ .*\(most recent call first\):$")
_DUMP_DETAIL: Final = re.compile(
    r"  File |  \.\.\.$|  <no Python frame>|Python runtime state: |Extension modules: "
)
_FIRST: Final = re.compile(r'  File "|Exception in thread |Fatal Python error: ')


class Python:
    """Phases: `thread` before the header, `head` after it, `frames`, `end` after the exception's line, `text` after
    a line below it that is not indented, `gap` after an empty one, `chained` after the words between two
    tracebacks, `group` in an exception group, `syntax` in a syntax error without a header, `fatal` in a fatal
    error's dump.
    """

    name = "python"

    def start(self, line: str) -> tuple[Verdict, str] | None:
        if line.endswith(_HEADER):
            return Verdict.MAYBE, "group" if line.endswith(_GROUP_HEADER) else "head"
        if _FIRST.match(line):
            if _SYNTAX.match(line):
                return Verdict.MAYBE, "syntax"
            if line.startswith("Exception in thread ") and line.endswith(":") and '"' not in line:
                return Verdict.MAYBE, "thread"
            if line.startswith(_FATAL):
                return Verdict.MAYBE, "fatal"
        return None

    def step(self, phase: str, line: str) -> tuple[Verdict, str]:
        match phase:
            case "frames":
                return self._in_frames(line)
            case "head" if line.startswith("  File "):
                return Verdict.PART, "frames"
            case "thread" | "chained" if line.endswith(_HEADER):
                return Verdict.PART, "group" if line.endswith(_GROUP_HEADER) else "head"
            case "chained":
                return (Verdict.PART, "frames") if _SYNTAX.match(line) else _empty(line, "chained")
            case "syntax":
                if _SYNTAX_ERROR.match(line):
                    return Verdict.PART, "end"
                return (Verdict.MAYBE, "syntax") if line.startswith("    ") else (Verdict.END, "")
            case "group":
                return (Verdict.PART, "group") if _GROUP.match(line) else _empty(line, "gap")
            case "end" | "gap" | "text":
                return self._after(phase, line)
            case "fatal":
                if _DUMP.match(line) or _DUMP_DETAIL.match(line):
                    return Verdict.PART, "fatal"
                return _empty(line, "fatal")
            case _:
                return Verdict.END, ""

    def _in_frames(self, line: str) -> tuple[Verdict, str]:
        if line.startswith("  "):
            return Verdict.PART, "frames"
        named = _EXCEPTION.match(line)
        # A small word alone is no exception: the traceback was cut off, and something else follows.
        if named and (named[2] is not None or "." in line or not line.islower()):
            return Verdict.PART, "end"
        return Verdict.END, ""

    def _after(self, phase: str, line: str) -> tuple[Verdict, str]:
        """Below the exception's own line: the rest of its message, or the next traceback of a chain.

        Where a message ends nobody says. Indented lines are taken as its own; one that is not is taken only where
        an indented one follows (as in what pydantic prints), so that the next line of a program stands alone.
        """
        if not line:
            return Verdict.MAYBE, "gap"
        if line in _CHAINED:
            return Verdict.PART, "chained"
        if line[0] in " \t" or line.startswith(_DETAILS):
            return Verdict.PART, "end"
        if phase == "text" or begins_record(line):
            return Verdict.END, ""
        return Verdict.MAYBE, "text"

    def failure(self, lines: Sequence[str]) -> Failure | None:
        if lines and lines[0].startswith(_FATAL):
            return _fatal(lines)
        last = max((at for at, line in enumerate(lines) if _is_header(line, lines[0])), default=-1)
        margin = _margin(lines[last]) if last >= 0 else ""
        frames: list[CodeFrame] = []
        for line in lines[last + 1 :]:
            body = line.removeprefix(margin) if margin else line
            if found := _FILE.match(body):
                file, number, function = found.groups()
                frames.append(CodeFrame(function or "", file, int(number)))
            elif frames and (named := _EXCEPTION.match(body)):
                message = (named[2] or "")[:MAX_MESSAGE]
                return Failure(self.name, named[1], message, tuple(frames[-MAX_FRAMES:]))
        return None


def _empty(line: str, phase: str) -> tuple[Verdict, str]:
    return (Verdict.END, "") if line else (Verdict.MAYBE, phase)


def _is_header(line: str, first: str) -> bool:
    """A header of the outermost level: those of the exceptions within a group are further in than the group's."""
    if not line.endswith(_HEADER):
        return False
    return not line.startswith(" ") or line.endswith(_GROUP_HEADER) or not first.startswith(" ")


def _margin(header: str) -> str:
    """What stands before each line of an exception group's own traceback."""
    return "  | " if header.endswith(_GROUP_HEADER) else ""


def _fatal(lines: Sequence[str]) -> Failure:
    """The dump lists the innermost call first, of the current thread first."""
    frames: list[CodeFrame] = []
    for line in lines:
        if found := _FILE.match(line):
            frames.append(CodeFrame(found[3] or "", found[1], int(found[2])))
        elif frames:
            break
    message = lines[0].removeprefix(_FATAL)[:MAX_MESSAGE]
    return Failure(Python.name, "Fatal Python error", message, tuple(reversed(frames[:MAX_FRAMES])))
