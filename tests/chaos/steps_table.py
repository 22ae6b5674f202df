"""The part of docs/reliability.md about kills at each system call. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence

from tests.chaos.steps import StepOutcome

_STEPS = ("commit", "seal", "upload", "acknowledge", "sinks", "checkpoint", "other")
_SAYS = {
    "sinks": "sinks (start, reload)",
    "other": "other (start, end)",
}


def steps_table(outcomes: Sequence[StepOutcome]) -> str:
    """A row for each step and kind of call."""
    if not outcomes:
        return ""
    killed = [outcome for outcome in outcomes if outcome.at]
    bad = sum(bool(outcome.problems) for outcome in outcomes)
    rows = [
        "## SIGKILL at every system call\n",
        f"A small run (a start, commits, a sink that is added and discarded, the end) makes some "
        f"{max(outcome.number for outcome in killed)} system calls that change the buffer's or the archive's files. "
        f"It was done {len(killed)} times, killed at another one each time: before the call, or when half of its data "
        f"was written. Runs with a broken promise: {bad}.\n",
        "| step | calls it was killed at | runs | lost or doubled |",
        "|---|---|--:|--:|",
    ]
    for step, runs in _grouped(killed).items():
        calls = ", ".join(f"{call} ({count})" for call, count in _counted(runs))
        broken = sum(bool(run.problems) for run in runs)
        rows.append(f"| {_SAYS.get(step, step)} | {calls} | {len(runs)} | {broken} |")
    return "\n".join([*rows, ""])


def _grouped(outcomes: Iterable[StepOutcome]) -> dict[str, list[StepOutcome]]:
    groups: defaultdict[str, list[StepOutcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.at.split(":")[0]].append(outcome)
    return {step: groups[step] for step in _STEPS if step in groups}


def _counted(runs: Iterable[StepOutcome]) -> list[tuple[str, int]]:
    counts: defaultdict[str, int] = defaultdict(int)
    for run in runs:
        counts[_call(run.at)] += 1
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _call(at: str) -> str:
    """The call and what kind of file it was about."""
    call, _, name = at.partition(": ")[2].partition(" ")
    if name.startswith(".tmp-"):
        return f"{call} of a temporary file"
    if re.search(r"\.(zst|gz|ndjson)$", name):
        return f"{call} of an object"
    known = re.search(r"(sqlite3(\.building)?(-wal|-journal)?|lock)$", name)
    if known is None:
        return f"{call} of a folder"
    kinds = {"-wal": "log", "-journal": "journal", None: "database"}
    return f"{call} of the {'lock' if known[1] == 'lock' else kinds[known[3]]}"
