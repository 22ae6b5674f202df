"""aiohttp's low-level server with bounds: on connections, on the life of each, on how long a request may take to come.

When all places are taken, whoever has not sent a request yet makes room: silent clients cannot keep a probe out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

# Not `aiohttp.web`, which brings these and 1.3 MB of routes, static files and websockets besides.
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server

MOST: Final = 64
REQUEST_S: Final = 5.0
"""How long a client may take to send its request."""
LIFETIME_S: Final = 30.0
"""A connection serves one request and ends after this time at the latest, whatever its client does or fails to do."""
LONGEST_LINE: Final = 4096


@dataclass(frozen=True, slots=True)
class Bounds:
    """What clients may take of the server."""

    connections: int = MOST
    request_s: float = REQUEST_S
    lifetime_s: float = LIFETIME_S


@dataclass(slots=True)
class _Place:
    transport: asyncio.Transport
    deadline: asyncio.TimerHandle
    ends: float
    asked: bool = False


class Connections(Server):
    """One request a connection. Clients that are slow, silent or greedy are cut off."""

    def __init__(self, handler: Callable[[BaseRequest], Awaitable[StreamResponse]], bounds: Bounds) -> None:
        super().__init__(
            handler,
            access_log=None,
            # What a client does wrong is answered to the client; it is no news for the daemon's log.
            logger=logging.Logger("telemetry clients", level=logging.CRITICAL + 1),
            keepalive_timeout=bounds.lifetime_s,
            lingering_time=0.0,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
        )
        self._bounds = bounds
        self._places: dict[Any, _Place] = {}  # the oldest first

    def connection_made(self, handler: Any, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._places) >= self._bounds.connections and not self._make_room():
            transport.abort()
            return
        loop = asyncio.get_running_loop()
        deadline = loop.call_later(min(self._bounds.request_s, self._bounds.lifetime_s), transport.abort)
        self._places[handler] = _Place(transport, deadline, loop.time() + self._bounds.lifetime_s)

    def connection_lost(self, handler: Any, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self._leave(handler)

    def asked(self, request: BaseRequest) -> None:
        """A request has come whole: its answer may take until the connection's end."""
        place = self._places.get(request.protocol)
        if place is not None and not place.asked:
            place.asked = True
            place.deadline.cancel()
            place.deadline = asyncio.get_running_loop().call_at(place.ends, place.transport.abort)

    def _make_room(self) -> bool:
        for handler, place in self._places.items():
            if not place.asked:
                self._leave(handler)
                place.transport.abort()
                return True
        return False

    def _leave(self, handler: Any) -> None:
        place = self._places.pop(handler, None)
        if place is not None:
            place.deadline.cancel()
