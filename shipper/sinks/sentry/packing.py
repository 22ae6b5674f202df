"""Records as parcels: the issues first, one each, then the logs in containers, all within Sentry's limits.

Issues come first so that those of a batch do not wait behind logs that Sentry wants none of just now. A record may be
both, a failure and a log, and is settled only with the last of its parcels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shipper.entry import Entry
from shipper.sinks.port import Parcel
from shipper.sinks.sentry.envelope import (
    MOST_BYTES,
    MOST_LOGS,
    Envelope,
    logs_size,
    of_event,
    of_logs,
)
from shipper.sinks.sentry.guard import Guard
from shipper.sinks.sentry.issues import Issue, IssueWriter
from shipper.sinks.sentry.logs import LogWriter

LOGS_MARK: Final = "logs"
"""The mark of records that a route wants in Sentry Logs."""
MOST_EVENT_BYTES: Final = 512 * 1024  # half of Sentry's limit

ISSUES: Final = "issues"
LOGS: Final = "logs"
NO_FAILURE: Final = "no_failure"
ISSUE_QUOTA: Final = "issue_quota"
TOO_OLD: Final = "too_old"
CUT: Final = "cut"


@dataclass(slots=True)
class _Sorted:
    """What becomes of a slice's records. `left_out` and `altered` are by the record's index: reason and count."""

    issues: list[tuple[int, Issue]] = field(default_factory=list)
    logs: list[int] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)
    altered: dict[int, str] = field(default_factory=dict)


class Packer:
    """Makes parcels. Issues settle nothing; what comes after them settles all records, each in one parcel.

    Records may be packed again, from any of them on, and the same comes out, but for issues that Sentry has by then
    and for what has become too old.
    """

    def __init__(self, issues: IssueWriter, logs: LogWriter, guard: Guard) -> None:
        self._issues = issues
        self._logs = logs
        self._guard = guard

    def pack(self, entries: Sequence[Entry], oldest_ms: float) -> Iterator[Parcel]:
        """Parcels in order; records from before `oldest_ms` are left out."""
        found = self._sort(entries, oldest_ms)
        counts = _Counts(entries, found)
        logs = frozenset(found.logs)
        for index, issue in found.issues:
            envelope, was_cut = self._event(issue, also_log=index in logs)
            if was_cut:
                counts.altered_at(index, CUT)
            yield counts.parcel(index, index + 1, 0, envelope, ISSUES)
        if found.logs:
            yield from self._containers(entries, found.logs, counts)
        elif entries:
            yield counts.parcel(0, len(entries), len(entries), None, LOGS)

    def _sort(self, entries: Sequence[Entry], oldest_ms: float) -> _Sorted:
        found = _Sorted()
        for index, entry in enumerate(entries):
            if entry.timestamp_ms < oldest_ms:
                found.left_out[index] = TOO_OLD
                continue
            issue, log = self._issues.find(entry), LOGS_MARK in entry.marks
            admitted = issue is not None and self._guard.admits(
                issue.app, issue.hour, issue.fingerprint, issue.event_id
            )
            if log:
                found.logs.append(index)
            if issue is None:
                if not log:
                    found.left_out[index] = NO_FAILURE
            elif not admitted:
                (found.altered if log else found.left_out)[index] = ISSUE_QUOTA
            elif not self._guard.has_delivered(issue.event_id):
                found.issues.append((index, issue))
        return found

    def _event(self, issue: Issue, *, also_log: bool) -> tuple[Envelope, bool]:
        lines = issue.entry.lines
        records = (0, lines) if also_log else (lines, 0)
        envelope = of_event(self._issues.write(issue), *records)
        if len(envelope.data) <= MOST_EVENT_BYTES:
            return envelope, False
        return of_event(self._issues.write(issue, bare=True), *records), True

    def _containers(
        self, entries: Sequence[Entry], indexes: Sequence[int], counts: _Counts
    ) -> Iterator[Parcel]:
        held: list[bytes] = []
        size = records = start = 0
        sequences: Counter[int] = Counter()
        for index in indexes:
            entry = entries[index]
            log, was_cut = self._logs.write(entry, sequences[entry.timestamp_ms])
            sequences[entry.timestamp_ms] += 1
            if held and (len(held) == MOST_LOGS or logs_size(len(held) + 1, size + len(log)) > MOST_BYTES):
                yield counts.parcel(start, index, index, of_logs(held, records), LOGS)
                held, size, records, start = [], 0, 0, index
            if was_cut:
                counts.altered_at(index, CUT)
            held.append(log)
            size += len(log)
            records += entry.lines
        yield counts.parcel(start, len(entries), len(entries), of_logs(held, records), LOGS)


class _Counts:
    """Puts what is left out or altered into the parcel that settles it."""

    def __init__(self, entries: Sequence[Entry], found: _Sorted) -> None:
        self._entries = entries
        self._left_out = found.left_out
        self._altered = found.altered
        self._settled = 0

    def altered_at(self, index: int, what: str) -> None:
        self._altered.setdefault(index, what)

    def parcel(self, start: int, stop: int, settles: int, body: Envelope | None, sort: str) -> Parcel:
        span = range(self._settled, settles)
        self._settled = max(self._settled, settles)
        dropped, altered = self._count(self._left_out, span), self._count(self._altered, span)
        return Parcel(start, stop, settles, body, dropped, altered, sort)

    def _count(self, reasons: Mapping[int, str], span: range) -> Mapping[str, int]:
        counts: Counter[str] = Counter()
        for index in span if len(span) < len(reasons) else reasons:
            if index in span and index in reasons:
                counts[reasons[index]] += self._entries[index].lines
        return dict(counts)
