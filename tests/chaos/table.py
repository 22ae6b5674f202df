"""docs/reliability.md: what the runs measured, as a page. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from tests.chaos.catalogue import FAULTS
from tests.chaos.outcome import Outcome, SinkOutcome
from tests.chaos.steps import StepOutcome
from tests.chaos.steps_table import steps_table

_TEXTS: Final = Path(__file__).parent
_MIB: Final = 1024 * 1024
_SINKS: Final = ("directory", "s3", "datadog", "sentry")


def page(outcomes: Sequence[Outcome], steps: Sequence[StepOutcome], command: str) -> str:
    """The whole page."""
    bad = [outcome for outcome in outcomes if outcome.violations]
    lines = sum(outcome.printed for outcome in outcomes)
    parts = [
        (_TEXTS / "reliability.head.md").read_text(),
        "## The last published run\n",
        f"`{command}`: {len(outcomes)} runs, {lines:,} lines printed, {len(bad)} runs with a broken promise, "
        f"{sum(outcome.starts for outcome in outcomes)} starts of the daemon; two cores, everything on loopback.\n",
        "### By sink\n",
        _by_sink(outcomes),
        "### By fault\n",
        _by_fault(outcomes),
        (_TEXTS / "reliability.notes.md").read_text(),
        "## Fault × sink\n",
        "Lines that the sink had in the end, then what was lost / doubled / in gaps.\n",
        _crossed(outcomes),
        steps_table(steps),
        _left_out(outcomes),
        (_TEXTS / "reliability.limits.md").read_text(),
        (_TEXTS / "reliability.found.md").read_text(),
    ]
    return "\n".join(part for part in parts if part)


def _sinks(outcomes: Iterable[Outcome], name: str) -> list[SinkOutcome]:
    return [sink for outcome in outcomes for sink in outcome.sinks if sink.sink == name]


def _by_sink(outcomes: Sequence[Outcome]) -> str:
    rows = [
        "| sink | runs | lines it had | lost | doubled | sent again | in gaps | repeated by the server |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in _SINKS:
        sinks = _sinks(outcomes, name)
        archive = name in ("directory", "s3")
        again = sum(sink.repeated for sink in sinks)
        rows.append(
            f"| {name} | {len(sinks)} | {sum(s.records for s in sinks):,} | {sum(s.lost + s.needless for s in sinks)} "
            f"| {sum(s.doubled for s in sinks) if archive else '–'} | {'–' if archive else again} "
            f"| {sum(s.in_gaps for s in sinks):,} | {again if archive else '–'} |"
        )
    return "\n".join([*rows, ""])


def _by_fault(outcomes: Sequence[Outcome]) -> str:
    rows = [
        "| fault | what it is | runs | alone | lost | doubled | gaps (idle) | recovery, median / most "
        "| memory, most | disk, most |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, runs in _grouped(outcomes).items():
        sinks = [sink for run in runs for sink in run.sinks]
        archives = [sink for sink in sinks if sink.sink in ("directory", "s3")]
        gaps = sum(sum(sink.gaps.values()) for sink in archives)
        idle = sum(sum(sink.empty_gaps.values()) for sink in archives)
        recovery = [run.recovery_s for run in runs]
        rows.append(
            f"| `{name}` | {FAULTS[name].says} | {len(runs)} | {sum(len(run.faults) == 1 for run in runs)} "
            f"| {sum(s.lost + s.needless for s in sinks)} | {sum(s.doubled for s in sinks)} | {gaps} ({idle}) "
            f"| {median(recovery):.1f} / {max(recovery):.1f} s | {max(run.peak_memory for run in runs) // _MIB} MiB "
            f"| {max(run.peak_disk for run in runs) / _MIB:.1f} MiB |"
        )
    return "\n".join([*rows, ""])


def _crossed(outcomes: Sequence[Outcome]) -> str:
    rows = ["| fault | " + " | ".join(_SINKS) + " |", "|---|" + "--:|" * len(_SINKS)]
    for name, runs in _grouped(outcomes).items():
        cells = [_cell(_sinks(runs, sink)) for sink in _SINKS]
        rows.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return "\n".join([*rows, ""])


def _cell(sinks: Sequence[SinkOutcome]) -> str:
    if not sinks:
        return ""
    lost, doubled = sum(s.lost + s.needless for s in sinks), sum(s.doubled for s in sinks)
    return f"{sum(s.records for s in sinks):,} · {lost} / {doubled} / {sum(s.in_gaps for s in sinks):,}"


def _grouped(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
    groups: defaultdict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        for fault in outcome.faults:
            groups[fault].append(outcome)
    return {name: groups[name] for name in FAULTS if name in groups}


def _left_out(outcomes: Sequence[Outcome]) -> str:
    """Faults that a run could not do; a fault that had nothing to meet is not told."""
    told: defaultdict[str, int] = defaultdict(int)
    for outcome in outcomes:
        for note in outcome.notes:
            if not note.startswith("VIOLATION"):
                told[note] += 1
    if not told:
        return ""
    rows = [f"- {note} ({count} runs)" for note, count in sorted(told.items())]
    return "\n".join(["## What could not be done in some runs\n", *rows, ""])
