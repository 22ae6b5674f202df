"""All subscriptions in one pass: what is counted of every one of them, and which are on the page that is wanted.

There may be thousands, and the event loop waits meanwhile: facts are made of those alone that are shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from shipper.collect.build_reader import BuildReader
from shipper.collect.collector import Collector
from shipper.collect.states import Followed, State
from shipper.collect.subscription import LogSubscription
from shipper.collect.watch import AppWatch
from shipper.daemon.rates import Baseline, Rates
from shipper.ignite.status import Action, Code, Status
from shipper.model import Kind
from shipper.telemetry.facts import AppFacts, CollectFacts, Query, ReplicaFacts, Stream

OVERDUE_S: Final = 300.0
_REFUSED: Final = (Action.PARK, Action.STOP)
_WORST_FIRST: Final = (
    State.PARKED,
    State.WAITING,
    State.OPENING,
    State.RESUMING,
    State.LEAVING,
    State.LIVE,
    None,
)
_RANK: Final = {state: rank for rank, state in enumerate(_WORST_FIRST)}


@dataclass(frozen=True, slots=True)
class Clock:
    """One moment on the wall's clock and on the loop's."""

    now_ms: int
    now: float

    def ms(self, at: float) -> int:
        """A time of the loop's clock as Unix ms."""
        return self.now_ms - round((self.now - at) * 1000)


@dataclass(slots=True)
class _App:
    """What the pass found of one app."""

    watch: AppWatch
    states: Counter[State | None] = field(default_factory=Counter)
    brought: int = 0  # since the baseline, by those replicas that were in it
    measured: bool = False
    fits: bool = True

    def place(self) -> tuple[int, str]:
        """Where it belongs among others, the worst first."""
        ranks = [_RANK[state] for state in self.states]
        # That the log of a build is waited for is in order.
        own = (
            one for one in self.watch.followed() if one.kind is not Kind.BUILDS or one.state is State.PARKED
        )
        ranks += [_RANK[one.state] for one in own]
        worst = -1 if self.watch.problem is not None else min(ranks, default=len(_RANK))
        return worst, self.watch.app.name


Found = tuple[int, str, str, LogSubscription]
"""A replica that fits, with what decides its place: the state's rank, the app, the replica."""


def survey(collector: Collector, query: Query, clock: Clock, rates: Rates) -> CollectFacts:
    """What is collected, and the part of it that is wanted."""
    baseline = rates.baseline(clock.now)
    counts: dict[str, int] = {}
    fitting: list[Found] = []
    apps = [_pass(watch, query, baseline, counts, fitting) for watch in collector.watches.values()]
    rates.sample(counts, clock.now)
    fitting.sort(key=lambda found: found[:3])
    shown = sorted((app for app in apps if app.fits), key=_App.place)
    return CollectFacts(
        states=_states(apps),
        apps=[_app(app, clock, baseline) for app in shown[: query.limit]],
        apps_total=len(apps),
        apps_matching=len(shown),
        replicas=[
            _replica(found[3], clock, baseline)
            for found in fitting[query.offset : query.offset + query.limit]
        ],
        replicas_total=sum(len(app.watch.subscriptions) for app in apps),
        replicas_matching=len(fitting),
        overdue=sum(_overdue(app.watch, clock.now - OVERDUE_S) for app in apps),
        unlisted=[_app(app, clock, baseline) for app in apps if app.watch.problem is not None],
        problem=said(collector.problem),
        refused=_is_refused(collector.problem),
    )


def _pass(
    watch: AppWatch, query: Query, baseline: Baseline, counts: dict[str, int], fitting: list[Found]
) -> _App:
    """Look at each replica of an app once."""
    name, before = watch.app.name, baseline.counts
    found = _App(watch, Counter(one.state for one in watch.subscriptions.values()))
    for one in watch.subscriptions.values():
        cursor = one.taker.cursor
        key, taken = cursor.key, cursor.taken
        counts[key] = taken
        was = before.get(key)
        if was is not None:
            found.measured = True
            found.brought += taken - was
    for other in watch.followed():
        counts[_key(watch, other)] = other.taken or 0
    if not query.takes_app(watch.app.organization, name):
        found.fits = False
        return found
    fit = [
        (_RANK[one.state], name, replica_id, one)
        for replica_id, one in watch.subscriptions.items()
        if not query.replica or query.takes_replica(replica_id)
    ]
    found.fits = bool(fit) or not query.replica
    fitting += fit
    return found


def _states(apps: Iterable[_App]) -> Mapping[tuple[str, str], int]:
    counts: Counter[tuple[Kind, State | None]] = Counter()
    for app in apps:
        for state, count in app.states.items():
            counts[Kind.LOGS, state] += count
        counts.update((one.kind, one.state) for one in app.watch.followed())
    known = {(kind.value, state.value): count for (kind, state), count in counts.items() if state is not None}
    return dict(sorted(known.items()))


def _overdue(watch: AppWatch, before: float) -> int:
    """How many streams have not been open since then, though nobody refuses them."""
    count = 0
    for one in (*watch.subscriptions.values(), *watch.followed()):
        cut_at = one.cut_at
        if cut_at is not None and cut_at <= before and one.state is not State.PARKED:
            count += 1
    return count


# ---- what is shown ----


def _app(app: _App, clock: Clock, baseline: Baseline) -> AppFacts:
    watch = app.watch
    nothing = not watch.subscriptions
    return AppFacts(
        app=str(watch.app),
        replicas=len(watch.subscriptions) or watch.listed,
        states={state.value: count for state, count in app.states.items() if state is not None},
        streams=[_own(watch, one, clock, baseline) for one in watch.followed()],
        rate=max(0.0, app.brought / baseline.seconds) if app.measured or nothing else None,
        listed_ms=watch.listed_ms,
        problem=said(watch.problem),
        refused=_is_refused(watch.problem),
    )


def _own(watch: AppWatch, one: Followed, clock: Clock, baseline: Baseline) -> Stream:
    rate = None if one.taken is None else baseline.rate(_key(watch, one), one.taken)
    return _stream(one, rate, clock)


def _replica(one: LogSubscription, clock: Clock, baseline: Baseline) -> ReplicaFacts:
    replica = one.replica
    return ReplicaFacts(
        app=str(replica.app),
        replica=replica.replica_id,
        streams=(_stream(one, baseline.rate(one.cursor.key, one.taken), clock),),
        cluster=replica.cluster_id,
        node=replica.node_name,
        restarts=replica.restart_count,
        started_ms=replica.started_ms or None,
    )


def _stream(one: Followed, rate: float | None, clock: Clock) -> Stream:
    return Stream(
        kind=one.kind.value,
        state=one.state.value if one.state is not None else State.OPENING.value,
        since_ms=clock.ms(one.since),
        newest_ms=one.newest_ms,
        heard_ms=clock.ms(one.last_data) if one.last_data else None,
        taken=one.taken,
        rate=rate,
        reconnects=max(0, one.attempts - 1),
        reason=said(one.ended, well="ended in good order"),
        build=_build_of(one),
    )


def _key(watch: AppWatch, one: Followed) -> str:
    return f"{one.kind} {watch.app} {_build_of(one)}"


def _build_of(one: Followed) -> str:
    return one.build_id if isinstance(one, BuildReader) else ""


def said(status: Status | None, *, well: str = "") -> str:
    """An answer of the platform in words; nothing where there was none."""
    if status is None:
        return ""
    return well if status.code is Code.OK else str(status)


def _is_refused(status: Status | None) -> bool:
    return status is not None and status.action in _REFUSED
