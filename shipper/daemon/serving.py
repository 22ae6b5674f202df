"""The parts at work: collect and deliver until asked to stop, then drain."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shipper.buffer import Buffer
from shipper.collect.collector import Collector
from shipper.collect.intake import Intake
from shipper.control.server import ControlServer
from shipper.daemon.collecting import Collecting
from shipper.daemon.delivering import Delivering
from shipper.daemon.listening import Listening
from shipper.daemon.reloading import Reloading
from shipper.daemon.signals import Signals
from shipper.deliver.worker import Worker
from shipper.errors import ShipperError
from shipper.telemetry.health import Liveness, Readiness
from shipper.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    from shipper.config.settings import Settings
    from shipper.ignite.gateway.platform import HttpPlatform
    from shipper.ignite.grpc import GrpcPlatform

log = logging.getLogger("shipper.daemon")

LAST_RESORT_S: Final = (
    10.0  # beyond shutdown.timeout: something swallowed its cancellation, and the data is safe
)
LEVELS_EVERY_S: Final = 2.0
WRITABLE: Final = "buffer"


@dataclass(slots=True)
class Daemon:
    """The parts, ready to run. `settings` are those in force."""

    settings: Settings
    meter: PrometheusMeter
    buffer: Buffer
    delivering: Delivering
    intake: Intake
    collecting: Collecting
    listening: Listening
    liveness: Liveness
    readiness: Readiness
    control: ControlServer

    @property
    def platform(self) -> GrpcPlatform | HttpPlatform:
        """The one that is collected from."""
        return self.collecting.connection.platform

    @property
    def collector(self) -> Collector:
        """The one at work."""
        return self.collecting.collector

    @property
    def workers(self) -> Sequence[Worker]:
        """One for each sink, also for one that is removed and not yet done with."""
        return [delivery.worker for delivery in self.delivering]

    async def show_connections(self) -> None:
        """Set the gauges of the platform's connections again and again, until cancelled."""
        while True:
            lanes = self.platform.lanes
            self.meter.level("stream_lanes", len(lanes))
            self.meter.level("streams_open", lanes.open)
            await asyncio.sleep(LEVELS_EVERY_S)

    async def serve(self, signals: Signals, reloading: Reloading) -> int:
        """Collect and deliver until asked to stop, then drain; 1 where something made going on impossible."""
        failure: BaseException | None = None
        async with asyncio.TaskGroup() as delivery:
            self.delivering.begin(delivery)
            async with asyncio.TaskGroup() as intake:
                committing = intake.create_task(self.intake.run(), name="intake")
                failure = await self._collect_until(signals.stop, reloading)
                timeout_s = self.settings.shutdown.timeout
                last_resort = _last_resort(timeout_s)
                deadline = asyncio.get_running_loop().time() + timeout_s
                committed = await self._commit_rest(committing, deadline)
            await self.delivering.drain(deadline, all_is_there=committed)
        last_resort.cancel()
        return 0 if failure is None else 1

    async def _collect_until(self, stop: asyncio.Event, reloading: Reloading) -> BaseException | None:
        """Collect until asked to stop; the error, where collection cannot go on."""
        try:
            async with asyncio.TaskGroup() as collection:
                collecting = collection.create_task(self.collecting.run(), name="collection")
                reload = collection.create_task(reloading.run(), name="reload")
                await stop.wait()
                reload.cancel()
                await self.collecting.drain()
                collecting.cancel()
        except ExceptionGroup as failure:
            for error in _leaves(failure):
                expected = isinstance(error, ShipperError)
                log.error("collection stops: %s", error, exc_info=None if expected else error)  # noqa: TRY400
            return failure
        return None

    async def _commit_rest(self, committing: asyncio.Task[None], deadline: float) -> bool:
        """Commit what is pending, and whether that was done. A buffer that takes nothing must not hold the exit: the
        platform can replay it.
        """
        await self.intake.close()
        await asyncio.wait({committing}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        if not committing.done():
            log.error("the last records could not be committed; they are read again at the next start")
            committing.cancel()
            return False
        return True


def _last_resort(shutdown_timeout_s: float) -> threading.Timer:
    """Ends the process when a drain hangs; everything that matters is on disk by then."""
    timer = threading.Timer(shutdown_timeout_s + LAST_RESORT_S, os._exit, args=(1,))
    timer.daemon = True
    timer.start()
    return timer


def _leaves(error: BaseException | None) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [] if error is None else [error]
