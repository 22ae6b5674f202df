"""Every recorded trace becomes one entry that says what failed, and what surrounds it stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import pytest

from shipper.entry import CodeFrame, Failure
from shipper.transform.joining import Joiner, JoinLimits
from shipper.transform.stacks.table import failure_of
from tests.log_entries import entries_of

TRACES: Final = Path(__file__).parents[1] / "traces"


class Expected(NamedTuple):
    """A trace in the file `name` between two other lines: where it begins, how many lines it has, and what it says.

    `innermost` is `module|function@file:line`.
    """

    name: str
    at: int
    lines: int
    language: str
    type: str
    message: str
    frames: int
    innermost: str


def _expected() -> list[Expected]:
    rows = [line.split("\t") for line in (TRACES / "expected.tsv").read_text().splitlines()[1:]]
    return [
        Expected(name, int(at), int(lines), language, kind, message, int(frames), innermost)
        for name, at, lines, language, kind, message, frames, innermost in rows
    ]


EXPECTED: Final = _expected()


def _shown(frames: tuple[CodeFrame, ...]) -> str:
    if not frames:
        return ""
    frame = frames[-1]
    return f"{frame.module + '|' if frame.module else ''}{frame.function}@{frame.file}:{frame.line}"


@pytest.mark.parametrize("name", sorted({expected.name for expected in EXPECTED}))
def test_a_recorded_trace_is_one_entry_and_its_surroundings_stay_single(name: str) -> None:
    lines = ["plain before", *(TRACES / f"{name}.txt").read_text().splitlines(), "plain after"]
    joiner = Joiner(JoinLimits())
    out = joiner.feed(entries_of(lines)) + joiner.flush()
    found = []
    at = 0
    for entry in out:
        assert entry.text == entry.record["line"] == "\n".join(lines[at : at + entry.lines])
        if entry.failure is None:
            assert entry.lines == 1
        else:
            said = entry.failure
            end = (said.language, said.type, said.message[:60], len(said.frames), _shown(said.frames))
            found.append(Expected(name, at, entry.lines, *end))
        at += entry.lines
    assert at == len(lines)
    assert found == [expected for expected in EXPECTED if expected.name == name]


def test_every_recorded_trace_is_expected() -> None:
    assert {path.stem for path in TRACES.glob("*.txt")} == {expected.name for expected in EXPECTED}


def test_a_carriage_return_at_the_end_of_lines_does_not_hide_a_trace() -> None:
    for name in ("python_plain", "java_cause", "go_plain", "node_cause", "rust_plain", "dotnet_inner"):
        lines = [line + "\r" for line in (TRACES / f"{name}.txt").read_text().splitlines()]
        joiner = Joiner(JoinLimits())
        out = joiner.feed(entries_of(lines)) + joiner.flush()
        assert sum(entry.failure is not None for entry in out) == 1, name


@pytest.mark.parametrize(
    "name", ["python_cause", "java_suppressed", "go_http", "node_assertion", "rust_plain", "dotnet_inner"]
)
def test_a_trace_in_one_text_says_the_same_as_its_lines(name: str) -> None:
    text = (TRACES / f"{name}.txt").read_text()
    (expected,) = (expected for expected in EXPECTED if expected.name == name)
    failure = failure_of(text)
    assert isinstance(failure, Failure)
    assert (failure.language, failure.type, len(failure.frames)) == (
        expected.language,
        expected.type,
        expected.frames,
    )


def test_a_text_without_calls_is_no_failure() -> None:
    assert failure_of("Error: something\nwent wrong") is None
    assert failure_of("") is None
    assert failure_of("one\ntwo\nthree") is None
