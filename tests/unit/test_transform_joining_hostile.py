"""No line, however it is made, costs a recogniser more than time in proportion to its length."""

from __future__ import annotations

import time
from itertools import product

import pytest

from shipper.transform.ids import ids_in_text
from shipper.transform.joining import MAX_BYTES
from shipper.transform.levels import level_in_text
from shipper.transform.stacks.table import RUNTIMES, failure_of, may_open, opening

BEGINNINGS = (
    "",
    '  File "',
    "\tat ",
    "   at a.b(",
    "thread 'x' panicked at ",
    "thread 'x' panicked at '",
    "goroutine 1 [",
    "panic: ",
    "java.lang.Error: ",
    'Exception in thread "',
    "   1: ",
    "Caused by: ",
    "<",
    "level=",
    "trace_id=",
    "2026-11-24 ",
)
FILLINGS = (
    *(
        "a",
        "a.",
        "A",
        " ",
        "(",
        ")",
        ":1",
        "', ",
        "at ",
        "Error ",
        "thread '",
        "[",
        "<",
        ": ",
        "/",
        " (a:1:1",
        "x{",
    ),
    *("-", "$", "$a", "]", "',", "::", "Error: ", "0", "0x0 - ", "<a>", "1:"),
)
ENDS = ("", "!", ":", ")", ":1:1", " {", "\n!")
PHASES = {
    "python": ("head", "frames", "end", "gap", "text", "chained", "group", "thread", "syntax", "fatal"),
    "rust": ("message", "more", "open", "note", "calls"),
    "go": ("head", "calls", "place", "gap"),
    "calls": ("head", "open_head", "source", "caret", "named", "calls", "cause", "block", "gap", "causes"),
}
LONGEST_S = 0.5  # a few milliseconds in truth; anything that tries combinations takes minutes


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_line_as_long_as_can_be_held_is_looked_at_quickly(beginning: str) -> None:
    for filling, end in product(FILLINGS, ENDS):
        line = beginning + filling * (MAX_BYTES // len(filling)) + end
        began = time.process_time()
        may_open(line)
        opening(line)
        level_in_text(line)
        list(ids_in_text(line))
        assert time.process_time() - began < LONGEST_S, (beginning, filling, end)


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_a_long_line_is_a_step_like_any_other_in_every_phase(name: str) -> None:
    runtime = RUNTIMES[name]
    for beginning, filling in product(BEGINNINGS, FILLINGS):
        line = beginning + filling * (MAX_BYTES // len(filling) // 4) + "!"
        began = time.process_time()
        runtime.start(line)
        for phase in PHASES[name]:
            runtime.step(phase, line)
        runtime.failure([line, line])
        assert time.process_time() - began < LONGEST_S, (beginning, filling)


def test_a_stack_in_a_field_is_read_in_bounded_time() -> None:
    for filling in FILLINGS:
        calls = "Error: x\n" + f"\tat {filling * 1_000}\n" * 1_000
        for stack in ("\n".join([filling * 50] * 10_000), calls, filling * (1 << 20)):
            began = time.process_time()
            failure_of(stack)
            assert time.process_time() - began < LONGEST_S, filling
