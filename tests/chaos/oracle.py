"""What must be true in the end: the ledger against every archive and intake, as multisets. Pure.

An archive has every line exactly once, a record sink at least once; what is missing lies in a `gaps` record of its
replica and time. Lines that the server itself sent twice may be there twice: nobody can tell them from two lines.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shipper.emulator import Printed

NOT_YET_S: Final = 125.0
"""So long after an event named it, a replica that was never listed becomes a gap."""

DROPPED: Final = frozenset({"buffer_full", "buffer_corrupt", "rejected"})
"""Reasons of gaps in which also lines may be that the platform still has."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What the platform printed. `twice` are lines that it sent more often than they were printed.

    `obtainable` can still be asked for. `unlisted` are lines of replicas that no listing ever named to a
    daemon that could remember it.
    """

    printed: Counter[Printed]
    twice: Counter[Printed]
    obtainable: Counter[Printed]
    unlisted: frozenset[str]


@dataclass(frozen=True, slots=True)
class GapSpan:
    """Where a gap record says that lines may be missing."""

    app: str
    replica_id: str
    from_ms: int
    to_ms: int
    reason: str
    lost: int | None

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> GapSpan:
        """From a record of kind gaps."""
        return cls(
            record["app"],
            record.get("replica_id", ""),
            record["from_ms"],
            record["to_ms"],
            record["reason"],
            record.get("lost"),
        )

    def covers(self, line: Printed) -> bool:
        """Whether the line may be one of those that are missing."""
        return (
            self.app in ("", line.app)
            and self.replica_id in ("", line.replica_id)
            and self.from_ms <= line.timestamp_ms <= self.to_ms
        )


@dataclass(slots=True)
class Verdict:
    """Of one sink. `lost` and `doubled` are violations, `needless` too: lines in a gap that can still be had."""

    sink: str
    records: int
    lost: Counter[Printed] = field(default_factory=Counter)
    doubled: Counter[Printed] = field(default_factory=Counter)
    needless: Counter[Printed] = field(default_factory=Counter)
    in_gaps: int = 0
    unlisted: int = 0
    repeated: int = 0
    gaps: Counter[str] = field(default_factory=Counter)
    empty_gaps: Counter[str] = field(default_factory=Counter)
    declared: int = 0
    sent_twice: int = 0

    @property
    def miscounted(self) -> bool:
        """Whether the gaps of a full buffer, where there are no others, say another number than what is missing."""
        exact = self.in_gaps <= self.declared <= self.in_gaps + self.sent_twice
        return set(self.gaps) == {"buffer_full"} and not exact

    @property
    def good(self) -> bool:
        """Whether the promise is kept."""
        return not (self.lost or self.doubled or self.needless)


def judge(sink: str, truth: Truth, had: Counter[Printed], gaps: Iterable[GapSpan], *, once: bool) -> Verdict:
    """Compare one sink with the truth. `once`: nothing may be there more often than it was printed."""
    spans = list(gaps)
    verdict = Verdict(sink, had.total(), gaps=Counter(span.reason for span in spans))
    verdict.sent_twice = truth.twice.total()
    verdict.declared = sum(span.lost or 0 for span in spans)
    surplus = had - truth.printed
    verdict.repeated = (surplus & truth.twice).total() if once else surplus.total()
    if once:
        verdict.doubled = surplus - truth.twice
    used: set[int] = set()
    for line, count in (truth.printed - had).items():
        _account(verdict, truth, spans, used, line, count, within_reach=truth.obtainable[line] > had[line])
    verdict.empty_gaps = Counter(span.reason for at, span in enumerate(spans) if at not in used)
    return verdict


def _account(
    verdict: Verdict,
    truth: Truth,
    spans: list[GapSpan],
    used: set[int],
    line: Printed,
    count: int,
    *,
    within_reach: bool,
) -> None:
    """Where a missing line belongs."""
    covering = [at for at, span in enumerate(spans) if span.covers(line)]
    used.update(covering)
    if covering:
        verdict.in_gaps += count
        if within_reach and not any(spans[at].reason in DROPPED for at in covering):
            verdict.needless[line] += count
    elif line.replica_id in truth.unlisted and not within_reach:
        verdict.unlisted += count
    else:
        verdict.lost[line] += count


def by_text(printed: Counter[Printed]) -> dict[tuple[str, int], list[Printed]]:
    """The lines by what an intake shows of them: text and time. One that was printed twice is there twice."""
    found: defaultdict[tuple[str, int], list[Printed]] = defaultdict(list)
    for line in printed.elements():
        found[str(line.line), line.timestamp_ms].append(line)
    return found


def as_printed(printed: Counter[Printed], seen: Iterable[tuple[str, int]]) -> Counter[Printed]:
    """Entries of an intake as the lines they are; others than the apps' own lines are left out."""
    known = by_text(printed)
    had: Counter[Printed] = Counter()
    for key, count in Counter(seen).items():
        lines = known.get(key, [])
        for at in range(count if lines else 0):
            had[lines[at % len(lines)]] += 1
    return had
