"""What is known of a run when it is over: values that travel as JSON from the run's process to the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from tests.chaos.oracle import Verdict


@dataclass(frozen=True, slots=True)
class SinkOutcome:
    """One sink of one run. Counts are lines, but `gaps` and `empty_gaps` gap records by reason."""

    sink: str
    records: int
    lost: int
    doubled: int
    needless: int
    in_gaps: int
    unlisted: int
    repeated: int
    gaps: Mapping[str, int]
    empty_gaps: Mapping[str, int]

    @classmethod
    def of(cls, verdict: Verdict) -> SinkOutcome:
        """The numbers of a verdict."""
        return cls(
            verdict.sink,
            verdict.records,
            verdict.lost.total(),
            verdict.doubled.total(),
            verdict.needless.total(),
            verdict.in_gaps,
            verdict.unlisted,
            verdict.repeated,
            dict(verdict.gaps),
            dict(verdict.empty_gaps),
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run. `violations` is empty where every promise was kept; `notes` say what could not be done."""

    seed: int
    faults: tuple[str, ...]
    printed: int
    sinks: tuple[SinkOutcome, ...]
    recovery_s: float
    drain_s: float
    peak_memory: int
    peak_disk: int
    starts: int
    violations: tuple[str, ...]
    notes: tuple[str, ...]
    lives: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For a line of NDJSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Outcome:
        """The way back."""
        sinks = tuple(SinkOutcome(**sink) for sink in fields["sinks"])
        lists = {name: tuple(fields[name]) for name in ("faults", "violations", "notes", "lives")}
        return cls(**{**fields, "sinks": sinks, **lists})
