"""One replica's lines as GetAppLogs shows them: the last look at one that is gone, and looks in place of a stream.

Which end of a history a limit cuts off is not documented (https://docs.dodil.io/ignite/compute/api-reference/observability):
the first answer that was cut is compared with the answer to a limit of one line.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from shipper.collect.context import Context
from shipper.collect.pages import readable
from shipper.collect.taker import Taker
from shipper.ignite.port import LogPage
from shipper.ignite.status import CallFailed, Code

log = logging.getLogger("shipper.collect")

CALL: Final = "GetAppLogs"
WITHOUT: Final = "silent streams are not compared with it, and where there are no streams nothing is read"
MOST_LINES: Final = 10_000  # asked for; servers allow less


@dataclass(slots=True)
class RecentLines:
    """Each look is to the cursor what a short stream is: a replay that begins where the answer does."""

    taker: Taker
    context: Context
    _limit: int = MOST_LINES
    _lost_since: int | None = None  # the newest line, when lines after it were said to be lost

    async def page(self) -> LogPage:
        """As many lines as can be had. Raises CallFailed."""
        page = await self._ask(self._limit)
        if page.truncated and self.context.habits.pages_end_now is None:
            await self._learn(page)
        return page

    async def _ask(self, limit: int) -> LogPage:
        replica = self.taker.replica
        try:
            return await self.context.platform.get_logs(replica.app, replica.replica_id, limit)
        except CallFailed as error:
            if error.status.code is not Code.INVALID_ARGUMENT or limit != MOST_LINES:
                raise
            self._limit = 0
        return await self.context.platform.get_logs(replica.app, replica.replica_id, self._limit)

    async def _learn(self, page: LogPage) -> None:
        """Find out which end of a history a limit cuts."""
        times = page.chunk.times
        if not times or min(times) == max(times):
            return
        try:
            one = (await self._ask(1)).chunk.times
        except CallFailed:
            return
        ends_now = len(one) != 1 or one[0] > min(times)
        self.context.habits.pages_end_now = ends_now
        if not ends_now:
            log.error(
                "GetAppLogs gives only the beginning of a long history: what follows is had from streams alone"
            )

    def take(self, page: LogPage, *, last: bool) -> int:
        """Keep what is new, record what is missing; how many lines were new. `last`: nothing will show more."""
        cursor, taker, intake = self.taker.cursor, self.taker, self.context.intake
        chunk = readable(page.chunk, cursor.window)
        gaps, taken, since = intake.gaps, cursor.taken, cursor.newest
        taker.begin()
        taker.take(chunk)
        if last:
            taker.conclude()
        else:
            taker.end(ok=False, lasted_s=None)
        new = cursor.taken - taken
        if page.truncated:
            if self.context.habits.pages_end_now is False:
                self._cut_short(last=last)
            # What is missing between two looks shows in the cursor; before the first one only the answer says it.
            elif new == len(chunk.times) > 0 and intake.gaps == gaps and (last or since is None):
                taker.truncated(since, chunk.times[0])
        return new

    def _cut_short(self, *, last: bool) -> None:
        """Nobody shows what was printed after the newest line."""
        newest = self.taker.cursor.newest
        if newest is not None and (last or newest != self._lost_since):
            self._lost_since = newest
            self.taker.cut_short()
