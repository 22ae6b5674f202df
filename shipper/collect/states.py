"""The states of a subscription, the gauge that counts how many are in each, and what each tells of itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final, Protocol

from shipper.ignite.status import Status
from shipper.meter import Meter
from shipper.model import Kind


class State(StrEnum):
    """Where a subscription stands."""

    OPENING = "opening"  # the stream was asked for; the server has not answered
    RESUMING = "resuming"  # history is replayed and compared with the cursor
    LIVE = "live"  # everything that comes is new
    WAITING = "waiting"  # the stream ended; the next attempt follows a backoff
    PARKED = "parked"  # the platform refuses for a reason that only a person can mend
    LEAVING = "leaving"  # the replica is gone; what the stream still brings is read


OPEN: Final = frozenset({State.RESUMING, State.LIVE, State.LEAVING})


class Followed(Protocol):
    """A subscription as people see it.

    `since` is when its state began, `cut_at` since when no stream is open (None while one is), `last_data` when
    something last came, all of the loop's clock. `attempts` counts its streams, `ended` says how the last one ended.
    """

    kind: ClassVar[Kind]
    state: State | None
    since: float
    cut_at: float | None
    last_data: float
    attempts: int
    ended: Status | None

    @property
    def newest_ms(self) -> int | None:
        """The own time of its newest record."""

    @property
    def taken(self) -> int | None:
        """How many records it has taken in all, where that is known."""


def still_cut(state: State | None, cut_at: float | None, now: float) -> float | None:
    """Since when no stream is open, at the beginning of `state`."""
    if state in OPEN:
        return None
    return now if cut_at is None else cut_at


@dataclass(slots=True)
class States:
    """Counts subscriptions by kind and state, and keeps the gauge."""

    meter: Meter
    _counts: Counter[tuple[Kind, State]] = field(default_factory=Counter)

    def move(self, kind: Kind, before: State | None, after: State | None) -> None:
        """A subscription went from one state to another; None is before its start and after its end."""
        if before is after:
            return
        for state, step in ((before, -1), (after, 1)):
            if state is not None:
                self._counts[kind, state] += step
                self.meter.level("subscriptions", self._counts[kind, state], kind.value, state.value)

    def count(self, kind: Kind, state: State) -> int:
        """How many subscriptions of a kind are in a state."""
        return self._counts[kind, state]
