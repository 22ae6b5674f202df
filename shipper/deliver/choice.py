"""What a worker does next, decided from what is known: send a batch, seal one, let one out, wait, or stop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from shipper.deliver.backlog import Backlog, Sealed
from shipper.deliver.breaker import Breaker, State
from shipper.model import Partition

FRESH_PROBE_AFTER: Final = 3
"""A sink that fails on the same batches this often is tried with another one: perhaps it is the batches."""


@dataclass(frozen=True, slots=True)
class Send:
    """Start an attempt with this batch."""

    sealed: Sealed


@dataclass(frozen=True, slots=True)
class Seal:
    """Seal a batch of this partition, then choose again."""

    partition: Partition


@dataclass(frozen=True, slots=True)
class Release:
    """Make a batch of what the pipeline holds of this partition, then choose again."""

    partition: Partition


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to do until something happens, or until the loop's clock shows `until`."""

    until: float | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """Drained: there is nothing left to try."""


Step = Send | Seal | Release | Wait | Finished


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything besides the backlog that matters for the next step.

    `probing`: an attempt is in flight that began after the breaker's last change. Older ones may hang for long, and
    what they say is old news. `held`: what the pipeline holds that is to be let out first, and when.
    """

    now: float
    breaker: Breaker
    concurrency: int
    in_flight: int
    probing: bool = False
    draining: bool = False
    gave_up: bool = False
    held: tuple[float, Partition] | None = None


def choose(backlog: Backlog, at: Situation) -> Step:
    """The next step. Sealing is lazy: a batch is made only when it can be sent at once.

    So a sink that is down costs nothing: its frames stay open and become few large batches instead of many small ones.
    """
    if at.draining and at.gave_up:
        return Wait() if at.in_flight else Finished()
    if at.in_flight >= at.concurrency:
        return Wait()
    return _next(backlog, at) if at.breaker.healthy else _probe(backlog, at)


def _next(backlog: Backlog, at: Situation) -> Step:
    """A healthy sink: what is sealed first, then what is due; a batch in its own backoff waits by itself."""
    retry_at: float | None = None
    for sealed in backlog.candidates():
        if sealed.not_before <= at.now:
            return Send(sealed)
        retry_at = sealed.not_before if retry_at is None else min(retry_at, sealed.not_before)
    due = backlog.due()
    if due is not None and due[0] <= at.now:
        return Seal(due[1])
    if at.held is not None and at.held[0] <= at.now:
        return Release(at.held[1])
    times = [one[0] for one in (due, at.held) if one is not None]
    times += [] if retry_at is None else [retry_at]
    if at.draining and not times and not at.in_flight:
        return Finished()
    return Wait(min(times, default=None))


def _probe(backlog: Backlog, at: Situation) -> Step:
    """A sink that fails: one batch at a time, when the gate opens; the one that has failed least."""
    if at.probing:
        return Wait()
    if at.now < at.breaker.gate:
        return Wait(at.breaker.gate)
    due = backlog.due()
    if due is not None and due[0] <= at.now and wants_fresh(backlog, at):
        return Seal(due[1])
    probe = min(backlog.candidates(), key=lambda sealed: sealed.failures, default=None)
    if probe is not None:
        return Send(probe)
    if at.held is not None and at.held[0] <= at.now:
        return Release(at.held[1])
    times = [one[0] for one in (due, at.held) if one is not None]
    if at.draining and not times:
        return Wait() if at.in_flight else Finished()
    return Wait(min(times, default=None))


def wants_fresh(backlog: Backlog, at: Situation) -> bool:
    """Whether a batch of open frames is wanted: always by a sink that is well, as a last resort by one that fails."""
    if at.breaker.healthy:
        return True
    fewest = min((sealed.failures for sealed in backlog.candidates()), default=None)
    if fewest is None:
        return True
    room = max(2, at.concurrency) - backlog.sealed_count
    if at.breaker.state is State.FAILING:
        enough = 1 if at.draining else FRESH_PROBE_AFTER  # a drain has one attempt to spend
        return room > 0 and fewest >= enough
    # What is parked is tried so rarely that each probe counts: what is sealed may be what it is parked for.
    return fewest >= 1 << 2 * max(0, 1 - room)
