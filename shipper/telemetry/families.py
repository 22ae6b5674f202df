"""A series with its bounded set of label values, on top of a prometheus_client metric."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from threading import Lock
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shipper.telemetry.metrics import OTHER, PREFIX, Series, SeriesType

Labels = tuple[str, ...]
Heard = Callable[[float, Labels], None]
"""Is told of each count: by how much, and with which labels."""
_LONGEST: Final = 200


class Family:
    """The children of one series by their labels. Thread-safe: the buffer's thread counts too.

    A dictionary finds a child in a tenth of the two microseconds that `metric.labels()` needs behind its lock. A label
    set that arrives when the series has reached its cap is counted under `_other` instead of a child of its own. Those
    that are known beforehand, as many as there are sinks, do not count towards it.
    """

    __slots__ = (
        "_beyond",
        "_cap",
        "_children",
        "_heard",
        "_lock",
        "_metric",
        "_stand_ins",
        "_totals",
        "series",
    )

    def __init__(
        self, series: Series, registry: CollectorRegistry, known: Sequence[Labels], heard: Heard | None = None
    ) -> None:
        self.series = series
        self._heard = heard
        self._cap = series.cap
        self._metric = _metric(series, registry)
        self._children: dict[Labels, Counter | Gauge | Histogram] = {}
        self._beyond: dict[Labels, float] = {}  # gauges that have no child of their own
        self._stand_ins: set[Labels] = set()  # the label sets that stand for them
        self._totals: dict[Labels, float] = {}  # their sums, by the label set that stands for them
        self._lock = Lock()
        self.know(known)

    def count(self, by: float, labels: Labels) -> None:
        child = self._children.get(labels) or self._child(labels)
        if by > 0:  # prometheus_client raises for less; what went backwards is no reason to fail the caller
            child.inc(by)  # type: ignore[union-attr]
        if self._heard is not None:
            self._heard(by, labels)

    def know(self, known: Iterable[Labels]) -> None:
        """Have these label sets too from now on, with 0."""
        for labels in known:
            if labels not in self._children:
                self._cap += 1
                self._child(labels)

    def observe(self, value: float, labels: Labels) -> None:
        child = self._children.get(labels) or self._child(labels)
        if not math.isnan(value):
            child.observe(value)  # type: ignore[union-attr]

    def set(self, value: float, labels: Labels) -> None:
        """Set a gauge; the gauges beyond the cap are shown as their sum."""
        child = self._children.get(labels) or self._child(labels)
        if labels not in self._children:
            value = self._add_beyond(labels, value)
        elif labels in self._beyond:  # room was made since
            self._leave_beyond(labels)
        child.set(value)  # type: ignore[union-attr]

    def forget(self, labels: Labels) -> None:
        """Stop exposing a label set. One that does not exist is no error."""
        if labels in self._beyond:
            self._leave_beyond(labels)
        with self._lock:
            if labels and self._children.pop(labels, None) is not None:
                self._metric.remove(*map(_clean, labels))

    def _add_beyond(self, labels: Labels, value: float) -> float:
        shared = self._shared(labels)
        with self._lock:
            total = self._totals.get(shared, 0.0) + value - self._beyond.get(labels, 0.0)
            self._totals[shared], self._beyond[labels] = total, value
        return total

    def _leave_beyond(self, labels: Labels) -> None:
        total = self._add_beyond(labels, 0.0)
        with self._lock:
            self._beyond.pop(labels, None)
        self._children[self._shared(labels)].set(total)  # type: ignore[union-attr]

    def _child(self, labels: Labels) -> Counter | Gauge | Histogram:
        """The child for `labels`, made if there is room, else the one of `_other`."""
        if len(labels) != len(self.series.labels):
            names = ", ".join(label.name for label in self.series.labels) or "none"
            raise ValueError(f"{self.series.name} has the labels {names}, not the values {labels}")
        with self._lock:
            if len(self._children) - len(self._stand_ins) >= self._cap and labels not in self._children:
                labels = self._shared(labels)
                self._stand_ins.add(labels)
            child = self._children.get(labels)
            if child is None:
                child = self._metric.labels(*map(_clean, labels)) if labels else self._metric
                self._children[labels] = child
        return child

    def _shared(self, labels: Labels) -> Labels:
        pairs = zip(self.series.labels, labels, strict=True)
        return tuple(value if label.values else OTHER for label, value in pairs)


def known_labels(series: Series, sinks: Sequence[str]) -> Iterator[Labels]:
    """The label sets that can be named before anything happened."""
    values = [tuple(sinks) if label.name == "sink" else label.values for label in series.labels]
    yield from product(*values)


def _metric(series: Series, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    name, labels = PREFIX + series.name, tuple(label.name for label in series.labels)
    if series.type is SeriesType.COUNTER:
        return Counter(name, series.help, labels, registry=registry)
    if series.type is SeriesType.GAUGE:
        return Gauge(name, series.help, labels, registry=registry)
    return Histogram(name, series.help, labels, registry=registry, buckets=series.buckets)


def _clean(value: str) -> str:
    """A label value that can be written as UTF-8 and has a bounded length; cut ones keep apart by a checksum."""
    encoded = value.encode("utf-8", "backslashreplace")
    if len(encoded) <= _LONGEST:
        return encoded.decode()
    return f"{encoded[: _LONGEST - 9].decode(errors='ignore')}~{zlib.crc32(encoded):08x}"
