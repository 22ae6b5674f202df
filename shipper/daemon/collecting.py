"""Collection for as long as the daemon runs: begun anew with another platform, told of another selection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from shipper.backoff import Backoff
from shipper.buffer import Buffer
from shipper.collect.collector import Collector, Selection
from shipper.collect.context import Context
from shipper.collect.intake import Intake
from shipper.collect.states import States
from shipper.errors import BufferError
from shipper.ignite.auth import TokenSource
from shipper.ignite.connect import connect, token_source
from shipper.ignite.exchangeable import ExchangeableTokens
from shipper.meter import Meter
from shipper.model import StoredCursor
from shipper.telemetry.health import Readiness
from shipper.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    from shipper.config.platform import IgniteSettings
    from shipper.config.settings import Settings
    from shipper.ignite.gateway.platform import HttpPlatform
    from shipper.ignite.grpc import GrpcPlatform

log = logging.getLogger("shipper.daemon")

AnyPlatform: TypeAlias = "GrpcPlatform | HttpPlatform"

CONNECTED: Final = "platform"
ASKED: Final = "no answer from the platform yet"
_ASKED_ANEW: Final = "no answer from the platform yet, since where or what it is was changed"


@dataclass(frozen=True, slots=True)
class Connection:
    """A platform and the tokens for it, which can be exchanged."""

    platform: AnyPlatform
    tokens: ExchangeableTokens

    @classmethod
    def of(cls, settings: IgniteSettings, meter: Meter) -> Connection:
        """Not yet asked for anything. Raises ConfigError where the TLS files cannot be used."""
        tokens = ExchangeableTokens(token_source(settings.auth, meter))
        return cls(connect(settings, meter, tokens), tokens)

    async def aclose(self) -> None:
        """Close all connections to the platform."""
        await self.platform.aclose()


class Collecting:
    """One collector after the other, each with the platform that was the latest when it began.

    `run` is one task, cancelled to end. Cursors carry on: a collector begins when all that the one before has taken is
    committed, and with what the buffer has by then.
    """

    def __init__(
        self,
        settings: Settings,
        connection: Connection,
        buffer: Buffer,
        intake: Intake,
        meter: PrometheusMeter,
        readiness: Readiness,
        cursors: Sequence[StoredCursor],
    ) -> None:
        self._settings = settings
        self._connections = [connection]  # all that are open; the first is in use, the last is wanted
        self._buffer = buffer
        self._intake = intake
        self._meter = meter
        self._readiness = readiness
        self._renewed = asyncio.Event()
        self.collector = self._new_collector(cursors)

    @property
    def connection(self) -> Connection:
        """The one in use."""
        return self._connections[0]

    def select(self, settings: Settings) -> None:
        """Collect what these settings say."""
        self._settings = settings
        if not self._renewed.is_set():
            collect = settings.collect
            self.collector.select(
                selection(settings),
                collect.poll_interval,
                follow_logs=collect.logs,
                follow_events=collect.events,
                follow_builds=collect.builds,
                named_builds=collect.build_ids,
            )

    def begin_anew(self, settings: Settings, connection: Connection) -> None:
        """Go over to this platform: what the streams have brought is taken, then they are opened there."""
        self._settings = settings
        self._connections.append(connection)
        self._renewed.set()

    def exchange_tokens(self, source: TokenSource) -> TokenSource:
        """From now on calls have its tokens; the source before is returned, to be closed."""
        return self._connections[-1].tokens.exchange(source)

    async def run(self) -> None:
        """See the class. Raises what makes collecting impossible."""
        while True:
            collector = self.collector
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(collector.run(), name="collect"),
                    tasks.create_task(self._watch_readiness(collector), name="readiness"),
                ]
                await self._renewed.wait()
                await collector.drain()
                for task in running:
                    task.cancel()
            self._readiness.unmet(CONNECTED, _ASKED_ANEW)
            cursors = await self._stored()
            self._renewed.clear()
            self.collector = self._new_collector(cursors)
            former, self._connections = self._connections[:-1], self._connections[-1:]
            for connection in former:
                await connection.aclose()

    async def drain(self) -> None:
        """Return when the streams have brought what was on its way."""
        await self.collector.drain()

    async def aclose(self) -> None:
        """Close all connections to the platform, and to those that were to take its place."""
        while self._connections:
            await self._connections.pop().aclose()

    async def _stored(self) -> Sequence[StoredCursor]:
        """However long the buffer refuses: without its cursors everything would be taken again."""
        await self._intake.settled()
        backoff = Backoff()
        while True:
            try:
                return await self._buffer.cursors()
            except BufferError as error:
                log.warning("the buffer's cursors cannot be read yet: %s", error)
                await asyncio.sleep(backoff.next_wait())

    def _new_collector(self, cursors: Sequence[StoredCursor]) -> Collector:
        settings = self._settings
        platform = self._connections[-1].platform
        platform.admit = self._intake.admit
        return Collector(
            selection(settings),
            Context(platform, self._intake, self._meter, States(self._meter), builds=platform.builds),
            settings.collect.poll_interval,
            follow_logs=settings.collect.logs,
            follow_events=settings.collect.events,
            follow_builds=settings.collect.builds,
            named_builds=settings.collect.build_ids,
            cursors=cursors,
            stored=self._stored,
        )

    async def _watch_readiness(self, collector: Collector) -> None:
        await collector.ready.wait()
        self._readiness.met(CONNECTED)


def selection(settings: Settings) -> Selection:
    """Which apps are followed."""
    return Selection(settings.ignite.organization, settings.apps.include, settings.apps.exclude)
