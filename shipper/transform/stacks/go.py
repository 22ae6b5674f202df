"""Panics and fatal errors of Go with the goroutines that were running, and goroutine dumps by themselves.

Shapes: https://pkg.go.dev/runtime (GOTRACEBACK) and the runtime's `traceback.go` and `panic.go`; the tests hold what
programs really printed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from shipper.entry import CodeFrame, Failure
from shipper.transform.stacks.port import MAX_FRAMES, MAX_MESSAGE, Verdict
from shipper.transform.stacks.shapes import message_line

_GOROUTINE: Final = re.compile(r"goroutine \d+ ")  # and a state in brackets at the end
_START: Final = re.compile(r"panic: |fatal error: |runtime: goroutine stack exceeds |SIG[A-Z]+: ")
_SERVED: Final = "http: panic serving "  # net/http recovers and logs; an address and the message follow
_FUNCTION: Final = re.compile(r"[\w~][^\s(]*+\(.*\)$")
_PLACE: Final = re.compile(r"\t(.+):(\d+)(?: \+0x[0-9a-f]+.*)?$")
_REGISTER: Final = re.compile(r"(?:r\d+|[a-z]{1,3}\d*|rflags|PC)\s*(?:=|\s)\s*0x[0-9a-f]+")
_RUNTIME: Final = ("runtime/", "internal/runtime/")  # what notices a fatal error and reports it
_REPANICKED: Final = re.compile(r" \[recovered(?:, repanicked)?\]$")


class Go:
    """Phases: `head` after the words of a panic, `calls` where a function or the next goroutine comes, `place` after
    a function, `gap` after an empty line below the calls.
    """

    name = "go"

    def start(self, line: str) -> tuple[Verdict, str] | None:
        if _START.match(line) or _SERVED in line:
            return Verdict.MAYBE, "head"
        return (Verdict.MAYBE, "calls") if _is_goroutine(line) else None

    def step(self, phase: str, line: str) -> tuple[Verdict, str]:
        match phase:
            case "head":
                if _opens_calls(line):
                    return Verdict.PART, "calls"
                if line.startswith("fatal error: "):  # of a stack overflow, below the runtime's own words
                    return Verdict.PART, "head"
                return message_line(line, "head")
            case "place":
                return (Verdict.PART, "calls") if line.startswith("\t") else (Verdict.END, "")
            case "calls" | "gap":
                return self._in_calls(phase, line)
            case _:
                return Verdict.END, ""

    def _in_calls(self, phase: str, line: str) -> tuple[Verdict, str]:
        if not line:
            return Verdict.MAYBE, "gap"
        if _opens_calls(line) or line.startswith("exit status ") or _REGISTER.match(line):
            return Verdict.PART, "calls"
        if phase == "gap":
            return Verdict.END, ""
        if line.startswith("..."):  # ...additional frames elided...
            return Verdict.PART, "calls"
        if line.startswith("created by ") or _FUNCTION.match(line):
            return Verdict.MAYBE, "place"  # its place in the code follows
        return Verdict.END, ""

    def failure(self, lines: Sequence[str]) -> Failure | None:
        frames = frames_of_goroutine(lines)
        panicking = next((at for at, frame in enumerate(frames) if frame.function == "panic"), -1)
        first = lines[0] if lines else ""
        kind, message = "panic", ""
        if _SERVED in first:
            message = first.partition(_SERVED)[2].partition(": ")[2]
        elif first.startswith("panic: "):
            message = _REPANICKED.sub("", first.removeprefix("panic: "))
        elif fatal := next((line for line in lines if line.startswith("fatal error: ")), None):
            kind, message = "fatal error", fatal.removeprefix("fatal error: ")
        elif panicking < 0:
            return None  # a dump of goroutines: nothing failed
        while panicking >= 0:  # what is inside of a panic is what recovered and reported it
            frames = frames[panicking + 1 :]
            panicking = next((at for at, frame in enumerate(frames) if frame.function == "panic"), -1)
        own = next((at for at, frame in enumerate(frames) if not f"{frame.module}/".startswith(_RUNTIME)), 0)
        frames = frames[own:]
        return Failure(self.name, kind, message[:MAX_MESSAGE], tuple(reversed(frames[:MAX_FRAMES])))


def _is_goroutine(line: str) -> bool:
    return line.endswith("]:") and _GOROUTINE.match(line) is not None


def _opens_calls(line: str) -> bool:
    return _is_goroutine(line) or line == "runtime stack:"


def frames_of_goroutine(lines: Sequence[str]) -> list[CodeFrame]:
    """The calls of the goroutine that failed, which is the first; innermost first."""
    frames: list[CodeFrame] = []
    function, within = "", False
    for line in lines:
        if _is_goroutine(line):
            if within:
                break
            within = True
            frames.clear()  # the runtime's own stack, which it prints before
        elif found := _PLACE.match(line):
            if function:
                frames.append(_frame(function, found[1], int(found[2])))
            function = ""
        else:
            function = line.removeprefix("created by ").partition(" in goroutine ")[0]
    return frames


def _frame(call: str, file: str, line: int) -> CodeFrame:
    """`net/http.(*conn).serve(0xc0, ...)` is `(*conn).serve` of the module `net/http`."""
    if call.endswith(")"):
        call = call[: _arguments(call)]
    slash = call.rfind("/") + 1
    package, dot, function = call[slash:].partition(".")
    return CodeFrame(function or package, file, line, call[:slash] + package if dot else "")


def _arguments(call: str) -> int:
    """Where the list of arguments at the end of a call begins."""
    depth = 0
    for at in range(len(call) - 1, -1, -1):
        depth += (call[at] == ")") - (call[at] == "(")
        if depth == 0:
            return at
    return len(call)
