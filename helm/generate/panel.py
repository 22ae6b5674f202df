"""What a panel of the dashboard is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Grafana's name of the panel's type."""

    STAT = "stat"
    LINES = "timeseries"
    HEATMAP = "heatmap"


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries` are legend and query; `steps` where orange and red begin; `unit` is Grafana's name of it."""

    title: str
    kind: Kind
    unit: str
    queries: tuple[tuple[str, str], ...]
    description: str = ""
    width: int = 8
    height: int = 7
    steps: tuple[float, ...] = ()
    stacked: bool = False


def stat(title: str, unit: str, query: str, description: str, steps: tuple[float, ...] = ()) -> Panel:
    """One number."""
    return Panel(title, Kind.STAT, unit, (("", query),), description, width=4, height=4, steps=steps)


def lines(
    title: str, unit: str, *queries: tuple[str, str], description: str = "", stacked: bool = False
) -> Panel:
    """Lines over time."""
    return Panel(title, Kind.LINES, unit, queries, description, stacked=stacked)


def heat(title: str, unit: str, query: str, description: str = "") -> Panel:
    """A histogram over time."""
    return Panel(title, Kind.HEATMAP, unit, (("{{le}}", query),), description)
