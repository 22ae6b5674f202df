"""HTTP/2 connections to one endpoint, and how many streams each may carry.

A lane is a transport with one connection. A server may cap its concurrent streams: mostly it states the cap when it
is connected to, and the transport knows it. Beyond a cap that it only enforces, streams are refused (REFUSED_STREAM)
or wait at the server; such a cap is learned from what a lane carried. What was learned may have been a bad moment of
the server's and no cap at all, so after a while more is tried: else a day of such moments would end in a connection
for each few streams. A lane never carries more than the usual cap, so that streams that nobody reads hold up few
others; one that carries nothing any more is closed where another has room enough.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from shipper.ignite.status import CallFailed, Code, Status
from shipper.ignite.transport import Transport

USUAL_CAP: Final = 100  # RFC 9113 section 6.5.2 advises servers to state no less, and many state just that
FEW: Final = 8  # hardly a server's setting; more likely what it refused in a bad moment
FORGET_S: Final = 600.0  # after that, a small cap is forgotten and a larger one doubled
DEAD_AFTER: Final = 2  # calls in a row that timed out on one lane before it is given up


@dataclass(slots=True, eq=False)
class Lane:
    """One transport and what is known of it. Times are `clock`'s, in seconds.

    `open` counts requests from being sent to their end, `answered` those whose headers have come, `timeouts` calls in
    a row that were not answered in time. `heard` is when anything last came; `took` is when the youngest request was
    sent that was answered, `left` when the youngest was sent that was not.
    """

    transport: Transport
    clock: Callable[[], float]
    open: int = 0
    answered: int = 0
    timeouts: int = 0
    retired: bool = False
    heard: float = -1.0
    took: float = -1.0
    left: float = -1.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    def answer(self, sent: float) -> None:
        """The headers of a request that was sent at `sent` have come."""
        self.answered += 1
        self.timeouts = 0
        self.took = max(self.took, sent)
        self.heard_now()

    def heard_now(self) -> None:
        """Something came from the other side."""
        self.heard = self.clock()


@dataclass(slots=True)
class Lanes:
    """Hands out lanes. `connect` makes a transport; it must not block and must not need the server to be up."""

    connect: Callable[[], Transport]
    clock: Callable[[], float] = time.monotonic
    _enforced: int = USUAL_CAP
    _learned: float = 0.0
    _stated: int = USUAL_CAP
    _closed: bool = False
    _lanes: list[Lane] = field(default_factory=list)

    @property
    def open(self) -> int:
        """Requests under way on all lanes."""
        return sum(lane.open for lane in self._lanes)

    @property
    def cap(self) -> int:
        """How many streams a lane carries, as far as is known."""
        return min(self._enforced, self._stated)

    def __len__(self) -> int:
        return len(self._lanes)

    def acquire(self) -> Lane:
        """A lane with room, counted as one stream until `release`."""
        if self._closed:
            raise CallFailed(Status(Code.CANCELLED, "the connections are closed"))
        self._try_more()
        lane = next((lane for lane in self._lanes if self._has_room(lane)), None)
        if lane is None:
            lane = Lane(self.connect(), self.clock)
            self._lanes.append(lane)
        lane.open += 1
        return lane

    async def release(self, lane: Lane, *, answered: bool) -> None:
        """Give a stream's place back. A lane that is retired or spare is closed with its last stream."""
        lane.open -= 1
        lane.answered -= answered
        if lane.open == 0 and lane in self._lanes and (lane.retired or self._is_spare(lane)):
            self._lanes.remove(lane)
            await _close(lane)

    def full(self, carries: int) -> None:
        """A lane that carries so many streams could not carry one more: that is the cap."""
        self._enforced = min(self._enforced, max(1, carries))
        self._learned = self.clock()

    def suspect(self, lane: Lane) -> None:
        """The lane's connection seems dead: new streams and calls get another one."""
        lane.retired = True

    def timed_out(self, lane: Lane) -> bool:
        """A call on the lane went unanswered; True where that makes it suspect."""
        lane.timeouts += 1
        if lane.retired or lane.timeouts < DEAD_AFTER:
            return False
        self.suspect(lane)
        return True

    async def aclose(self) -> None:
        """Close every lane, and hand out no more."""
        self._closed = True
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            lane.retired = True
            await _close(lane)

    def _try_more(self) -> None:
        if self._enforced < USUAL_CAP and self.clock() - self._learned > FORGET_S:
            self._enforced = USUAL_CAP if self._enforced < FEW else min(USUAL_CAP, 2 * self._enforced)
            self._learned = self.clock()

    def _is_spare(self, lane: Lane) -> bool:
        """Whether another lane is half empty, so that this one will not be missed at once."""
        return any(
            other is not lane and not other.retired and 2 * other.open <= self.cap for other in self._lanes
        )

    def _has_room(self, lane: Lane) -> bool:
        """What one lane's connection states holds for those too that are not connected yet."""
        stated = lane.transport.limit
        if stated is not None:
            self._stated = min(max(1, stated), USUAL_CAP)  # with 0 it is asked again, by one at a time
        return not lane.retired and lane.open < self.cap


async def _close(lane: Lane) -> None:
    with suppress(Exception):  # a transport that cannot be closed is not worth failing a shutdown
        await lane.transport.aclose()
