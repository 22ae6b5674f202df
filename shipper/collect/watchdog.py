"""Finds streams that are open and dead: no data comes while the replica goes on printing.

A silent stream is not a dead one. One that has been quieter than its own habit is compared with GetAppLogs,
and it is replaced only if that shows lines which the stream did not bring, also not a moment later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from shipper.collect.context import Context
from shipper.collect.fingerprint import fingerprints
from shipper.collect.pages import readable
from shipper.collect.recent import CALL, WITHOUT
from shipper.collect.states import State
from shipper.collect.subscription import SETTLED, LogSubscription
from shipper.ignite.status import Action, CallFailed

log = logging.getLogger("shipper.collect")

SCAN_EVERY_S: Final = 2.0
QUIET_S: Final = 20.0  # with the check and its grace, a stream that spoke is replaced within half a minute
CHECK_EVERY_S: Final = 35.0  # of a replica that stays silent: well within a minute with all that comes on top
FEW_LINES: Final = 100
SETTLE_S: Final = 10.0  # a stream of a replica that is gone brings its last lines within that, or never
LINGER_S: Final = 300.0  # no pod takes longer to stop: then the log of one that is gone is just still there
GRACE_S: Final = 3.0  # lines printed just before the check are still on their way
AT_ONCE: Final = 16  # checks in flight: thousands of silent replicas must not become a burst


@dataclass(slots=True)
class Watchdog:
    """One task for all log subscriptions of a collector. `subscriptions` lists them at the time of asking."""

    context: Context
    subscriptions: Callable[[], Iterable[LogSubscription]]
    quiet_s: float = QUIET_S
    check_every_s: float = CHECK_EVERY_S
    grace_s: float = GRACE_S
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    _checking: set[LogSubscription] = field(default_factory=set)

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            while True:
                held_back = self.context.intake.holding  # then it is we who do not read
                for subscription in [] if held_back else list(self.subscriptions()):
                    if self._settled(subscription, loop.time()):
                        subscription.replace(SETTLED)
                    elif self._due(subscription, loop.time()):
                        self._checking.add(subscription)
                        tasks.create_task(
                            self._check(subscription), name=f"check {subscription.replica.replica_id}"
                        )
                await asyncio.sleep(SCAN_EVERY_S)

    def _settled(self, subscription: LogSubscription, now: float) -> bool:
        """Whether the stream of a replica that is gone has brought what it will bring. A pod that is being stopped
        may be silent for a while before its last words: as long as its log can be asked for, it is not gone.
        """
        if not subscription.leaving or not subscription.streaming or subscription in self._checking:
            return False
        settle_s = SETTLE_S if subscription.unreadable else LINGER_S
        return now - max(subscription.last_data, subscription.left_at) > settle_s

    def _due(self, subscription: LogSubscription, now: float) -> bool:
        if not subscription.streaming or subscription in self._checking:
            return False
        quiet, unchecked = now - subscription.last_data, now - subscription.checked_at
        if subscription.leaving:
            just_left = subscription.checked_at < subscription.left_at
            return (
                quiet > self.grace_s and not subscription.unreadable and (just_left or unchecked > SETTLE_S)
            )
        return quiet > self.quiet_s and unchecked > self.check_every_s

    async def _check(self, subscription: LogSubscription) -> None:
        try:
            async with self._slots:
                attempt, received = subscription.attempts, subscription.taker.received
                missing = await self._missing(subscription)
            if missing:
                await asyncio.sleep(self.grace_s)
                if (
                    subscription.attempts == attempt
                    and subscription.taker.received == received
                    and not self.context.intake.holding
                ):
                    self._replace(subscription, missing)
        finally:
            self._checking.discard(subscription)

    async def _missing(self, subscription: LogSubscription) -> int:
        """How many lines GetAppLogs shows that the stream did not bring; 0 where it cannot be asked."""
        offers, app = self.context.offers, subscription.replica.app
        if offers.claim(CALL, app):
            self._unreadable(subscription)
            return 0
        try:
            missing = await self._compare(subscription, FEW_LINES)
            if missing is None:
                missing = await self._compare(subscription, 0)
        except CallFailed as error:
            if error.status.action in (Action.PARK, Action.STOP):
                self._unreadable(subscription)
            else:
                subscription.unreadable = error.status.action is Action.GONE
            if error.status.action is Action.STOP and error.status.genuine:
                offers.refuse(CALL, app, error.status, WITHOUT)
            log.debug(
                "silent stream could not be checked: %s",
                error,
                extra={"replica": subscription.replica.replica_id},
            )
            return 0
        offers.grant(CALL, app)
        subscription.checked_at = asyncio.get_running_loop().time()
        if missing == 0:
            subscription.verified()
        return missing or 0

    def _unreadable(self, subscription: LogSubscription) -> None:
        """It cannot be asked, nor a moment later."""
        subscription.unreadable = True
        subscription.checked_at = asyncio.get_running_loop().time()

    async def _compare(self, subscription: LogSubscription, limit: int) -> int | None:
        """How many of the newest lines were not taken; None where the answer does not tell. Which end a limit cuts
        is not documented, and an empty answer may mean a container that said nothing yet, or a pod that is gone.
        """
        replica, window = subscription.replica, subscription.cursor.window
        page = await self.context.platform.get_logs(replica.app, replica.replica_id, limit)
        chunk = readable(page.chunk, window)
        prints = fingerprints(chunk.times, chunk.streams, chunk.lines)
        missing = window.misses(chunk.times, prints)
        if not missing and window.last is not None and window.last not in prints:
            return None if page.truncated or not prints else 0
        return missing

    def _replace(self, subscription: LogSubscription, missing: int) -> None:
        log.warning(
            "log stream is open but dead: replaced",
            extra={
                "app": str(subscription.replica.app),
                "replica": subscription.replica.replica_id,
                "missing": missing,
            },
        )
        subscription.replace("starved" if subscription.state is State.OPENING else "half_open")
