"""What becomes of each record on its way to one sink: it passes, is dropped for a reason, or is not its affair."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from shipper.entry import Entry
from shipper.transform.matching import Asked, Fit, Indices
from shipper.transform.routes import Path, Route
from shipper.transform.sampling import keeps, replica_of
from shipper.transform.throttling import Throttle

FILTERED: Final = "filtered"
SAMPLED: Final = "sampled"
THROTTLED: Final = "throttled"
NO_ROUTE: Final = "no_route"

_REMEMBERED: Final = 10_000  # replicas of a pass


class Decisions:
    """The routes over one pass for one sink.

    What is dropped by a route for all sinks, or taken by none, is the same loss in every sink's pass; it is counted
    by one of them, the first by name of those that the partition may reach. `elsewhere` counts what is not this sink's
    to send or to count.
    """

    def __init__(self, path: Path, sink: str, counts: Mapping[str, bytes]) -> None:
        self.dropped: Counter[str] = Counter()
        self.elsewhere = 0
        self._path = path
        self._sink = sink
        self._reached = sink in path.sinks
        self._counts_for_all = not self._reached or sink == min(path.sinks)
        self._throttles = {
            step.route.key: Throttle(step.route.throttle, counts.get(step.route.key, b""))
            for step in path.steps
            if step.route.throttle is not None and sink in step.route.sinks
        }
        self._sampled: dict[tuple[str, int], bool] = {}

    def states(self) -> dict[str, bytes]:
        """The counts of throttles, by route."""
        return {key: throttle.state() for key, throttle in self._throttles.items()}

    def pass_on(self, entries: list[Entry]) -> list[Entry]:
        """Those that go to the sink, in order."""
        if self._reached and not self._path.steps:
            return entries
        fates, asked = _Fates(len(entries)), Asked(entries)
        undecided: Indices = list(range(len(entries)))
        for step in self._path.steps:
            hits = undecided if step.fitted.fit is Fit.ALL else step.fitted.among(asked, undecided)
            if not hits:
                continue
            self._take(step.route, entries, hits, fates)
            if not step.route.goes_on:
                undecided = _without(undecided, hits)
                if not undecided:
                    break
        return self._settled(entries, fates)

    def _take(self, route: Route, entries: Sequence[Entry], hits: Indices, fates: _Fates) -> None:
        if route.drop:
            for index in hits:
                fates.reasons.setdefault(index, FILTERED)
            return
        for index in hits:
            fates.touched[index] = 1
        if self._sink not in route.sinks:
            return
        kept = hits
        if route.sample is not None:
            kept = self._sample(route.sample, entries, kept, fates)
        if route.throttle is not None:
            kept = self._hold_to_pace(self._throttles[route.key], entries, kept, fates)
        for index in kept:
            fates.kept[index] = 1
        if route.marks:
            for index in kept:
                entries[index].marks |= route.marks

    def _sample(self, one_in: int, entries: Sequence[Entry], hits: Indices, fates: _Fates) -> Indices:
        kept: Indices = []
        verdicts = self._sampled
        for index in hits:
            replica = replica_of(entries[index].record)
            verdict = verdicts.get((replica, one_in))
            if verdict is None:
                if len(verdicts) >= _REMEMBERED:
                    verdicts.clear()
                verdict = verdicts[replica, one_in] = keeps(replica, one_in)
            if verdict:
                kept.append(index)
            else:
                fates.reasons.setdefault(index, SAMPLED)
        return kept

    def _hold_to_pace(
        self, throttle: Throttle, entries: Sequence[Entry], hits: Indices, fates: _Fates
    ) -> Indices:
        kept: Indices = []
        for index in hits:
            entry = entries[index]
            if throttle.admits(entry.timestamp_ms, entry.lines):
                kept.append(index)
            else:
                fates.reasons.setdefault(index, THROTTLED)
        return kept

    def _settled(self, entries: list[Entry], fates: _Fates) -> list[Entry]:
        if fates.kept.count(1) == len(entries):
            return entries
        passed: list[Entry] = []
        for index, entry in enumerate(entries):
            if fates.kept[index]:
                passed.append(entry)
            elif reason := self._reason(index, fates):
                self.dropped[reason] += entry.lines
            else:
                self.elsewhere += entry.lines
        return passed

    def _reason(self, index: int, fates: _Fates) -> str | None:
        """Why it does not go to the sink; None where that is no loss, or one that another sink counts."""
        reason = fates.reasons.get(index)
        if reason in (SAMPLED, THROTTLED):
            return reason
        if fates.touched[index]:
            # Frames that were committed under other routes may be for a sink that none of these leads to.
            return None if self._reached else NO_ROUTE
        return (reason or NO_ROUTE) if self._counts_for_all else None


class _Fates:
    """Of each entry: whether any route took it, whether it goes to the sink, and why it was left out."""

    __slots__ = ("kept", "reasons", "touched")

    def __init__(self, entries: int) -> None:
        self.touched = bytearray(entries)
        self.kept = bytearray(entries)
        self.reasons: dict[int, str] = {}


def _without(undecided: Indices, hits: Indices) -> Indices:
    if len(hits) == len(undecided):
        return []
    gone = set(hits)
    return [index for index in undecided if index not in gone]
