"""Whether something grows: slopes an hour by least squares, against the most that is allowed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, linear_regression
from typing import Final

from tests.soak.samples import Sample

# The most that a slope may be, an hour. An hour of churn has some 2,400 pods: a kilobyte that stays of each of them
# is 2.4 MB, a task or a file that stays of one in a hundred is 24. Pools make their threads one by one, up to a bound.
BOUNDS: Final = {
    "rss_mb": 5.0,
    "anon_mb": 5.0,
    "files": 5.0,
    "threads": 4.0,
    "tasks": 12.0,
    "buffer_mb": 5.0,
}
LEAST: Final = 3  # samples that a slope is taken from


@dataclass(frozen=True, slots=True)
class Trend:
    """How one figure went: `slope` is its change an hour, `steady` the same with the number of replicas held still."""

    name: str
    first: float
    last: float
    least: float
    most: float
    slope: float
    steady: float
    bound: float

    @property
    def grows(self) -> bool:
        """Whether it rises by more than it may. A figure that falls is no leak."""
        return self.steady > self.bound


def trends(samples: Sequence[Sample], leave_out_s: float) -> list[Trend]:
    """Of every figure, without the samples of the first `leave_out_s` seconds."""
    kept = [sample for sample in samples if sample.at_s >= leave_out_s]
    if len(kept) < LEAST:
        raise ValueError(f"{len(kept)} samples after the first {leave_out_s:g} s say nothing")
    hours = [sample.at_s / 3600 for sample in kept]
    replicas = [sample.replicas for sample in kept]
    found = []
    for name, bound in BOUNDS.items():
        values = [float(getattr(sample, name)) for sample in kept]
        found.append(
            Trend(
                name,
                fmean(values[: len(values) // 10 or 1]),
                fmean(values[-(len(values) // 10 or 1) :]),
                min(values),
                max(values),
                linear_regression(hours, values).slope,
                _steady_slope(hours, replicas, values),
                bound,
            )
        )
    return found


def table(found: Sequence[Trend]) -> str:
    """For people."""
    lines = [
        "| figure | first tenth | last tenth | least | most | slope an hour | with replicas held still | may be |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {one.name} | {one.first:,.1f} | {one.last:,.1f} | {one.least:,.1f} | {one.most:,.1f} "
        f"| {one.slope:+,.2f} | {one.steady:+,.2f} | {one.bound:g} |"
        for one in found
    ]
    return "\n".join(lines)


def _steady_slope(hours: Sequence[float], replicas: Sequence[float], values: Sequence[float]) -> float:
    """The slope by time of a regression on time and the number of replicas: what the second explains is taken out of
    both, and the rest regressed.
    """
    times, rest = _without(replicas, hours), _without(replicas, values)
    return linear_regression(times, rest).slope


def _without(cause: Sequence[float], values: Sequence[float]) -> list[float]:
    if len(set(cause)) < 2:
        return list(values)
    fit = linear_regression(cause, values)
    return [value - fit.slope * each for each, value in zip(cause, values, strict=True)]
