"""Settling what is delivered, in step with what the sink's pipeline holds of each partition."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from shipper.deliver.held import HELD, Held
from shipper.deliver.patience import Patience
from shipper.deliver.port import Outbox
from shipper.model import Batch, Carried, Partition
from shipper.transform.port import Ending, Pipeline

log = logging.getLogger("shipper.deliver")

LARGEST_STATE: Final = 1024 * 1024
"""What the buffer keeps of one partition at most. Pipelines promise far less."""
TIDY_S: Final = 60.0


class Carrying:
    """One sink's."""

    def __init__(
        self,
        sink: str,
        pipeline: Pipeline | None,
        outbox: Outbox,
        patience: Patience,
        now_ms: Callable[[], float],
    ) -> None:
        self.held = Held(sink)
        self._sink = sink
        self._pipeline = pipeline
        self._outbox = outbox
        self._patience = patience
        self._now_ms = now_ms

    async def load(self) -> None:
        """Take over what an earlier run left. A sink without a pipeline forgets it: nobody could read it."""
        stored = await self._patience.insist("list what is held", lambda: self._outbox.carried(self._sink))
        if self._pipeline is None:
            for one in stored:
                await self._carry(Carried(one.partition, b"", 0, 0))
            return
        now = asyncio.get_running_loop().time()
        known = [(one, self._hold_s(one)) for one in stored]
        self.held.load(known, now=now, now_ms=self._now_ms())

    async def settle(self, batch: Batch, ending: Ending | None) -> None:
        """The batch is delivered; durable on return. `ending` is the pipeline's, if there is one."""
        carried = self._carried(batch.partition, ending)
        if batch.batch_id != HELD:
            await self._patience.insist(
                "acknowledge a batch", lambda: self._outbox.acknowledge(batch, carried)
            )
        elif carried is not None:
            await self._carry(carried)
        if carried is not None and ending is not None:
            self.held.put(carried, ending.hold_s, now=asyncio.get_running_loop().time())

    async def tidy(self, busy: Callable[[Partition], bool]) -> None:
        """Forget now and then what pipelines remember of partitions that are over; until cancelled."""
        while self._pipeline is not None:
            await asyncio.sleep(TIDY_S)
            now = asyncio.get_running_loop().time()
            for one in self.held.silent(now, busy):
                await self._patience.insist("forget what is over", partial(self._forget_silent, one, busy))

    def _carried(self, partition: Partition, ending: Ending | None) -> Carried | None:
        """What is to be stored with the batch; None where nothing is held and nothing was."""
        if ending is None or not (ending.state or self.held.state(partition)):
            return None
        if len(ending.state) <= LARGEST_STATE:
            return Carried(partition, ending.state, ending.held, int(self._now_ms()))
        log.error(
            "a pipeline holds more than can be stored, which is a fault in shipper; %d records are lost to this sink",
            ending.held,
            extra={"sink": self._sink, "app": f"{partition.organization}/{partition.app}"},
        )
        return Carried(partition, b"", 0, int(self._now_ms()))

    def _hold_s(self, carried: Carried) -> float:
        assert self._pipeline is not None
        try:
            return self._pipeline.start(carried.partition, carried.state).finish().hold_s
        except Exception:
            log.exception("a pipeline cannot read what it held", extra={"sink": self._sink})
            return 0.0

    async def _forget_silent(self, one: Carried, busy: Callable[[Partition], bool]) -> None:
        if busy(one.partition) or self.held.state(one.partition) != one.state:
            return  # something came since a moment ago
        nothing = Carried(one.partition, b"", 0, 0)
        await self._outbox.carry(self._sink, nothing)
        if self.held.state(one.partition) == one.state:
            self.held.put(nothing, 0.0, now=asyncio.get_running_loop().time())

    async def _carry(self, carried: Carried) -> None:
        await self._patience.insist("store what is held", lambda: self._outbox.carry(self._sink, carried))
