"""`shipper ignite logs`: what replicas print."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final

from shipper.archive.codec import LogIdentity, encode_log_run
from shipper.ignite.port import LogChunk, Platform
from shipper.ignite.status import OK, Action, CallFailed, Code, Status
from shipper.inspect.quiet import until_quiet
from shipper.inspect.showing import Screen, moment, safe
from shipper.inspect.trouble import ended
from shipper.model import App, Replica

LOOK_EVERY_S: Final = 3.0  # for replicas that start
AGAIN_S: Final = 1.0
_HOPELESS: Final = (Action.PARK, Action.STOP)


@dataclass(slots=True)
class Logs:
    """The lines of an app's replicas, or of the one named `only`. Each method raises CallFailed."""

    platform: Platform
    app: App
    screen: Screen
    only: str = ""
    _followed: set[str] = field(default_factory=set)

    async def recent(self, limit: int | None) -> None:
        """Print recent lines, by time; of all replicas together not more than `limit`."""
        rows: list[tuple[int, Replica, str | None, str | bytes]] = []
        cut = False
        for replica in await self._replicas():
            page = await self.platform.get_logs(self.app, replica.replica_id, limit or 0)
            cut = cut or page.truncated
            chunk = page.chunk
            rows += [
                (time, replica, stream, line)
                for time, stream, line in zip(chunk.times, chunk.streams, chunk.lines, strict=True)
            ]
        rows.sort(key=lambda row: row[0])
        if limit is not None and len(rows) > limit:
            rows, cut = rows[len(rows) - limit :], True
        for time, replica, stream, line in rows:
            self._show(replica, LogChunk([time], [stream], [line]))
        if cut:
            self.screen.warn("older lines are not shown: --limit N asks for more, --from-start for all")

    async def history(self) -> None:
        """Print all that the platform still has, one replica after the other."""
        for replica in await self._replicas():
            newest = await self._newest(replica)
            async with (
                self.platform.stream_logs(self.app, replica.replica_id) as opened,
                aclosing(until_quiet(opened)) as chunks,
            ):
                async for chunk in chunks:
                    self._show(replica, chunk)
                    if newest is not None and max(chunk.times, default=newest) > newest:
                        break  # it never pauses: this was printed after we came

    async def _newest(self, replica: Replica) -> int | None:
        """The time of a replica's newest line, by its own clock; None where that cannot be had."""
        try:
            page = await self.platform.get_logs(self.app, replica.replica_id)
        except CallFailed:
            return None
        return max(page.chunk.times, default=None)

    async def follow(self, *, from_start: bool) -> None:
        """Print what is printed from now on (or from the beginning), also by replicas that start later, for ever."""
        async with asyncio.TaskGroup() as tasks:
            first = True
            while True:
                for replica in await self._replicas_or_none(first):
                    if replica.replica_id not in self._followed:
                        self._followed.add(replica.replica_id)
                        whole = from_start or not first  # of one that has just started nothing was missed
                        tasks.create_task(self._hold(replica, whole), name=replica.replica_id)
                first = False
                await asyncio.sleep(LOOK_EVERY_S)

    async def _replicas(self) -> list[Replica]:
        replicas = await self.platform.list_replicas(self.app)
        if self.only:
            named = [replica for replica in replicas if replica.replica_id == self.only]
            return named or [Replica(self.app, self.only)]
        if not replicas:
            self.screen.warn(f"no replica of {self.app} runs now")
        return replicas

    async def _replicas_or_none(self, first: bool) -> list[Replica]:
        """Who has begun to follow goes on, whatever a listing says."""
        if first:
            return await self._replicas()
        if self.only:
            return []
        try:
            return await self.platform.list_replicas(self.app)
        except CallFailed as failure:
            self.screen.warn(f"replicas cannot be listed, tried again: {failure.status}")
            return []

    async def _hold(self, replica: Replica, from_start: bool) -> None:
        """One replica's stream, opened again when it ends, until the replica is gone."""
        name = replica.replica_id
        while True:
            status = await self._stream(replica, from_start)
            if status.action in _HOPELESS or (status.code is Code.NOT_FOUND and self.only):
                raise CallFailed(status)
            if status.code is Code.NOT_FOUND or not await self._runs(name):
                self.screen.warn(f"replica {name} is gone")
                self._followed.discard(name)
                return
            self.screen.warn(
                f"stream of {name} ended ({ended(status)}), opened again: lines may be missing here"
            )
            from_start = False
            await asyncio.sleep(AGAIN_S)

    async def _stream(self, replica: Replica, from_start: bool) -> Status:
        try:
            opened = self.platform.stream_logs(self.app, replica.replica_id, from_start=from_start)
            async with opened as chunks:
                async for chunk in chunks:
                    self._show(replica, chunk)
        except CallFailed as failure:
            return failure.status
        return OK

    async def _runs(self, replica_id: str) -> bool:
        try:
            replicas = await self.platform.list_replicas(self.app)
        except CallFailed:
            return True  # nobody knows
        return any(replica.replica_id == replica_id for replica in replicas)

    def _show(self, replica: Replica, chunk: LogChunk) -> None:
        if self.screen.json:
            who = LogIdentity(
                self.app.organization,
                self.app.name,
                replica.replica_id,
                replica.cluster_id,
                replica.node_name,
            )
            self.screen.records(encode_log_run(who, chunk.times, chunk.streams, chunk.lines))
            return
        name = safe(replica.replica_id)
        self.screen.write(
            f"{moment(time)}  {name}  {safe(stream or '-')}  {safe(line)}"
            for time, stream, line in zip(chunk.times, chunk.streams, chunk.lines, strict=True)
        )
