"""All apps: which there are, one watch for each, and the watchdog over their streams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from shipper.backoff import Backoff
from shipper.collect.build_list import BuildList
from shipper.collect.build_reader import Access
from shipper.collect.builds import AppBuilds
from shipper.collect.context import Context
from shipper.collect.keys import parse_key
from shipper.collect.subscription import LogSubscription
from shipper.collect.watch import AppWatch
from shipper.collect.watchdog import Watchdog
from shipper.ignite.advice import advised
from shipper.ignite.status import Action, CallFailed, Status
from shipper.model import App, Kind, StoredCursor

log = logging.getLogger("shipper.collect")

MISSED_LISTINGS: Final = (
    3  # an app must be missing from that many answers in a row: one empty answer ends nothing
)
DRAIN_QUIET_S: Final = 0.2
DRAIN_AT_MOST_S: Final = 3.0
_DRAIN_STEP_S: Final = 0.01  # a sleep of next to nothing may end before the clock has moved
BUILDS_EVERY: Final = 3  # listings: builds take a minute, and what they print can be had later
NONE_NAMED: Final[Mapping[str, Sequence[str]]] = MappingProxyType({})
_GLOB: Final = frozenset("*?[")

Stored = Callable[[], Awaitable[Sequence[StoredCursor]]]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which apps of an organization: globs and exact names, less what is excluded. Case matters."""

    organization: str
    include: Sequence[str] = ("*",)
    exclude: Sequence[str] = ()

    @property
    def needs_listing(self) -> bool:
        return any(_GLOB & set(pattern) for pattern in self.include)

    def exact(self) -> set[str]:
        """Names that need no ListApps."""
        return {name for name in self.include if not _GLOB & set(name) and not self._excluded(name)}

    def choose(self, names: Sequence[str]) -> set[str]:
        """Of all apps, the ones to watch."""
        return {
            name
            for name in names
            if any(fnmatchcase(name, pattern) for pattern in self.include) and not self._excluded(name)
        }

    def takes(self, name: str) -> bool:
        """Whether an app of this name is one of them."""
        return bool(self.choose([name]))

    def _excluded(self, name: str) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in self.exclude)


@dataclass(slots=True)
class Collector:
    """Collects everything that is selected. `run` is one task; cancel it to stop at once, `drain` to stop in
    order. `cursors` are those of an earlier run; `stored` reads them again when all that was taken is committed.
    """

    selection: Selection
    context: Context
    poll_interval_s: float
    follow_logs: bool = True
    follow_events: bool = True
    follow_builds: bool = False
    named_builds: Mapping[str, Sequence[str]] = field(default_factory=dict)
    cursors: Sequence[StoredCursor] = ()
    stored: Stored | None = None
    watches: dict[str, AppWatch] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    problem: Status | None = None  # why the last listing of apps failed
    _stored: dict[App, list[StoredCursor]] = field(default_factory=dict)
    _missed: dict[str, int] = field(default_factory=dict)
    _holding: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _selected: asyncio.Event = field(default_factory=asyncio.Event)
    _listing_failed: bool = False
    _build_list: BuildList | None = None
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = self.context.backoff()
        if self.context.builds is not None:
            self._build_list = BuildList(self.context, Access(self.context.builds), self.poll_interval_s)
        self._heed_builds()
        for cursor in self.cursors:
            self._stored.setdefault(parse_key(cursor.key)[1], []).append(cursor)
        self.cursors = ()

    def subscriptions(self) -> Iterator[LogSubscription]:
        """Every log subscription of every app."""
        for watch in self.watches.values():
            yield from watch.subscriptions.values()

    def select(
        self,
        selection: Selection,
        poll_interval_s: float,
        *,
        follow_logs: bool,
        follow_events: bool,
        follow_builds: bool = False,
        named_builds: Mapping[str, Sequence[str]] = NONE_NAMED,
    ) -> None:
        """Collect this of the same organization from now on. Subscriptions that go on are left alone; those of an app
        that is no longer selected end, and its cursors stay for when it is selected again.
        """
        assert selection.organization == self.selection.organization
        self.selection = selection
        self.poll_interval_s = poll_interval_s
        self.follow_logs, self.follow_events, self.follow_builds = follow_logs, follow_events, follow_builds
        self.named_builds = named_builds
        self._heed_builds()
        self._selected.set()

    def _heed_builds(self) -> None:
        listing = self._build_list
        if listing is None:
            return
        listing.every_s, listing.named = BUILDS_EVERY * self.poll_interval_s, self.named_builds
        if self.follow_builds:
            listing.wanted.set()
        else:
            listing.wanted.clear()

    async def run(self) -> None:
        """Until cancelled, or until something says that going on would write garbage."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Watchdog(self.context, self.subscriptions).run(), name="watchdog")
            if self._build_list is not None:
                tasks.create_task(self._build_list.run(), name="list of builds")
            self._watch_named(tasks)
            wait: float | None = 0.0
            while True:
                if await self._selected_within(wait):
                    await self._reselect(tasks)
                    wait = 0.0
                elif self.selection.needs_listing:
                    wait = await self._list(tasks)
                else:
                    self.ready.set()
                    wait = None

    async def drain(self) -> None:
        """Return when the streams have brought what was on its way: all quiet for a moment, or
        DRAIN_AT_MOST_S over.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + DRAIN_AT_MOST_S
        while loop.time() < until:
            newest = max((item.last_data for item in self.subscriptions()), default=0.0)
            quiet = loop.time() - newest
            if quiet >= DRAIN_QUIET_S:
                return
            await asyncio.sleep(max(DRAIN_QUIET_S - quiet, _DRAIN_STEP_S))

    async def _list(self, tasks: asyncio.TaskGroup) -> float:
        try:
            names = await self.context.platform.list_apps()
        except CallFailed as error:
            return self._listing_refused(error)
        if self._listing_failed:
            log.info("listing apps works again")
        self._listing_failed, self.problem = False, None
        self._backoff.reset()
        wanted = self.selection.choose(names) | self.selection.exact()
        if not self.ready.is_set():
            wanted |= self.selection.choose(self._left_open())
        self._reconcile(wanted, tasks)
        self.ready.set()
        return self.poll_interval_s * self.context.rng.uniform(0.8, 1.2)

    def _left_open(self) -> list[str]:
        """Apps of an earlier run's cursors: if they are gone, their replicas still have to be closed."""
        return [app.name for app in self._stored if app.organization == self.selection.organization]

    def _listing_refused(self, error: CallFailed) -> float:
        if not self._listing_failed:
            hint = (
                " (apps.include with exact names works without ListApps)"
                if error.status.action in (Action.PARK, Action.STOP)
                else ""
            )
            log.error("apps cannot be listed, tried again: %s%s", advised(error.status), hint)
        self._listing_failed, self.problem = True, error.status
        return min(self.context.wait_for(error.status, self._backoff), self.context.parked_s)

    def _reconcile(self, wanted: set[str], tasks: asyncio.TaskGroup) -> None:
        for name in sorted(wanted - self.watches.keys()):
            self._watch(name, tasks)
        for name in wanted:
            if self._missed.pop(name, 0) >= MISSED_LISTINGS:
                self.watches[name].stay()
        for name in self.watches.keys() - wanted:
            self._missed[name] = self._missed.get(name, 0) + 1
            if self._missed[name] == MISSED_LISTINGS:
                log.info("app is gone", extra={"app": f"{self.selection.organization}/{name}"})
                self.watches[name].leave()

    # ---- another selection ----

    async def _selected_within(self, wait: float | None) -> bool:
        try:
            async with asyncio.timeout(wait):
                await self._selected.wait()
        except TimeoutError:
            return False
        return True

    async def _reselect(self, tasks: asyncio.TaskGroup) -> None:
        self._selected.clear()
        gone = [name for name in self.watches if not self.selection.takes(name)]
        for name in self.watches.keys() - set(gone):
            self.watches[name].follow(
                self.poll_interval_s,
                logs=self.follow_logs,
                events=self.follow_events,
                builds=self.follow_builds,
            )
        self._watch_named(tasks)
        if gone:
            await self._let_go(gone)

    def _watch_named(self, tasks: asyncio.TaskGroup) -> None:
        for name in sorted(self.selection.exact() - self.watches.keys()):
            self._watch(name, tasks)

    async def _let_go(self, names: Sequence[str]) -> None:
        """These are no longer selected. What they have taken is committed before their cursors are read."""
        ended = [self._holding[name] for name in names]
        for task in ended:
            task.cancel()
        await asyncio.wait(ended)
        for name in names:
            app = App(self.selection.organization, name)
            log.info("app is no longer selected", extra={"app": str(app)})
            self.watches.pop(name, None)
            self._missed.pop(name, None)
            self._stored[app] = []
        for cursor in await self.stored() if self.stored is not None else ():
            app = parse_key(cursor.key)[1]
            if app.organization == self.selection.organization and app.name in names:
                self._stored[app].append(cursor)

    # ---- one app ----

    def _watch(self, name: str, tasks: asyncio.TaskGroup) -> None:
        app = App(self.selection.organization, name)
        stored = self._stored.pop(app, ())
        ours = [cursor for cursor in stored if parse_key(cursor.key)[0] is Kind.BUILDS]
        listing = self._build_list
        watch = AppWatch(
            app,
            self.context,
            [cursor for cursor in stored if parse_key(cursor.key)[0] is not Kind.BUILDS],
            self.poll_interval_s,
            self.follow_logs,
            self.follow_events,
            self.follow_builds,
            None if listing is None else AppBuilds(app, self.context, listing, ours),
        )
        self.watches[name] = watch
        log.info("watching app", extra={"app": str(app)})
        self._holding[name] = tasks.create_task(self._hold(name, watch), name=f"app {app}")

    async def _hold(self, name: str, watch: AppWatch) -> None:
        try:
            await watch.run()
        finally:
            del self._holding[name]
        del self.watches[name]
        self._missed.pop(name, None)
        self._stored[watch.app] = watch.remains()
