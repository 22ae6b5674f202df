"""What a sink is: it takes what it is given and answers with a value. It never retries, sleeps or queues.

There are two sorts. A `Sink` takes sealed batches as bytes (archives). A `RecordSink` takes records, in requests of its
own making (Datadog, Sentry): it packs them, delivery sends each parcel and settles what the answer means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from shipper.entry import Entry
from shipper.model import Batch, Partition


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


@dataclass(frozen=True, slots=True)
class TooLarge:
    """A parcel is more than the destination takes at once (413): delivery tries its halves."""

    reason: str


@dataclass(frozen=True, slots=True)
class Malformed:
    """Something in a parcel will never be taken (400): delivery finds it by halving, and buries it with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """The destination wants none of this for longer than the sink may wait (a rate limit): nothing of the parcel was
    sent, and its records are done with. `dropped` and `altered` count them by reason, as a `Parcel`'s do.
    """

    reason: str
    dropped: Mapping[str, int] = field(default_factory=dict)
    altered: Mapping[str, int] = field(default_factory=dict)


Refusal = Retry | Rejected | Parked
Outcome = Delivered | Refusal
Answer = Delivered | Retry | Parked | TooLarge | Malformed | Dropped


@dataclass(frozen=True, slots=True)
class Parcel:
    """One request's worth of the entries that were packed.

    It carries `entries[start:stop]`. `settles` says how many of the entries, from the first on, are done with once
    this parcel and those before it are delivered. `body` is the sink's own; None where nothing has to be sent.
    `dropped` counts, by reason, records that the sink's limits leave out here; `altered`, by what was done (`cut`,
    `restamped`), those that leave other than they came. Where entries become parcels of several sorts (`issues`,
    `logs`), `sort` says which this is: when it is refused, only what it carries is packed again, of its sort.
    """

    start: int
    stop: int
    settles: int
    body: object | None
    dropped: Mapping[str, int] = field(default_factory=dict)
    altered: Mapping[str, int] = field(default_factory=dict)
    sort: str = ""


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


class RecordSink(Protocol):
    """A destination of records, at least once.

    Lifetime as a `Sink`'s. Up to `concurrency` parcels are sent at once. The same entries may be packed again after
    a failure or a restart, all of them or the rest from any entry on.
    """

    name: str
    concurrency: int

    async def open(self) -> None:
        """Make clients. Must not need the destination to be up; OSError only for bad local set-up."""

    def pack(self, partition: Partition, entries: Sequence[Entry]) -> Iterator[Parcel]:
        """The entries as parcels within the destination's limits, in order, made as they are asked for.

        Every entry is in a parcel or counted in a `dropped`, and the last parcel settles all of them. A failure inside
        is a fault in shipper; nothing that a record holds may cause one.
        """

    async def send(self, parcel: Parcel) -> Answer:
        """Send one parcel that has a body. Never raises but for cancellation, which leaves the outcome unknown."""

    async def check(self) -> Outcome:
        """Try the destination without writing records, for `shipper check --connect`. Bounded in time by the sink."""

    async def aclose(self) -> None:
        """Release clients. Idempotent."""
