"""What a PromQL query asks for: series, the labels that it names, the values that it expects of them.

It is no parser of PromQL, of which promtool has one; it knows the shapes in which the rules and panels are written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shipper.telemetry.metrics import PREFIX, SERIES, Series, SeriesType

OF_THE_TARGET: Final = frozenset(("job", "namespace", "instance", "pod", "cluster"))
"""Labels that Prometheus and its operator put on every series."""

OF_THE_PROCESS: Final = {
    "process_cpu_seconds_total": (),
    "process_max_fds": (),
    "process_open_fds": (),
    "process_resident_memory_bytes": (),
    "process_start_time_seconds": (),
    "python_gc_collections_total": ("generation",),
    "up": (),
}
"""Series of prometheus_client and of Prometheus itself, with their labels."""

_SELECTOR: Final = re.compile(r"\b([a-z_]+)\{([^}]*)\}")
_MATCHER: Final = re.compile(r'([a-z_]+)(=~|!~|!=|=)"([^"]*)"')
_GROUPING: Final = re.compile(r"\b(?:by|on) \(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Selector:
    """A series in a query, and the label matchers behind it: name, operator, text."""

    series: str
    matchers: tuple[tuple[str, str, str], ...]


def selectors(query: str) -> list[Selector]:
    """Every series that a query selects."""
    return [Selector(name, tuple(_MATCHER.findall(inside))) for name, inside in _SELECTOR.findall(query)]


def mistakes(query: str) -> Iterator[str]:
    """Series that nobody has, labels that they do not have, values that these never take."""
    known: set[str] = set(OF_THE_TARGET)
    found = selectors(query)
    if not found:
        yield f"no series in {query}"
    for selector in found:
        labels = _labels(selector.series)
        if labels is None:
            yield f"there is no series {selector.series}"
            continue
        known |= labels.keys()
        for name, operator, text in selector.matchers:
            if name not in labels and name not in OF_THE_TARGET:
                yield f"{selector.series} has no label {name}"
            values = labels.get(name)
            wanted = text.split("|") if "~" in operator else [text]
            if values and not set(wanted) <= set(values):
                yield f"{selector.series} never has {name}={text}"
    for group in _GROUPING.findall(query):
        for name in filter(None, map(str.strip, group.split(","))):
            if name not in known:
                yield f"nothing in the query has a label {name}"


def _labels(name: str) -> dict[str, tuple[str, ...]] | None:
    """The labels of a series with the values that they can take, as far as these are listed; None for no series."""
    if name in OF_THE_PROCESS:
        return dict.fromkeys(OF_THE_PROCESS[name], ())
    for series in SERIES:
        if name in _exposed(series):
            labels = {label.name: label.values for label in series.labels}
            return labels | {"le": ()} if name.endswith("_bucket") else labels
    return None


def _exposed(series: Series) -> tuple[str, ...]:
    full = PREFIX + series.name
    if series.type is SeriesType.HISTOGRAM:
        return tuple(f"{full}_{part}" for part in ("bucket", "count", "sum"))
    return (full,)
