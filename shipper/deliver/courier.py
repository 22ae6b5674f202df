"""The port between a worker and the way of a batch to its sink: one attempt, and what it came to.

There are two couriers: one brings sealed bytes, the other records in parcels. Both answer with values; the worker
decides when to try again and acknowledges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shipper.model import Batch
from shipper.sinks.port import Outcome
from shipper.transform.port import Ending


@dataclass(frozen=True, slots=True)
class Doubtful:
    """Every record of the batch that was tried by itself was refused. It may be the batch; others should be tried."""

    reason: str


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The attempt was broken off because others found the sink down. The batch has not failed."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be delivered.

    `frames` are the batch's bytes, `state` what the pipeline holds of its partition. `held`: there are no frames;
    what the pipeline holds is to be flushed.
    """

    batch: Batch
    frames: Sequence[bytes]
    state: bytes = b""
    held: bool = False


@dataclass(frozen=True, slots=True)
class Delivery:
    """What an attempt came to, and what is to be written down.

    `began`: when the request that decided it was sent (the event loop's seconds). `batch` has the progress that was
    made. `records` is what an acknowledgement counts as delivered beyond what the courier has counted already.
    `ending` is the pipeline's, where one was used and the batch is delivered. `moved`: something was accepted.
    """

    outcome: Outcome | Doubtful | Interrupted
    began: float
    batch: Batch
    records: int = 0
    ending: Ending | None = None
    moved: bool = False


class Watch(Protocol):
    """What a courier asks and tells while an attempt goes on."""

    def width(self, began: float) -> int:
        """How many parcels an attempt that began then may have under way: 0 where others found the sink down."""

    def accepted(self, began: float) -> None:
        """A parcel that was sent then was accepted."""


class Courier(Protocol):
    """Brings batches to one sink. Any number of attempts at once, one for each partition.

    Cancellation is safe at every await: what was not acknowledged is delivered again.
    """

    async def deliver(self, load: Load, watch: Watch) -> Delivery:
        """One attempt. Raises nothing but cancellation."""
