"""HTTP/2 connections to one endpoint, and how many streams each may carry.

A lane is a transport with its own connections. A server states its cap on concurrent streams in SETTINGS, and
the transport opens further connections by itself when one is full. What it cannot know is a cap that is
enforced without being stated: a proxy that refuses (REFUSED_STREAM) or that lets streams wait for ever. Then
the lane's cap is learned from what it carried, and further streams get a lane of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pyqwest import HTTPTransport

_SMALLEST_CAP: Final = 1


@dataclass(slots=True, eq=False)
class Lane:
    """One transport. `cap` is None until a limit was learned."""

    transport: HTTPTransport
    open: int = 0
    cap: int | None = None
    retired: bool = False

    @property
    def has_room(self) -> bool:
        return not self.retired and (self.cap is None or self.open < self.cap)


@dataclass(slots=True)
class Lanes:
    """Hands out lanes. `connect` makes a transport; it must not block and must not need the server to be up."""

    connect: Callable[[], HTTPTransport]
    _lanes: list[Lane] = field(default_factory=list)
    _cap: int | None = None

    def __len__(self) -> int:
        return len(self._lanes)

    def acquire(self) -> Lane:
        """A lane with room, counted as one stream until `release`."""
        lane = next((lane for lane in self._lanes if lane.has_room), None)
        if lane is None:
            lane = Lane(self.connect(), cap=self._cap)
            self._lanes.append(lane)
        lane.open += 1
        return lane

    async def release(self, lane: Lane) -> None:
        """Give a stream's place back. A retired lane is closed with its last stream."""
        lane.open -= 1
        if lane.retired and lane.open == 0:
            await self._close(lane)

    def full(self, lane: Lane) -> None:
        """The lane took a stream that it could not carry: what it carries without it is the cap, for new
        lanes as well.
        """
        cap = max(_SMALLEST_CAP, lane.open - 1)
        if lane.cap is None or cap < lane.cap:
            lane.cap = cap
        if self._cap is None or cap < self._cap:
            self._cap = cap

    def suspect(self, lane: Lane) -> None:
        """The lane's connection seems dead (calls on it time out): new streams and calls get another one."""
        lane.retired = True

    async def aclose(self) -> None:
        """Close every lane; streams on them end."""
        lanes, self._lanes = self._lanes, []
        for lane in lanes:
            lane.retired = True
            with suppress(Exception):  # a transport that cannot be closed is not worth failing a shutdown
                await lane.transport.aclose()

    async def _close(self, lane: Lane) -> None:
        if lane in self._lanes:
            self._lanes.remove(lane)
        with suppress(Exception):
            await lane.transport.aclose()
