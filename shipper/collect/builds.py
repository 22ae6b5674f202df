"""What the builds and compiles of one app print: which there are, and a reader for each that is not read yet.

There is no call that lists an app's builds. GetDraftInfo names the app's newest compile; ListBuilds the organization's
image builds; people may name ids in the configuration, and the platform does in the text of events.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from shipper.backoff import Backoff
from shipper.collect.build_cursor import BuildCursor, Source
from shipper.collect.build_list import BuildList
from shipper.collect.build_reader import BuildReader
from shipper.collect.context import Context
from shipper.collect.keys import Forgotten, cursor_key, parse_key
from shipper.collect.offers import REFUSED
from shipper.collect.output import OutputTaker
from shipper.ignite.status import CallFailed
from shipper.model import App, Kind, StoredCursor

log = logging.getLogger("shipper.collect")

KEPT_MS: Final = 7 * 24 * 3_600_000  # after nothing named a build any more; its log is gone by then
_DRAFT: Final = "GetDraftInfo"
# As on https://docs.dodil.io/ignite/compute/api-reference/observability (bld_01HZX9); letters and digits are those of a
# ULID. Anything looser would find ids in what people write.
_IN_TEXT: Final = re.compile(r"(?<![0-9A-Za-z_])bld_[0-9A-HJKMNP-TV-Z]{6,26}(?![0-9A-Za-z_])")


@dataclass(slots=True, eq=False)
class AppBuilds:
    """Finds and reads the builds of one app. `cursors` are those of an earlier run."""

    app: App
    context: Context
    listing: BuildList
    cursors: Sequence[StoredCursor] = ()
    readers: dict[str, BuildReader] = field(default_factory=dict)
    _known: dict[str, BuildCursor] = field(default_factory=dict)
    _new: asyncio.Event = field(default_factory=asyncio.Event)
    _backoff: Backoff = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = self.context.backoff()
        for stored in self.cursors:
            build_id = parse_key(stored.key)[2]
            self._known[build_id] = BuildCursor.load(stored, build_id)
        self.cursors = ()

    def hear(self, message: str) -> None:
        """The text of an event, which may name a build."""
        for build_id in _IN_TEXT.findall(message) if "bld_" in message else ():
            self._note(build_id, Source.BUILD, 0, certain=False)

    def remains(self) -> list[StoredCursor]:
        """What is still to be known when `run` has ended."""
        now = self.context.now_ms()
        writes = [cursor.write() for cursor in self._known.values()]
        return [StoredCursor(write.key, write.state, (), now) for write in writes]

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_for_drafts(), name=f"draft of {self.app}")
            tasks.create_task(self._look_for_builds(), name=f"builds of {self.app}")
            while True:
                self._new.clear()
                for cursor in self._to_read():
                    reader = BuildReader(
                        OutputTaker(self.app, cursor, self.context),
                        self.context,
                        self.listing.access,
                        self.listing.running,
                    )
                    self.readers[cursor.build_id] = reader
                    tasks.create_task(self._hold(reader), name=f"build {cursor.build_id}")
                await self._new.wait()

    def _to_read(self) -> Iterator[BuildCursor]:
        for build_id, cursor in self._known.items():
            if not cursor.closed and build_id not in self.readers:
                yield cursor

    async def _hold(self, reader: BuildReader) -> None:
        try:
            await reader.run()
        finally:
            del self.readers[reader.build_id]

    # ---- finding ----

    async def _look_for_drafts(self) -> None:
        while True:
            try:
                draft = await self.listing.access.builds.get_draft(self.app)
            except CallFailed as error:
                wait = self._refused(error)
            else:
                self.context.offers.grant(_DRAFT, self.app)
                self._backoff.reset()
                if draft.deploy_id:
                    code = not draft.image_ref  # an image is not compiled
                    self._note(draft.deploy_id, Source.COMPILE, draft.created_ms, certain=code)
                wait = self._next_look()
            await asyncio.sleep(wait)

    async def _look_for_builds(self) -> None:
        await self.listing.ready.wait()
        while True:
            now = self.context.now_ms()
            for row, certain in self.listing.ended(self.app, now):
                self._note(row.build_id, Source.BUILD, row.created_ms, certain=certain)
            for build_id in self.listing.named.get(self.app.name, ()):
                self._note(build_id, Source.BUILD, 0, certain=True)
            self._forget(now)
            await asyncio.sleep(self._next_look())

    def _next_look(self) -> float:
        return self.listing.every_s * self.context.rng.uniform(0.8, 1.2)

    def _refused(self, error: CallFailed) -> float:
        if error.status.action in REFUSED:
            without = "compiles are not found"
            return self.context.offers.refuse(_DRAFT, self.app, error.status, without)
        return max(self.listing.every_s, self.context.wait_for(error.status, self._backoff))

    def _note(self, build_id: str, source: Source, time_ms: int, *, certain: bool) -> None:
        """Something names a build: remember it, and that it is still named."""
        now = self.context.now_ms()
        cursor = self._known.get(build_id)
        if cursor is None:
            key = cursor_key(Kind.BUILDS, self.app, build_id)
            cursor = BuildCursor(key, build_id, source, time_ms or now, now, now, certain)
            self._known[build_id] = cursor
            self._new.set()
        elif cursor.confirm(time_ms, now, certain=certain):
            self._new.set()
        else:
            return
        self.context.intake.touch(cursor)

    def _forget(self, now_ms: int) -> None:
        for build_id, cursor in list(self._known.items()):
            if cursor.closed and now_ms - cursor.seen_ms > KEPT_MS:
                del self._known[build_id]
                self.context.intake.touch(Forgotten(cursor.key))
