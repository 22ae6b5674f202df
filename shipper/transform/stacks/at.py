"""What a trace whose calls begin with `at` says: which runtime printed it, the error, its calls."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Final

from shipper.entry import CodeFrame, Failure
from shipper.transform.stacks.port import MAX_FRAMES, MAX_MESSAGE
from shipper.transform.stacks.rust import frames_of_backtrace

_MAX_CALL: Final = 4_096  # characters: longer lines are no calls
_IN_CLASS: Final = string.ascii_letters + string.digits + "_$.+`"

_LEAD: Final = re.compile(
    r'(?:Exception in thread "[^"]*" |Unhandled [Ee]xception[.:] |error: |Uncaught |\(in promise\) |\[)+'
)
_PACKAGED: Final = re.compile(r"([A-Za-z_]\w*+(?:\.[\w$]++)++|[A-Z][a-z0-9]++[A-Z][\w$]*+)(?:: (.*)|$)")
_SUFFIX: Final = re.compile(
    r"(?:Error|Exception|Throwable|Rejection)(?:\$\w{1,64})?(?= \[\w{1,64}\]|\]?(?::|$| \{$))"
)
_AFTER: Final = re.compile(r"(?: \[\w{1,64}\])?\]?:? ?")

_JAVA: Final = re.compile(r"\s+at (?:[\w.$@-]*/)*([\w.$]+)\.([\w$<>-]+)\(([^()]*)\)")
_JAVA_PLACE: Final = re.compile(
    r"[\w$-]+\.(?:java|kt|kts|scala|groovy|clj)(?::\d+)?$|Native Method$|Unknown Source$|<generated>$|[\w$-]+:\d+$"
)
_NODE: Final = re.compile(r"\s+at (?:async )?(?:(.*) \()?([^()]*?)(?::(\d+):\d+)?\)?,?(?: \{)?$")
_NODE_PLACE: Final = re.compile(r":\d+:\d+\)?,?(?: \{)?$|\((?:<anonymous>|native|index \d+)\)")
_DOTNET_PLACE: Final = re.compile(r"(.*):line (\d+)$")

CALL: Final = re.compile(r"\s+at \S")
OMITTED: Final = re.compile(r"\s+(?:\.\.\. \d+ |\[CIRCULAR REFERENCE)")
SEAM: Final = re.compile(r"\s*--- End of ")
_INNER_ENDS: Final = "--- End of inner exception stack trace ---"
SOURCE: Final = re.compile(r"(?:(?:file://)?/|node:|[A-Z]:\\|\[eval\]|evalmachine\.)\S*:\d+$")
CARET: Final = re.compile(r"\s*\^+$")
BACKTRACE: Final = "Stack backtrace:"
SECTIONS: Final = ("Caused by:", "Location:", BACKTRACE)  # of anyhow and eyre, for Rust


def failure_of_calls(lines: Sequence[str]) -> Failure | None:
    """The error that a trace names and the calls that led to it, outermost first."""
    at = _named_at(lines) if lines else 0
    if at >= len(lines):
        return None
    kind, message = _named(lines[at])
    if any(line in SECTIONS for line in lines):
        backtrace = lines[lines.index(BACKTRACE) :] if BACKTRACE in lines else ()
        return Failure("rust", kind, message, tuple(frames_of_backtrace(backtrace)))
    calls = _calls(lines[at + 1 :])
    language = next(filter(None, map(_language, calls)), "dotnet" if calls else "node")
    frames = [frame for call in calls[:MAX_FRAMES] if (frame := _frame(language, call)) is not None]
    return Failure(language, kind, message, tuple(reversed(frames)))


def _named_at(lines: Sequence[str]) -> int:
    """The line that names the error; Node prints the place in the source, the source and a caret before it."""
    if not SOURCE.match(lines[0]):
        return 0
    return next((at for at, line in enumerate(lines) if at > 2 and line), len(lines))


def _named(line: str) -> tuple[str, str]:
    """The class of the error and its message."""
    bracketed = line.startswith("[")
    lead = _LEAD.match(line)
    text = line[lead.end() :] if lead else line
    if first := _PACKAGED.match(text):
        kind, message = first[1], first[2] or ""
    elif suffix := _SUFFIX.search(text):
        before = text[: suffix.start()]
        kind = text[len(before.rstrip(_IN_CLASS)) : suffix.end()].lstrip(".+`")
        after = _AFTER.match(text, suffix.end())
        message = text[after.end() if after else suffix.end() :]
    elif lead:
        kind, _, message = text.partition(": ")
    else:
        kind, message = "Uncaught", text  # what was thrown was no error
    if bracketed:
        message = message.removesuffix(" {").removesuffix("]")
    return kind, message[:MAX_MESSAGE]


def _calls(lines: Sequence[str]) -> list[str]:
    """The calls of the error itself, innermost first; those of a cause only where it has none of its own."""
    calls: list[str] = []
    for line in lines:
        if CALL.match(line):
            calls.append(line)
            if line.endswith(" {"):
                break
        elif line.lstrip() == _INNER_ENDS:
            calls.clear()  # .NET prints the calls of the inner exception first
        elif calls and not OMITTED.match(line) and not SEAM.match(line):
            break
    return [call for call in calls if len(call) <= _MAX_CALL]


def _language(call: str) -> str | None:
    if _NODE_PLACE.search(call):
        return "node"
    java = _JAVA.match(call)
    if java and _JAVA_PLACE.match(java[3]):
        return "java"
    return "dotnet" if ":line " in call else None


def _frame(language: str, call: str) -> CodeFrame | None:
    if language == "java":
        java = _JAVA.match(call)
        if java is None:
            return None
        file, _, line = java[3].partition(":")
        return CodeFrame(java[2], file if "." in file else "", int(line) if line.isdecimal() else 0, java[1])
    if language == "node":
        node = _NODE.match(call)
        return CodeFrame(node[1] or "", node[2], int(node[3] or 0)) if node else None
    function, _, place = call.strip().removeprefix("at ").partition(") in ")
    name = function.partition("(")[0]
    module, _, method = name.rpartition(".")
    found = _DOTNET_PLACE.match(place)
    return CodeFrame(
        method + function[len(name) :] + (")" if place else ""),
        found[1] if found else "",
        int(found[2]) if found else 0,
        module,
    )
