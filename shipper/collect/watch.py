"""One app: its listing, its events, and a log subscription for each of its replicas."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from shipper.backoff import Backoff
from shipper.collect.builds import AppBuilds
from shipper.collect.closed import Closed, split
from shipper.collect.context import Context
from shipper.collect.cursor import Cursor
from shipper.collect.events import EventSubscription
from shipper.collect.keys import cursor_key
from shipper.collect.ledger import EventLedger
from shipper.collect.states import Followed
from shipper.collect.subscription import LogSubscription
from shipper.collect.taker import Taker
from shipper.collect.unseen import Unseen, is_owner
from shipper.ignite.status import Action, CallFailed, Code, Status
from shipper.model import App, GapReason, Kind, Replica, StoredCursor

log = logging.getLogger("shipper.collect")

BETWEEN_POLLS_S: Final = 0.2  # a burst of events asks for one listing, not for hundreds
BLIND_S: Final = 30.0  # a container takes as long to crash, start again and go; polls are more frequent
_BLIND_POLLS: Final = 3  # where they are not


@dataclass(slots=True, eq=False)
class AppWatch:
    """Polls the replicas of one app and keeps their subscriptions. `cursors` are the app's of an earlier run."""

    app: App
    context: Context
    cursors: Sequence[StoredCursor]
    poll_interval_s: float
    follow_logs: bool = True
    follow_events: bool = True
    follow_builds: bool = False
    builds: AppBuilds | None = None  # needed to follow builds
    subscriptions: dict[str, LogSubscription] = field(default_factory=dict)
    problem: Status | None = None  # why the last listing failed
    _events: EventSubscription | None = None
    _following: asyncio.Task[None] | None = None  # the task of `_events`
    _building: asyncio.Task[None] | None = None  # the task of `builds`
    _reading: dict[str, asyncio.Task[None]] = field(default_factory=dict)  # the tasks of `subscriptions`
    _paused: dict[str, Cursor] = field(default_factory=dict)
    _left_open: dict[str, StoredCursor] = field(init=False)
    _closed: Closed = field(init=False)
    _ledger: EventLedger = field(init=False)
    _backoff: Backoff = field(init=False)
    _listed: frozenset[str] = frozenset()
    _listed_ms: int | None = None
    _listed_at: float | None = None  # of the loop's clock, by this run
    _unseen: Unseen = field(default_factory=Unseen)
    _nudge: asyncio.Event = field(default_factory=asyncio.Event)
    _polled: asyncio.Event = field(default_factory=asyncio.Event)
    _missing: bool = False
    _ended: bool = False
    _parked: bool = False

    def __post_init__(self) -> None:
        self._backoff = self.context.backoff()
        self._listed_ms = max((cursor.updated_ms for cursor in self.cursors), default=None)
        self._left_open, self._closed, ledger = split(self.cursors, self.app)
        self._ledger = (
            EventLedger(cursor_key(Kind.EVENTS, self.app)) if ledger is None else EventLedger.load(ledger)
        )
        self.cursors = ()

    # ---- from outside ----

    def follow(self, poll_interval_s: float, *, logs: bool, events: bool, builds: bool = False) -> None:
        """Follow this from now on, and list the replicas so often. What goes on is left alone."""
        self.poll_interval_s = poll_interval_s
        self.follow_logs, self.follow_events, self.follow_builds = logs, events, builds
        self._nudge.set()

    def leave(self) -> None:
        """The app itself seems to be gone: as soon as no replica of it is listed or read, `run` returns."""
        self._missing = True
        self._nudge.set()

    def stay(self) -> None:
        """The app is there."""
        self._missing = False

    async def look(self) -> None:
        """Poll at once and return after it."""
        if not self._ended:
            polled = self._polled
            self._nudge.set()
            await polled.wait()

    def lines_name(self, replica_ids: frozenset[str]) -> None:
        """Lines name replicas: whoever prints will be listed."""
        for replica_id in replica_ids:
            if not self._knows(replica_id):
                self._nudge.set()

    def event_names(self, replica_id: str, timestamp_ms: int, ours: bool) -> None:
        """An event names a replica: if it is not listed, poll at once. If it happened while this app was followed
        (`ours`), remember to ask what became of it.
        """
        subscription = self.subscriptions.get(replica_id)
        if subscription is not None:
            if subscription.waiting:  # its container may have been started again
                self._nudge.set()
        elif not self._knows(replica_id) and not is_owner(replica_id, (self.app.name + "-", *self._listed)):
            if ours:
                self._unseen.name(replica_id, timestamp_ms, asyncio.get_running_loop().time())
            self._nudge.set()

    def followed(self) -> Iterator[Followed]:
        """The subscriptions of the app itself, beside those of its replicas."""
        if self._events is not None:
            yield self._events
        if self.builds is not None:
            yield from self.builds.readers.values()

    @property
    def listed_ms(self) -> int | None:
        """When its replicas were last listed, also by an earlier run."""
        return self._listed_ms

    @property
    def listed(self) -> int:
        """How many replicas the last listing showed."""
        return len(self._listed)

    def remains(self) -> list[StoredCursor]:
        """What is still to be known of the app after `run` has returned: the cursors for its next watch."""
        writes = [*(cursor.whole() for cursor in self._paused.values()), self._ledger.write()]
        now_ms = self.context.now_ms()
        open_ = [StoredCursor(write.key, write.state, write.segments, now_ms) for write in writes]
        builds = [] if self.builds is None else self.builds.remains()
        return [*self._closed.stored(), *self._left_open.values(), *open_, *builds]

    def _knows(self, replica_id: str) -> bool:
        return (
            not replica_id
            or replica_id in self._listed
            or replica_id in self.subscriptions
            or replica_id in self._closed
            or replica_id in self._left_open
            or replica_id in self._paused
        )

    # ---- life ----

    async def run(self) -> None:
        """Until the app is gone and its replicas are read to their ends."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while not (self._missing and not self._listed and not self.subscriptions):
                    await self._heed(tasks)
                    wait = await self._poll(tasks)
                    self._polled.set()
                    self._polled = asyncio.Event()
                    await self._until_next_poll(wait)
                self._ended = True
                for task in (self._following, self._building):
                    if task is not None:
                        task.cancel()
        finally:
            self._polled.set()
            self.context.meter.forget("replicas", str(self.app))

    async def _heed(self, tasks: asyncio.TaskGroup) -> None:
        """Start and end what `follow` has asked for. What was taken by then stays known."""
        ended: set[asyncio.Task[None]] = set()
        if self.follow_events and self._following is None:
            heard = None if self.builds is None else self.builds.hear
            self._events = EventSubscription(self.app, self._ledger, self.context, self.event_names, heard)
            self._following = tasks.create_task(self._events.run(), name=f"events {self.app}")
        elif not self.follow_events and self._following is not None:
            ended.add(self._following)
            self._events = self._following = None
        if self.follow_builds and self._building is None and self.builds is not None:
            self._building = tasks.create_task(self.builds.run(), name=f"builds of {self.app}")
        elif not self.follow_builds and self._building is not None:
            ended.add(self._building)
            self._building = None
        if not self.follow_logs:
            self._paused |= {name: one.cursor for name, one in self.subscriptions.items()}
            ended |= set(self._reading.values())
        for task in ended:
            task.cancel()
        if ended:
            await asyncio.wait(ended)

    async def _until_next_poll(self, wait: float) -> None:
        await asyncio.sleep(min(BETWEEN_POLLS_S, wait))
        try:
            async with asyncio.timeout(wait - BETWEEN_POLLS_S):
                await self._nudge.wait()
        except TimeoutError:
            pass
        self._nudge.clear()

    async def _poll(self, tasks: asyncio.TaskGroup) -> float:
        """List once and act on it; seconds until the next poll."""
        began = asyncio.get_running_loop().time()
        try:
            replicas = await self.context.platform.list_replicas(self.app)
        except CallFailed as error:
            if error.status.code is not Code.NOT_FOUND:
                return self._poll_failed(error, tasks)
            replicas = []  # the app is gone, and its replicas with it
        self.context.meter.observe("poll_seconds", asyncio.get_running_loop().time() - began)
        self.context.meter.count("polls_total", 1, "ok")
        if self._parked:
            log.info("listing works again", extra={"app": str(self.app)})
        self._parked, self.problem = False, None
        self._backoff.reset()
        self._reconcile(replicas, tasks)
        return self.poll_interval_s * self.context.rng.uniform(0.8, 1.2)

    def _poll_failed(self, error: CallFailed, tasks: asyncio.TaskGroup) -> float:
        parks = error.status.action in (Action.PARK, Action.STOP)
        self.problem = error.status
        self.context.meter.count("polls_total", 1, "denied" if parks else "failed")
        if parks and not self._parked:
            log.error(
                "app cannot be listed, tried again each minute: %s (check the service account's role on this app)",
                error.status,
                extra={"app": str(self.app)},
            )
        elif not parks:
            log.warning("listing failed, tried again: %s", error.status, extra={"app": str(self.app)})
        self._parked = parks
        if parks and self._missing:  # an app that was taken from us
            self._reconcile((), tasks)
        wait = self.context.wait_for(error.status, self._backoff)
        return wait if parks else min(wait, self.poll_interval_s)

    # ---- reconciling ----

    def _reconcile(self, replicas: Iterable[Replica], tasks: asyncio.TaskGroup) -> None:
        """Start what is new, update what is there, let go of what is not."""
        listed = {replica.replica_id: replica for replica in replicas if replica.replica_id}
        self.context.meter.level("replicas", len(listed), str(self.app))
        if self.follow_logs:
            for replica_id, replica in listed.items():
                subscription = self.subscriptions.get(replica_id)
                if subscription is not None:
                    subscription.update(replica)
                else:
                    self._subscribe(replica, tasks)
            blind = self._was_blind()
            for replica_id, subscription in self.subscriptions.items():
                if replica_id not in listed and not subscription.leaving:
                    subscription.leave(blind=blind)
            self._finish_left_open(tasks)
            self._unseen.listed(listed)
            self._report_unseen()
        self._listed = frozenset(listed)
        self._listed_ms, self._listed_at = self.context.now_ms(), asyncio.get_running_loop().time()
        for cursor in self._closed.tidy(self._listed_ms):
            self.context.intake.touch(cursor)

    def _was_blind(self) -> bool:
        """Whether the listing before this one is so old that a container may have come and gone in between."""
        if self._listed_at is None:
            return False
        age_s = asyncio.get_running_loop().time() - self._listed_at
        return age_s > max(BLIND_S, _BLIND_POLLS * self.poll_interval_s)

    def _subscribe(self, replica: Replica, tasks: asyncio.TaskGroup) -> None:
        """Follow a listed replica; its cursor is stored at once, so that a later run knows of it."""
        cursor = self._paused.pop(replica.replica_id, None)
        left_open = self._left_open.pop(replica.replica_id, None)
        if cursor is None:
            cursor = self._closed.reopen(replica.replica_id) if left_open is None else Cursor.load(left_open)
        if cursor is None:
            cursor = self._new_cursor(replica)
        cursor.closed = False
        self.context.intake.touch(cursor)
        self._start(LogSubscription(Taker(replica, cursor, self.context), self.context, self), tasks)

    def _new_cursor(self, replica: Replica) -> Cursor:
        """A replica that was never seen. If its container restarted since the last listing, also of an earlier
        run, one was missed.
        """
        if replica.restart_count and self._listed_ms is not None:
            stale_ms = int(2000 * self.poll_interval_s)  # that last listing may have been
            self.context.intake.gap(
                self.app,
                GapReason.RESTARTED,
                self._unseen.since(replica.replica_id, self._listed_ms - stale_ms),
                replica_id=replica.replica_id,
                detail="the container had restarted before a listing showed this replica",
            )
        key = cursor_key(Kind.LOGS, self.app, replica.replica_id)
        return Cursor(key, restart_count=replica.restart_count, started_ms=replica.started_ms)

    def _finish_left_open(self, tasks: asyncio.TaskGroup) -> None:
        """Replicas that an earlier run left open and that are not listed any more: read what can still be had."""
        left_open = {name: Cursor.load(stored) for name, stored in self._left_open.items()} | self._paused
        self._left_open, self._paused = {}, {}
        for replica_id, cursor in left_open.items():
            cursor.clean = False  # nobody knows what was printed since
            replica = Replica(
                self.app, replica_id, restart_count=cursor.restart_count, started_ms=cursor.started_ms
            )
            subscription = LogSubscription(Taker(replica, cursor, self.context), self.context, self)
            subscription.leave()
            self._start(subscription, tasks)

    def _start(self, subscription: LogSubscription, tasks: asyncio.TaskGroup) -> None:
        replica_id = subscription.replica.replica_id
        self.subscriptions[replica_id] = subscription
        self._reading[replica_id] = tasks.create_task(self._hold(subscription), name=f"logs {replica_id}")

    async def _hold(self, subscription: LogSubscription) -> None:
        replica_id = subscription.replica.replica_id
        try:
            await subscription.run()
        finally:
            del self.subscriptions[replica_id], self._reading[replica_id]
        self._closed.close(replica_id, subscription.cursor, self.context.now_ms())
        if self._missing:
            self._nudge.set()

    def _report_unseen(self) -> None:
        """What only events named, and no listing in time, was a replica whose lines nobody could read."""
        for replica_id, timestamp_ms in self._unseen.overdue(asyncio.get_running_loop().time()):
            self.context.intake.touch(self._closed.seen(replica_id, self.context.now_ms()))
            self.context.intake.gap(
                self.app,
                GapReason.REPLICA_UNSEEN,
                timestamp_ms,  # until now: nobody knows for how long it printed
                replica_id=replica_id,
                detail="an event names this replica, but it was gone before a listing showed it",
            )
