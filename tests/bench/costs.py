"""What shipper costs as a formula: fitted to measurements, and read for the size of a cluster. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

TOGETHER_S: Final = 0.005  # lines of one replica that are printed within that come in one read
COMMIT_S: Final = 0.2  # a frame is what an app prints in that


@dataclass(frozen=True, slots=True)
class Load:
    """What a daemon has to take: lines of so many bytes, evenly from all replicas of all apps."""

    replicas: int
    lines_per_s: float
    size: int
    apps: int = 4

    @property
    def mb_per_s(self) -> float:
        """Of text."""
        return self.lines_per_s * self.size / 1e6

    @property
    def reads_per_s(self) -> float:
        """How often something comes: each line by itself, or what a busy replica prints at about the same time."""
        return min(self.lines_per_s, self.replicas / TOGETHER_S)

    @property
    def lines_per_frame(self) -> float:
        """Lines that are compressed together."""
        return max(1.0, self.lines_per_s / self.apps * COMMIT_S)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a load cost: part of one core, memory at most, bytes a line in the buffer."""

    load: Load
    core: float
    memory_mb: float
    stored: float


Terms = Callable[[Load], Sequence[float]]


def core_terms(load: Load) -> Sequence[float]:
    """What CPU time is spent on."""
    return 1.0, load.replicas, load.reads_per_s, load.lines_per_s, load.mb_per_s


def memory_terms(load: Load) -> Sequence[float]:
    """What memory is spent on."""
    return 1.0, load.replicas, load.mb_per_s


def stored_terms(load: Load) -> Sequence[float]:
    """What the bytes of a line in the buffer come from: what is around it, its text, and what a frame begins anew."""
    return 1.0, load.size, 1 / load.lines_per_frame


@dataclass(frozen=True, slots=True)
class Fit:
    """Factors of terms, none below zero."""

    terms: Terms
    factors: Sequence[float]

    def __call__(self, load: Load) -> float:
        return sum(factor * term for factor, term in zip(self.factors, self.terms(load), strict=True))


@dataclass(frozen=True, slots=True)
class Costs:
    """The three formulas."""

    core: Fit
    memory_mb: Fit
    stored: Fit

    @classmethod
    def of(cls, measured: Sequence[Measured]) -> Costs:
        """Fitted to these."""
        loads = [one.load for one in measured]
        return cls(
            fit(core_terms, loads, [one.core for one in measured]),
            fit(memory_terms, loads, [one.memory_mb for one in measured]),
            fit(stored_terms, loads, [one.stored for one in measured]),
        )

    def buffer_bytes(self, load: Load, seconds: float) -> float:
        """What the buffer grows to while no sink takes anything."""
        return load.lines_per_s * self.stored(load) * seconds


def fit(terms: Terms, loads: Sequence[Load], values: Sequence[float]) -> Fit:
    """Least squares of the relative error. Every choice of terms is tried, since each factor has a meaning: the best is
    taken in which none is below zero.
    """
    rows = [[term / value for term in terms(load)] for load, value in zip(loads, values, strict=True)]
    found = min(_candidates(rows), key=lambda pair: pair[0])
    return Fit(terms, found[1])


def _candidates(rows: Sequence[Sequence[float]]) -> Iterator[tuple[float, list[float]]]:
    width = len(rows[0])
    for count in range(1, width + 1):
        for chosen in combinations(range(width), count):
            solved = _solve([[row[index] for index in chosen] for row in rows])
            if solved is None or min(solved) < 0:
                continue
            factors = [0.0] * width
            for index, factor in zip(chosen, solved, strict=True):
                factors[index] = factor
            yield sum((_dot(row, factors) - 1) ** 2 for row in rows), factors


def _solve(rows: Sequence[Sequence[float]]) -> list[float] | None:
    """The x for which rows times x is nearest to ones: normal equations, by elimination; None where there is none."""
    columns = list(zip(*rows, strict=True))
    if len(columns) > len(rows):
        return None
    scale = [max(map(abs, column)) or 1.0 for column in columns]
    columns = [tuple(value / by for value in column) for column, by in zip(columns, scale, strict=True)]
    table = [[_dot(one, other) for other in columns] + [sum(one)] for one in columns]
    for at, _ in enumerate(table):
        pivot = max(range(at, len(table)), key=lambda row: abs(table[row][at]))
        table[at], table[pivot] = table[pivot], table[at]
        if abs(table[at][at]) < 1e-12:
            return None
        table[at] = [value / table[at][at] for value in table[at]]
        for row, _ in enumerate(table):
            if row != at:
                by = table[row][at]
                table[row] = [value - by * base for value, base in zip(table[row], table[at], strict=True)]
    return [row[-1] / by for row, by in zip(table, scale, strict=True)]


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
