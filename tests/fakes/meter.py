"""A meter that remembers; it checks every call against the table, as the real one does."""

from __future__ import annotations

from collections import defaultdict

from shipper.telemetry.metrics import SERIES, SeriesType

_TABLE = {series.name: series for series in SERIES}


class FakeMeter:
    def __init__(self) -> None:
        self.counts: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self.levels: dict[tuple[str, ...], float] = {}
        self.observations: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)

    def count(self, series: str, by: float = 1, *labels: str) -> None:
        self._check(series, SeriesType.COUNTER, labels)
        self.counts[series, *labels] += by

    def level(self, series: str, value: float, *labels: str) -> None:
        self._check(series, SeriesType.GAUGE, labels)
        self.levels[series, *labels] = value

    def observe(self, series: str, value: float, *labels: str) -> None:
        self._check(series, SeriesType.HISTOGRAM, labels)
        self.observations[series, *labels].append(value)

    def forget(self, series: str, *labels: str) -> None:
        self._check(series, SeriesType.GAUGE, labels)
        self.levels.pop((series, *labels), None)

    @staticmethod
    def _check(name: str, wanted: SeriesType, labels: tuple[str, ...]) -> None:
        series = _TABLE[name]
        assert series.type is wanted, f"{name} is a {series.type}"
        assert len(series.labels) == len(labels), f"{name} has other labels than {labels}"
