"""The organization's builds, as ListBuilds shows them: asked for once for all apps, again and again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from shipper.backoff import Backoff
from shipper.collect.build_reader import RETENTION_MS, Access
from shipper.collect.context import Context
from shipper.collect.offers import REFUSED
from shipper.ignite.port import Build
from shipper.ignite.status import CallFailed
from shipper.model import App

log = logging.getLogger("shipper.collect")

RUNNING: Final = frozenset(("PENDING", "RUNNING"))
_CALL: Final = "ListBuilds"


@dataclass(slots=True)
class BuildList:
    """The newest listing, by build_id, and the ids that the configuration names, by app. `ready` is set when ListBuilds
    was answered or refused once; it is not asked while not `wanted`.
    """

    context: Context
    access: Access
    every_s: float
    named: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _rows: dict[str, Build] = field(default_factory=dict)
    _nameless: bool = False
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = self.context.backoff()

    def running(self, build_id: str) -> bool | None:
        """Whether a build is still under way, None where the list does not say."""
        row = self._rows.get(build_id)
        return None if row is None or row.status is None else row.status in RUNNING

    def ended(self, app: App, now_ms: int) -> Iterator[tuple[Build, bool]]:
        """Builds that have ended and may be this app's, and whether they say so: a build has a name of its own, which
        often is the app's. Those from before the platform's days are left out.
        """
        for row in self._rows.values():
            if row.status in RUNNING or 0 < row.created_ms < now_ms - RETENTION_MS:
                continue
            if row.app_name:
                if row.app_name in (app.name, str(app)):
                    yield row, True
            elif row.name == app.name:
                yield row, False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.wanted.wait()
            try:
                rows = await self.access.builds.list_builds()
            except CallFailed as error:
                wait = self._failed(error)
            else:
                self.context.offers.grant(_CALL, None)
                self._backoff.reset()
                self._take(rows)
                wait = self.every_s * self.context.rng.uniform(0.8, 1.2)
            self.ready.set()
            await asyncio.sleep(wait)

    def _take(self, rows: list[Build]) -> None:
        self._rows = {row.build_id: row for row in rows if row.build_id}
        nameless = sum(not row.app_name for row in rows)
        if nameless and not self._nameless:
            self._nameless = True
            log.info(
                "ListBuilds does not say whose builds they are: those named like an app are tried, for others name "
                "their ids in collect.build_ids",
                extra={"builds": nameless},
            )

    def _failed(self, error: CallFailed) -> float:
        status = error.status
        if status.action in REFUSED:
            return self.context.offers.refuse(
                _CALL, None, status, "image builds are read if something names them"
            )
        return max(self.every_s, self.context.wait_for(status, self._backoff))
