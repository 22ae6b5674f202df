"""Panics of Rust, in the form since 1.73 (the place first, then the message) and the older one, with backtraces.

Shapes: https://doc.rust-lang.org/std/backtrace/ and https://doc.rust-lang.org/std/macro.panic.html; the tests hold
what programs really printed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from shipper.entry import CodeFrame, Failure
from shipper.transform.stacks.port import MAX_FRAMES, MAX_MESSAGE, Verdict
from shipper.transform.stacks.shapes import begins_record, message_line

_PANICKED: Final = re.compile(r"thread '[^']*'(?: \(\d+\))? panicked at (.*)$")
_SOMEWHERE: Final = re.compile(r"([^\s'][^']*):(\d+):\d+:?$")
_BACKTRACE: Final = "stack backtrace:"
_CALL: Final = re.compile(r"\s+\d+:\s+(?:0x[0-9a-f]+ - )?(\S.*)$")
_PLACE: Final = re.compile(r"\s+at (\S.*?):(\d+)(?::\d+)?$")
_HASH: Final = re.compile(r"::h[0-9a-f]{16}$|\[[0-9a-f]{16}\]")
_PANICKING: Final = re.compile(
    r"(?:__rustc::)?rust_begin_unwind|std::panicking::begin_panic|core::panicking::|core::(?:result|option)::\w+_failed"
    r"|core::(?:result|option)::(?:Result|Option)<[^>]*>::(?:unwrap|expect)|(?:<E as )?anyhow::|eyre::"
)


class Rust:
    """Phases: `message` before the first line of the message, `more` after it, `open` in an old message of several
    lines, `note` where a backtrace or a note may follow, `calls` in the backtrace.
    """

    name = "rust"

    def start(self, line: str) -> tuple[Verdict, str] | None:
        found = _PANICKED.search(line)
        if found is None:
            return None
        _, quoted, place = found[1].rpartition("', ")
        if found[1].startswith("'"):
            return (Verdict.PART, "note") if quoted and _SOMEWHERE.match(place) else (Verdict.MAYBE, "open")
        return (Verdict.PART, "message") if line.endswith(":") and _SOMEWHERE.match(found[1]) else None

    def step(self, phase: str, line: str) -> tuple[Verdict, str]:
        if line == _BACKTRACE and phase in ("more", "note"):
            return Verdict.PART, "calls"
        if line.startswith("note: ") and phase in ("more", "note", "calls"):
            return Verdict.PART, "note"
        match phase:
            case "message":
                return (Verdict.END, "") if begins_record(line) else (Verdict.PART, "more")
            case "more":
                # What assertions print of both sides is indented by it; where other messages end is known by a note.
                return (Verdict.PART, "more") if line.startswith(" ") else message_line(line, "more")
            case "open":
                _, quoted, place = line.rpartition("', ")
                if quoted and _SOMEWHERE.match(place):
                    return Verdict.PART, "note"
                return message_line(line, "open")
            case "calls":
                known = _CALL.match(line) or _PLACE.match(line)
                return (Verdict.PART, "calls") if known else (Verdict.END, "")
            case _:
                return Verdict.END, ""

    def failure(self, lines: Sequence[str]) -> Failure | None:
        found = _PANICKED.search(lines[0]) if lines else None
        if found is None:
            return None
        message, quoted, place = found[1].rpartition("', ")
        if not found[1].startswith("'"):
            message, place = lines[1] if len(lines) > 1 else "", found[1]
        elif quoted:
            message = message[1:]
        else:  # a message of several lines: its place is at the end of the last
            message = found[1][1:]
            place = next(
                (line.rpartition("', ")[2] for line in lines if _SOMEWHERE.match(line.rpartition("', ")[2])),
                "",
            )
        frames = frames_of_backtrace(lines)
        if not frames and (where := _SOMEWHERE.match(place)):
            frames = [CodeFrame("", where[1], int(where[2]))]
        return Failure(self.name, "panic", message[:MAX_MESSAGE], tuple(frames))


def frames_of_backtrace(lines: Sequence[str]) -> list[CodeFrame]:
    """Outermost first, without the calls that make and report the panic."""
    frames: list[CodeFrame] = []
    for line in lines:
        if called := _CALL.match(line):
            frames.append(CodeFrame(_HASH.sub("", called[1])))
        elif frames and not frames[-1].file and (placed := _PLACE.match(line)):
            frames[-1] = CodeFrame(frames[-1].function, placed[1], int(placed[2]))
    panicking = [at for at, frame in enumerate(frames) if _PANICKING.match(frame.function)]
    inner = panicking[-1] + 1 if panicking else 0
    return frames[inner : inner + MAX_FRAMES][::-1]
