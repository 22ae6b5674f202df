"""What a sink is: it takes sealed batches and answers with a value. It never retries, sleeps or queues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shipper.model import Batch


@dataclass(frozen=True, slots=True)
class Delivered:
    """The batch is durable at the destination."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may work later: a transport error, a 5xx, throttling. `after_s` is the destination's own wish, if any."""

    reason: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """This batch will never be taken (too large, malformed); others may be."""

    reason: str


@dataclass(frozen=True, slots=True)
class Parked:
    """Nothing will be taken until a person acts: credentials, a missing bucket. The data stays in the buffer."""

    reason: str


Refusal = Retry | Rejected | Parked
Outcome = Delivered | Refusal


class Sink(Protocol):
    """A destination.

    Lifetime: `open`, any number of `send` (up to `concurrency` at once) and `check`, `aclose`; all on one event loop.
    Cancellation of `send` leaves the outcome unknown; the same batch with the same bytes is sent again later, and an
    archive sink must then end in the same state.
    """

    name: str
    concurrency: int

    async def open(self) -> None:
        """Make clients and folders. Must not need the destination to be up; OSError only for bad local set-up."""

    async def send(self, batch: Batch, frames: Sequence[bytes]) -> Outcome:
        """Deliver one batch. `frames` are its bytes in order, in `batch.codec`. Never raises but for cancellation."""

    async def check(self) -> Outcome:
        """Try the destination without writing records, for `shipper check --connect`. Bounded in time by the sink."""

    async def aclose(self) -> None:
        """Release clients. Idempotent."""
