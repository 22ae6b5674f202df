"""The workers of all sinks: started, given another sink or pipeline, and ended while the others go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shipper.backoff import Backoff
from shipper.buffer import Buffer
from shipper.deliver.backlog import BatchPolicy
from shipper.deliver.couriers import pipeline_used
from shipper.deliver.worker import Worker
from shipper.errors import BufferError
from shipper.sinks import AnySink
from shipper.telemetry.prometheus import PrometheusMeter

if TYPE_CHECKING:
    from shipper.transform.port import Pipeline

log = logging.getLogger("shipper.daemon")

STOP_S: Final = 30.0
"""How long an upload that is under way may take before its worker makes place for another: the new one repeats it."""
STATES: Final = ("healthy", "failing", "parked")


@dataclass(frozen=True, slots=True, eq=False)
class Equipment:
    """What a worker works with: a sink that is open, the pipeline of its records, and when batches are sealed."""

    sink: AnySink
    pipeline: Pipeline | None
    policy: BatchPolicy

    @property
    def transforms(self) -> bool:
        """Whether records go through the pipeline."""
        return pipeline_used(self.sink, self.pipeline) is not None


class SinkDelivery:
    """One sink's workers, one after the other, each with the equipment that was the latest when it began.

    `run` is one task. It returns when the sink is drained at the end of the process, or removed and done with.
    """

    def __init__(self, name: str, equipment: Equipment, buffer: Buffer, meter: PrometheusMeter) -> None:
        self.name: Final = name
        self.removed = False
        self._buffer = buffer
        self._meter = meter
        self._equipment = self._in_use = equipment
        self._sinks = [equipment.sink]  # all that are open
        self._discards = False
        self._draining = False
        self.worker = self._new_worker()

    @property
    def equipment(self) -> Equipment:
        """The latest; its worker may not have begun."""
        return self._equipment

    def equip(self, equipment: Equipment) -> None:
        """Let a worker with this take the place of the present one, as soon as that has ended what is under way.

        A sink that was removed is back with it.
        """
        if equipment.sink not in self._sinks:
            self._sinks.append(equipment.sink)
        self._equipment = equipment
        self.removed = self._discards = False
        self.worker.stop(STOP_S)

    def remove(self, *, discard: bool) -> None:
        """The sink takes nothing new: deliver what is its own for as long as that takes, or give it up."""
        self.removed, self._discards = True, discard
        if discard:
            self.worker.stop(STOP_S)
        else:
            self.worker.retire()

    async def drain(self, deadline: float) -> int:
        """As Worker.drain, for whichever worker there is. What waits for other equipment waits for the next start."""
        self._draining = True
        return await self.worker.drain(deadline)

    async def run(self) -> None:
        """See the class."""
        while True:
            await self._work()
            if self._draining and not self._discards:
                return
            if self.removed:
                await self._forget()
            if self.removed or self._draining:
                return
            await self._renew()  # it is back

    async def aclose(self) -> None:
        """Close its sinks."""
        while self._sinks:
            await self._sinks.pop().aclose()

    async def _work(self) -> None:
        """Until there is nothing more to do with the latest equipment."""
        while True:
            await self.worker.run()
            if self._equipment is self._in_use or self._draining or self._discards:
                return
            await self._renew()

    async def _renew(self) -> None:
        """The next worker, with the latest equipment."""
        self.worker = self._new_worker()
        for sink in [one for one in self._sinks if one is not self._in_use.sink]:
            self._sinks.remove(sink)
            await sink.aclose()

    def _new_worker(self) -> Worker:
        equipment = self._in_use = self._equipment
        worker = Worker(
            equipment.sink, self._buffer, equipment.policy, self._meter, pipeline=equipment.pipeline
        )
        if self.removed:
            worker.retire()
        return worker

    async def _forget(self) -> None:
        """Whatever it has not taken by now is given up. It may be back before this is done: then nothing happens."""
        backoff = Backoff()
        while self.removed:
            try:
                await self._buffer.remove_sink(self.name)
            except BufferError as error:
                log.warning("a sink cannot be removed yet: %s", error, extra={"sink": self.name})
                await asyncio.sleep(backoff.next_wait())
                continue
            break
        if self.removed:
            log.info("the sink is removed", extra={"sink": self.name})
            self._meter.forget("sink_backlog_records", self.name)
            self._meter.forget("sink_oldest_unacked_seconds", self.name)
            for state in STATES:
                self._meter.forget("sink_state", self.name, state)


class Delivering:
    """All of them. Tasks are started in the group that `begin` is given."""

    def __init__(self, buffer: Buffer, meter: PrometheusMeter) -> None:
        self._buffer = buffer
        self._meter = meter
        self._group: asyncio.TaskGroup | None = None
        self._sinks: dict[str, SinkDelivery] = {}

    def __iter__(self) -> Iterator[SinkDelivery]:
        """Those that are configured and those that are removed and not yet done with."""
        return iter(self._sinks.values())

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Start all workers, from now on also those of sinks that are put in."""
        self._group = group
        for delivery in self._sinks.values():
            self._start(delivery)

    def equipment(self, name: str) -> Equipment | None:
        """What a configured sink's worker has, or will have next."""
        delivery = self._sinks.get(name)
        return delivery.equipment if delivery is not None and not delivery.removed else None

    def put(self, name: str, equipment: Equipment) -> None:
        """A sink is new, is back, or goes on with this. Its name has to be known to the buffer."""
        delivery = self._sinks.get(name)
        if delivery is not None:
            delivery.equip(equipment)
            return
        delivery = self._sinks[name] = SinkDelivery(name, equipment, self._buffer, self._meter)
        if self._group is not None:
            self._start(delivery)

    def remove(self, name: str, *, discard: bool) -> None:
        """A sink is no longer configured; the buffer has been told."""
        self._sinks[name].remove(discard=discard)

    async def drain(self, deadline: float, *, all_is_there: bool = True) -> None:
        """Send everything that can be sent before the deadline, and say what remains. `all_is_there` is False where the
        buffer could not take all that was collected.
        """
        deliveries = list(self._sinks.values())
        left = await asyncio.gather(*(one.drain(deadline) for one in deliveries))
        for one, records in zip(deliveries, left, strict=True):
            if records and one.removed:
                log.warning(
                    "records of a removed sink remain; they are given up at the next start, unless it is configured "
                    "again by then",
                    extra={"sink": one.name, "records": records},
                )
            elif records:
                log.warning(
                    "records remain in the buffer and are delivered at the next start",
                    extra={"sink": one.name, "records": records},
                )
        if not any(left):
            what = "collected" if all_is_there else "that is in the buffer"
            log.info("drained: everything %s is delivered", what)

    async def aclose(self) -> None:
        """Close every sink."""
        for delivery in self._sinks.values():
            await delivery.aclose()

    def _start(self, delivery: SinkDelivery) -> None:
        assert self._group is not None
        self._group.create_task(self._hold(delivery), name=f"deliver {delivery.name}")

    async def _hold(self, delivery: SinkDelivery) -> None:
        await delivery.run()
        if delivery.removed:
            self._sinks.pop(delivery.name, None)
            await delivery.aclose()
