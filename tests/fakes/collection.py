"""A collector between a fake platform and a fake buffer, in virtual time; it can be drained, killed and started
again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from shipper.backoff import Backoff
from shipper.collect.collector import Collector, Selection
from shipper.collect.context import Context
from shipper.collect.intake import HOLD_AT, Intake
from shipper.collect.states import States
from shipper.collect.subscription import LogSubscription
from shipper.model import Codec, StoredCursor
from tests.fakes.builds import FakeBuilds
from tests.fakes.durable import FakeDurable
from tests.fakes.meter import FakeMeter
from tests.fakes.platform import ORG, FakePlatform

EPOCH_S = 1_716_894_000.0


def wall() -> float:
    """The daemon's clock: virtual time, counted from EPOCH_S."""
    return EPOCH_S + asyncio.get_running_loop().time()


def wall_ms() -> int:
    return int(wall() * 1000)


@dataclass
class Collection:
    """One daemon's worth of collecting, again and again."""

    platform: FakePlatform = field(default_factory=lambda: FakePlatform(wall_ms))
    durable: FakeDurable = field(default_factory=lambda: FakeDurable(wall_ms))
    include: Sequence[str] = ("*",)
    exclude: Sequence[str] = ()
    events: bool = False
    logs: bool = True
    builds: FakeBuilds | None = None
    named_builds: Mapping[str, Sequence[str]] = field(default_factory=dict)
    seed: int = 1
    hold_at: int = HOLD_AT
    meter: FakeMeter = field(default_factory=FakeMeter)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        """Begin a run with what the buffer has."""
        rng = random.Random(self.seed)
        self.intake = Intake(
            self.durable, Codec.NONE, self.meter, clock=wall, backoff=Backoff(rng), hold_at=self.hold_at
        )
        self.states = States(self.meter)
        self.collector = Collector(
            Selection(ORG, self.include, self.exclude),
            Context(
                self.platform, self.intake, self.meter, self.states, clock=wall, rng=rng, builds=self.builds
            ),
            5.0,
            follow_logs=self.logs,
            follow_events=self.events,
            follow_builds=self.builds is not None,
            named_builds=self.named_builds,
            cursors=self.durable.cursors(),
            stored=self._stored,
        )
        loop = asyncio.get_running_loop()
        self._tasks = [
            loop.create_task(self.intake.run(), name="intake"),
            loop.create_task(self.collector.run(), name="collect"),
        ]

    async def _stored(self) -> Sequence[StoredCursor]:
        await self.intake.settled()
        return self.durable.cursors()

    def select(
        self,
        include: Sequence[str] = ("*",),
        exclude: Sequence[str] = (),
        *,
        poll_s: float = 5.0,
        logs: bool = True,
        events: bool = False,
    ) -> None:
        """What a reload does."""
        selection = Selection(ORG, include, exclude)
        self.collector.select(selection, poll_s, follow_logs=logs, follow_events=events)

    async def kill(self) -> None:
        """As SIGKILL: what was not committed is gone."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    async def stop(self) -> None:
        """As SIGTERM: the streams are drained, and what they brought is committed."""
        committing, collecting = self._tasks
        await self.collector.drain()
        collecting.cancel()
        with suppress(asyncio.CancelledError):
            await collecting
        await self.intake.close()
        await committing

    async def restart(self) -> None:
        await self.kill()
        self.start()

    async def until(self, condition: Callable[[], bool], within_s: float = 30.0) -> float:
        """Wait for a condition; how long it took. Looked at every few (virtual) milliseconds."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not condition():
            for task in self._tasks:
                if task.done():
                    task.result()
            assert loop.time() - began < within_s, f"not within {within_s} s"
            await asyncio.sleep(0.005)
        return loop.time() - began

    async def caught_up(self, within_s: float = 90.0) -> float:
        """Wait until everything printed is committed."""
        return await self.until(lambda: self.durable.log_lines >= len(self.platform.printed), within_s)

    def subscription(self, replica_id: str) -> LogSubscription | None:
        for subscription in self.collector.subscriptions():
            if subscription.replica.replica_id == replica_id:
                return subscription
        return None

    def following(self, replica_id: str) -> bool:
        subscription = self.subscription(replica_id)
        return subscription is not None and subscription.streaming

    def reconnects(self, reason: str, kind: str = "logs") -> float:
        return self.meter.counts["reconnects_total", kind, reason]


@asynccontextmanager
async def collecting(**settings: object) -> AsyncIterator[Collection]:
    """A collection that runs; stopped in order at the end."""
    it = Collection(**settings)  # type: ignore[arg-type]
    it.start()
    try:
        yield it
    except BaseException:
        await it.kill()
        raise
    await it.stop()
