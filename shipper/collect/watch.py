"""One app: its listing, its events, and a log subscription for each of its replicas."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import orjson

from shipper.backoff import Backoff
from shipper.collect.context import Context
from shipper.collect.cursor import Cursor
from shipper.collect.events import EventSubscription
from shipper.collect.ledger import EventLedger
from shipper.collect.subscription import LogSubscription
from shipper.ignite.status import Action, CallFailed, Code
from shipper.model import App, CursorWrite, GapReason, Kind, Replica, StoredCursor

log = logging.getLogger("shipper.collect")

BETWEEN_POLLS_S: Final = 0.2  # a burst of events asks for one listing, not for hundreds
UNSEEN_AFTER_S: Final = (
    120.0  # a replica that only events name may take that long to be listed: images are pulled first
)
CURSOR_KEPT_MS: Final = (
    24 * 3_600_000
)  # closed cursors stay a day, should a wrong listing show the replica again


def cursor_key(kind: Kind, app: App, replica_id: str = "") -> str:
    """Names a subscription in the buffer."""
    return orjson.dumps([kind.value, app.organization, app.name, replica_id]).decode()


def parse_key(key: str) -> tuple[Kind, App, str]:
    """The inverse of `cursor_key`."""
    kind, organization, name, replica_id = orjson.loads(key)
    return Kind(kind), App(organization, name), replica_id


@dataclass(frozen=True, slots=True)
class _Forgotten:
    """A cursor that the next commit removes."""

    key: str

    def write(self) -> CursorWrite:
        return CursorWrite(self.key, b"", delete=True)


@dataclass(slots=True, eq=False)
class AppWatch:
    """Polls the replicas of one app and keeps their subscriptions. `stored` are the app's cursors of an
    earlier run.
    """

    app: App
    context: Context
    stored: dict[str, StoredCursor]
    poll_interval_s: float
    follow_logs: bool = True
    follow_events: bool = True
    subscriptions: dict[str, LogSubscription] = field(default_factory=dict)
    _listed: set[str] = field(default_factory=set)
    _named: dict[str, tuple[float, int]] = field(default_factory=dict)
    _reported: set[str] = field(default_factory=set)
    _nudge: asyncio.Event = field(default_factory=asyncio.Event)
    _polled: asyncio.Event = field(default_factory=asyncio.Event)
    _gone: asyncio.Event = field(default_factory=asyncio.Event)
    _parked: bool = False
    _began_ms: int = 0
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = self.context.backoff()
        self._began_ms = self.context.now_ms()

    # ---- from outside ----

    def leave(self) -> None:
        """The app itself is gone: read its replicas to their ends, then `run` returns."""
        self._gone.set()
        self._nudge.set()

    async def look(self) -> None:
        """Poll at once and return after it."""
        polled = self._polled
        self._nudge.set()
        await polled.wait()

    # ---- life ----

    async def run(self) -> None:
        """Until the app is gone and its replicas are read to their ends."""
        async with asyncio.TaskGroup() as tasks:
            events = self._start_events(tasks)
            while not self._gone.is_set():
                wait = await self._poll(tasks)
                self._polled.set()
                self._polled = asyncio.Event()
                await self._until_next_poll(wait)
            for subscription in self.subscriptions.values():
                subscription.leave()
            if events is not None:
                events.cancel()
        self.context.meter.level("replicas", 0, str(self.app))

    def _start_events(self, tasks: asyncio.TaskGroup) -> asyncio.Task[None] | None:
        if not self.follow_events:
            return None
        key = cursor_key(Kind.EVENTS, self.app)
        stored = self.stored.pop(key, None)
        ledger = EventLedger(key) if stored is None else EventLedger.load(stored)
        subscription = EventSubscription(self.app, ledger, self.context, self._event_named)
        return tasks.create_task(subscription.run(), name=f"events {self.app}")

    async def _until_next_poll(self, wait: float) -> None:
        await asyncio.sleep(min(BETWEEN_POLLS_S, wait))
        try:
            async with asyncio.timeout(wait):
                await self._nudge.wait()
        except TimeoutError:
            pass
        self._nudge.clear()

    async def _poll(self, tasks: asyncio.TaskGroup) -> float:
        """List once and act on it; seconds until the next poll."""
        try:
            replicas = await self.context.platform.list_replicas(self.app)
        except CallFailed as error:
            if error.status.code is not Code.NOT_FOUND:
                return self._poll_failed(error)
            replicas = []  # the app is gone, and its replicas with it
        self.context.meter.count("polls_total", 1, "ok")
        if self._parked:
            log.info("listing works again", extra={"app": str(self.app)})
        self._parked = False
        self._backoff.reset()
        self._reconcile(replicas, tasks)
        return self.poll_interval_s * self.context.rng.uniform(0.8, 1.2)

    def _poll_failed(self, error: CallFailed) -> float:
        parks = error.status.action in (Action.PARK, Action.STOP)
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
        wait = self.context.wait_for(error.status, self._backoff)
        return wait if parks else min(wait, self.poll_interval_s)

    # ---- reconciling ----

    def _reconcile(self, replicas: Iterable[Replica], tasks: asyncio.TaskGroup) -> None:
        """Start what is new, update what is there, let go of what is not."""
        listed = {replica.replica_id: replica for replica in replicas if replica.replica_id}
        self._listed = set(listed)
        self.context.meter.level("replicas", len(listed), str(self.app))
        for replica_id, replica in listed.items():
            self._named.pop(replica_id, None)
            subscription = self.subscriptions.get(replica_id)
            if subscription is not None:
                subscription.update(replica)
            elif self.follow_logs:
                self._subscribe(replica, tasks)
        for replica_id, subscription in self.subscriptions.items():
            if replica_id not in listed and not subscription.leaving:
                subscription.leave()
        self._finish_stored(tasks)
        self._report_unseen()

    def _subscribe(self, replica: Replica, tasks: asyncio.TaskGroup, *, gone: bool = False) -> None:
        key = cursor_key(Kind.LOGS, self.app, replica.replica_id)
        stored = self.stored.pop(key, None)
        cursor = Cursor(key) if stored is None else Cursor.load(stored)
        cursor.closed = False
        subscription = LogSubscription(replica, cursor, self.context, self.look, self._lines_named)
        if gone:
            subscription.leave()
        else:
            self.context.intake.touch(cursor)
        self.subscriptions[replica.replica_id] = subscription
        tasks.create_task(self._hold(subscription), name=f"logs {replica.replica_id}")

    async def _hold(self, subscription: LogSubscription) -> None:
        try:
            await subscription.run()
        finally:
            replica_id = subscription.replica.replica_id
            if self.subscriptions.get(replica_id) is subscription:
                del self.subscriptions[replica_id]
        if subscription.cursor.closed:
            key = subscription.cursor.key
            write = subscription.cursor.whole()
            self.stored[key] = StoredCursor(key, write.state, write.segments, self.context.now_ms())

    def _finish_stored(self, tasks: asyncio.TaskGroup) -> None:
        """Replicas that an earlier run left open and that are not listed any more; cursors too old to matter."""
        floor = self.context.now_ms() - CURSOR_KEPT_MS
        for key, stored in list(self.stored.items()):
            kind, _, replica_id = parse_key(key)
            if kind is not Kind.LOGS or not self.follow_logs:
                continue
            cursor = Cursor.load(stored)
            if not cursor.closed:
                self._subscribe(
                    Replica(
                        self.app, replica_id, restart_count=cursor.restart_count, started_ms=cursor.started_ms
                    ),
                    tasks,
                    gone=True,
                )
            elif stored.updated_ms < floor:
                del self.stored[key]
                self.context.intake.touch(_Forgotten(key))

    # ---- replicas that nobody listed ----

    def _event_named(self, replica_id: str, timestamp_ms: int) -> None:
        self._name(replica_id, timestamp_ms)

    def _lines_named(self, replica_ids: frozenset[str]) -> None:
        for replica_id in replica_ids:
            self._name(replica_id, self.context.now_ms())

    def _name(self, replica_id: str, timestamp_ms: int) -> None:
        """Something names a replica: if it is not listed, poll at once and remember to ask what became of it."""
        if not replica_id or replica_id == self.app.name or replica_id in self._listed:
            return
        if replica_id in self.subscriptions or cursor_key(Kind.LOGS, self.app, replica_id) in self.stored:
            return
        if timestamp_ms >= self._began_ms and replica_id not in self._reported:
            self._named[replica_id] = (asyncio.get_running_loop().time(), timestamp_ms)
        self._nudge.set()

    def _report_unseen(self) -> None:
        """What only events named, and no listing in time, was a replica whose lines nobody could read."""
        if not self.follow_logs:
            return
        now = asyncio.get_running_loop().time()
        for replica_id, (named_at, timestamp_ms) in list(self._named.items()):
            if now - named_at < UNSEEN_AFTER_S:
                continue
            del self._named[replica_id]
            self._reported.add(replica_id)
            self.context.intake.gap(
                self.app,
                GapReason.REPLICA_UNSEEN,
                timestamp_ms,
                timestamp_ms,
                replica_id=replica_id,
                detail="an event names this replica, but it was gone before a listing showed it",
            )
