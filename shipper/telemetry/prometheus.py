"""The meter that serves Prometheus: every series of the table, in a registry of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, Metric, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from shipper import __version__
from shipper.telemetry.families import Family, Heard, known_labels
from shipper.telemetry.metrics import SERIES, Series, SeriesType


class PrometheusMeter:
    """Implements `shipper.meter.Meter`; any thread may call it.

    `sinks` are the configured names, so that their series exist before the first batch. `heard` has who is to be told
    of the counts of a series, by its name. Besides the table the meter exposes the `process_*` and `python_*` series
    that prometheus_client reads from the system.
    """

    def __init__(
        self,
        *,
        sinks: Sequence[str] = (),
        version: str = __version__,
        series: Iterable[Series] = SERIES,
        heard: Mapping[str, Heard] | None = None,
    ) -> None:
        self.registry: Final = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        heard = heard or {}
        families = [
            Family(one, self.registry, tuple(known_labels(one, sinks)), heard.get(one.name)) for one in series
        ]
        self._families: Final = tuple(families)
        self._counters = _of(families, SeriesType.COUNTER)
        self._gauges = _of(families, SeriesType.GAUGE)
        self._histograms = _of(families, SeriesType.HISTOGRAM)
        if "build_info" in self._gauges:
            self.level("build_info", 1, version)

    def count(self, series: str, by: float = 1, *labels: str) -> None:
        """Add `by` to a counter; KeyError if the table has no counter of that name."""
        self._counters[series].count(by, labels)

    def level(self, series: str, value: float, *labels: str) -> None:
        """Set a gauge; KeyError if the table has no gauge of that name."""
        self._gauges[series].set(value, labels)

    def observe(self, series: str, value: float, *labels: str) -> None:
        """Add one observation to a histogram; KeyError if the table has no histogram of that name."""
        self._histograms[series].observe(value, labels)

    def forget(self, series: str, *labels: str) -> None:
        """Stop exposing a gauge's label set, for example of an app that is gone. Unknown label sets are ignored."""
        self._gauges[series].forget(labels)

    def know(self, sinks: Sequence[str]) -> None:
        """Sinks that were added since the start: their series begin at 0, so that `increase()` sees the first event."""
        for family in self._families:
            if any(label.name == "sink" for label in family.series.labels):
                family.know(known_labels(family.series, sinks))

    def collect(self) -> Iterable[Metric]:
        """Every series, for whoever exports them in another way. Call it in a thread."""
        return _WithoutCreated(self.registry).collect()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page for a scrape and its content type, in the format that the `Accept` header asks for.

        Takes milliseconds with a thousand apps: call it in a thread.
        """
        encode, content_type = _encoder(accept)
        return encode(_WithoutCreated(self.registry)), content_type


class _WithoutCreated(Collector):
    """The registry without prometheus_client's `_created` samples: one more series for each counter."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterable[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


def _of(families: Iterable[Family], wanted: SeriesType) -> dict[str, Family]:
    return {family.series.name: family for family in families if family.series.type is wanted}


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # a version in the header that is no number
        return choose_encoder("")
