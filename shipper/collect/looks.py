"""Looks at a replica's lines where the platform has no stream of them: GetAppLogs, again and again.

A pod that goes takes with it what it printed after the last look, and a page holds only so many lines: both are gaps.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from shipper.backoff import Backoff
from shipper.collect.context import Context
from shipper.collect.offers import REFUSED, Denials
from shipper.collect.recent import CALL, WITHOUT, RecentLines
from shipper.collect.states import State
from shipper.ignite.status import OK, Action, CallFailed, Status

log = logging.getLogger("shipper.collect")

EVERY_S: Final = 5.0
AT_LEAST_EVERY_S: Final = 20.0  # of a replica that prints nothing
AT_MOST_EVERY_S: Final = 1.0
PAGE: Final = 1000
"""Lines of an answer by default, says https://docs.dodil.io/ignite/compute/api-reference/observability."""
LEAVING_EVERY_S: Final = 2.0  # of a replica that is being stopped


@dataclass(frozen=True, slots=True)
class Look:
    """What became of a look. `wait_s` is until the next one; `shown` says that there were lines, `new` that some were
    new.
    """

    state: State
    wait_s: float
    status: Status = OK
    shown: bool = False
    new: bool = False

    @property
    def gone(self) -> bool:
        """Whether the replica may not be there any more."""
        return self.status.action in (Action.GONE, Action.STOP)


@dataclass(slots=True, eq=False)
class Looks:
    """One replica's."""

    recent: RecentLines
    context: Context
    _wait_s: float = EVERY_S
    _looked_at: float = 0.0
    _parked: bool = False
    _denials: Denials = field(default_factory=Denials)
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = self.context.backoff()

    async def look(self) -> Look:
        """Take what is new."""
        offers, app = self.context.offers, self.recent.taker.replica.app
        if off_s := offers.claim(CALL, app):
            return Look(State.PARKED, off_s)
        await self.context.intake.admit()
        try:
            page = await self.recent.page()
        except CallFailed as error:
            return self._failed(error.status)
        offers.grant(CALL, app)
        self._denials.answered()
        self._backoff.reset()
        self._parked = False
        shown, new = len(page.chunk.times), self.recent.take(page, last=False)
        self._wait_s = self._until_next(shown if page.truncated else max(shown, PAGE), new)
        return Look(State.LIVE, self._wait_s, shown=shown > 0, new=new > 0)

    def _until_next(self, page: int, new: int) -> float:
        """Soon enough for a page to be half full: it must reach back to this one."""
        now = asyncio.get_running_loop().time()
        since, self._looked_at = now - self._looked_at, now
        if not new:
            return min(max(2 * self._wait_s, EVERY_S), AT_LEAST_EVERY_S)
        return min(max(since * page / 2 / new, AT_MOST_EVERY_S), EVERY_S)

    def _failed(self, status: Status) -> Look:
        replica = self.recent.taker.replica
        if status.action is Action.STOP:
            if not self._denials.believe(status):
                return Look(State.WAITING, EVERY_S, status)
            return Look(State.PARKED, self.context.offers.refuse(CALL, replica.app, status, WITHOUT), status)
        wait = self.context.wait_for(status, self._backoff)
        if status.action not in REFUSED:
            return Look(State.WAITING, wait, status)
        if not self._parked:
            self._parked = True
            log.error(
                "recent lines refused, tried again each minute: %s",
                status,
                extra={"app": str(replica.app), "replica": replica.replica_id},
            )
        return Look(State.PARKED, wait, status)
