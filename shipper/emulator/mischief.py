"""Mischief: faults from a seed, along a plan or at random, aimed so that nothing becomes truly unobtainable."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from shipper.emulator.driver import Driver
from shipper.emulator.emulator import Emulator
from shipper.emulator.streams import LOGS, OpenStream
from shipper.emulator.world import EmulatedReplica

DEMO_PLAN: Final = (
    (0.10, "crash"),
    (0.15, "reconnect"),
    (0.21, "stall"),  # early: a half-open stream is noticed only when it has been silent for a while
    (0.30, "sleep"),
    (0.40, "cut_all"),
    (0.48, "rotate"),
    (0.56, "expire"),
    (0.64, "crash"),
    (0.74, "refuse"),
    (0.90, "cut_one"),
)  # fractions of the run
SHORT_PLAN: Final = tuple((share, action) for share, action in DEMO_PLAN if action != "stall")


class Mischief:
    """Does named things to a driven emulator. What has nothing to aim at does nothing."""

    def __init__(self, ignite: Emulator) -> None:
        if ignite.driver is None:
            raise ValueError("mischief needs a driven emulator: give the scenario some traffic")
        self._ignite = ignite
        self._driver: Driver = ignite.driver
        self._random = random.Random(f"mischief-{ignite.scenario.seed}")
        self._pinned: dict[OpenStream, EmulatedReplica] = {}
        self.actions: dict[str, Callable[[], Awaitable[None]]] = {
            "crash": self._crash,
            "sleep": self._sleep,
            "stall": self._stall,
            "rotate": self._rotate,
            "cut_one": self._cut_one,
            "cut_all": self._cut_all,
            "expire": self._expire,
            "refuse": self._refuse,
            "reconnect": self._reconnect,
        }

    async def follow(self, plan: Iterable[tuple[float, str]], duration_s: float) -> None:
        """Do what the plan says at its fractions of the duration."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        for share, action in plan:
            await asyncio.sleep(max(0.0, started + share * duration_s - loop.time()))
            await self._do(action)

    async def at_random(self, mean_s: float) -> None:
        """Do one thing after another until cancelled, `mean_s` apart on average."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / mean_s))
            await self._do(self._random.choice(sorted(self.actions)))

    async def _do(self, action: str) -> None:
        for stream, replica in list(self._pinned.items()):
            if stream not in self._ignite.calls.open:  # its reader has noticed, or went
                del self._pinned[stream]
                self._driver.pin(replica, pinned=False)
        await self.actions[action]()

    # ---- pods ----

    async def _crash(self) -> None:
        replica = self._choose_replica()
        if replica is not None:
            self._driver.crash(replica)

    async def _sleep(self) -> None:
        apps = [
            app for app in self._ignite.world.apps.values() if app.replicas and not self._stalled(app.name)
        ]
        if apps:
            self._driver.sleep(self._random.choice(apps))

    async def _rotate(self) -> None:
        """Only replicas that someone follows: what nobody has read would be lost, and that is no test of the reader."""
        replica = self._choose_replica()
        if replica is not None:
            replica.rotate(keep=100)
            self._tell(f"{replica.replica_id} rotated its log")

    # ---- streams ----

    async def _stall(self) -> None:
        """The replica is pinned, so that what it prints meanwhile can still be had when the reader finds out."""
        stream = self._choose_stream()
        if stream is not None:
            replica = self._ignite.world.apps[stream.app].replicas[stream.replica_id]
            self._pinned[stream] = replica
            self._driver.pin(replica)
            self._ignite.faults.stall(method=LOGS, replica_id=stream.replica_id)
            self._tell(f"stream of {stream.replica_id} stalled (half-open)")

    async def _cut_one(self) -> None:
        stream = self._choose_stream()
        if stream is not None:
            self._ignite.faults.cut(method=LOGS, replica_id=stream.replica_id)
            self._tell(f"stream of {stream.replica_id} cut")

    async def _cut_all(self) -> None:
        count = self._ignite.faults.cut(message="the gateway restarts")
        self._tell(f"all streams cut ({count})")

    # ---- the platform ----

    async def _expire(self) -> None:
        self._ignite.expire_tokens(cut_streams=True)
        self._tell("token expired, its streams cut")

    async def _refuse(self) -> None:
        self._ignite.faults.refuse("ListAppReplicas", "UNAVAILABLE", times=2 * len(self._ignite.world.apps))
        self._tell("ListAppReplicas refused for a while")

    async def _reconnect(self) -> None:
        await self._ignite.reconnect()
        self._tell("every connection broken")

    # ---- aims ----

    def _choose_stream(self) -> OpenStream | None:
        streams = [
            stream
            for stream in self._ignite.calls.matching(method=LOGS)
            if not stream.disturbed and self._prints(stream)
        ]
        streams.sort(key=lambda stream: stream.replica_id)
        return self._random.choice(streams) if streams else None

    def _choose_replica(self) -> EmulatedReplica | None:
        stream = self._choose_stream()
        return None if stream is None else self._ignite.world.apps[stream.app].replicas[stream.replica_id]

    def _prints(self, stream: OpenStream) -> bool:
        app = self._ignite.world.apps.get(stream.app)
        replica = app.replicas.get(stream.replica_id) if app is not None else None
        return replica is not None and replica.printing

    def _stalled(self, app: str) -> bool:
        return any(stream.stalled for stream in self._ignite.calls.matching(app=app))

    def _tell(self, text: str) -> None:
        self._ignite.world.tell(text)
