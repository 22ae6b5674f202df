"""Routes: where records go, first for a whole partition, then for each record on its way to one sink.

A partition's conditions (kind, organization, app) are decided once; routes that they exclude, and those below one
that takes everything, are gone by then. What remains is asked of the records in columns.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from shipper.model import Partition, Unrouted
from shipper.transform.matching import Fit, Fitted, Matcher

if TYPE_CHECKING:
    from shipper.config.routes import RouteSettings

SENTRY_LOGS: Final = "logs"
"""The mark of lines that a route wants as Sentry Logs."""


class Route:
    """One route, compiled. `key` names what it does, so that its counts are found again after a restart."""

    def __init__(self, settings: RouteSettings, key: str) -> None:
        self.matcher = Matcher(settings.match, settings.match.not_)
        self.sinks = frozenset(settings.sinks)
        self.drop = settings.drop
        self.sample = settings.sample
        self.throttle = settings.throttle
        self.goes_on = settings.continue_
        self.marks = frozenset((SENTRY_LOGS,)) if settings.sentry_logs else frozenset[str]()
        self.key = key

    @property
    def thins(self) -> bool:
        """Whether it may leave out some of what it takes."""
        return self.sample is not None or self.throttle is not None


@dataclass(frozen=True, slots=True)
class Step:
    """A route that may take records of a partition."""

    route: Route
    fitted: Fitted


@dataclass(frozen=True, slots=True)
class Path:
    """What routes do with one partition: its steps, and the sinks that any record of it may reach.

    Without steps every record reaches the sinks, of which there are none where no route fits.
    """

    steps: tuple[Step, ...]
    sinks: frozenset[str]

    def needs_level(self, sink: str) -> bool:
        """Whether the sink's part depends on a line's level."""
        return not self.brings_all(sink) and any(step.fitted.needs_level for step in self.steps)

    def brings_all(self, sink: str) -> bool:
        """Whether every record certainly reaches the sink: none can be lost to it before a route takes all for it."""
        for step in self.steps:
            takes = sink in step.route.sinks and not step.route.thins
            if takes and step.fitted.fit is Fit.ALL:
                return True
            if not takes and not step.route.goes_on:
                return False
        return not self.steps and sink in self.sinks


def _keys(routes: Iterable[RouteSettings]) -> Iterator[str]:
    """A digest of what each does, and a number that tells apart those that do the very same."""
    same: Counter[str] = Counter()
    for settings in routes:
        said = json.dumps(settings.as_data("name"), ensure_ascii=False, separators=(",", ":"))
        same[said] += 1
        yield f"{sha256(said.encode()).hexdigest()[:16]}-{same[said]}"


class RouteTable:
    """All routes. Without any, every record goes to every sink."""

    def __init__(self, routes: Sequence[RouteSettings], sinks: Iterable[str]) -> None:
        self._routes = tuple(map(Route, routes, _keys(routes)))
        self._all = frozenset(sinks)

    @property
    def keys(self) -> tuple[str, ...]:
        """The routes' keys, in their order."""
        return tuple(route.key for route in self._routes)

    def sinks_of(self, partition: Partition) -> frozenset[str]:
        """Every sink that a record of the partition may reach, without looking at the records."""
        return self.path(partition).sinks

    def destination(self, partition: Partition) -> frozenset[str] | Unrouted:
        """The same for the buffer: where it is no sink, why."""
        path = self.path(partition)
        if path.sinks:
            return path.sinks
        dropped = any(step.route.drop for step in path.steps)
        return Unrouted.FILTERED if dropped else Unrouted.NO_ROUTE

    def asks_for(self, sink: str) -> bool:
        """Whether the sink's records may have to be asked which of them it gets: partitions alone do not tell."""
        return any(
            (route.thins and sink in route.sinks)
            or (route.matcher.asks_records and (sink in route.sinks or not route.goes_on))
            for route in self._routes
        )

    def path(self, partition: Partition) -> Path:
        """What the routes do with a partition."""
        if not self._routes:
            return Path((), self._all)
        steps: list[Step] = []
        sinks: set[str] = set()
        for route in self._routes:
            fitted = route.matcher.fitted(partition)
            if fitted.fit is Fit.NONE:
                continue
            steps.append(Step(route, fitted))
            sinks |= route.sinks
            if fitted.fit is Fit.ALL and not route.goes_on:
                break
        return Path(tuple(steps), frozenset(sinks) & self._all)
