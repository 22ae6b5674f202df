"""A transport that connects to one host and shows another's name: `ignite.tls.server_name` with a host name.

The name that a certificate must carry is the URL's host, and addresses are given beside it. So the real host is
resolved here, again with each request, as the transport would have done.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pyqwest import Request, Response

from shipper.ignite.lanes import Transport


@dataclass(slots=True)
class Tunnel:
    """`make` makes a transport to given addresses. An address that stays keeps its transport; one that changes gets
    a new one, while streams on the old one go on until they end.
    """

    host: str
    make: Callable[[Sequence[str]], Transport]
    _addresses: Sequence[str] = ()
    _made: list[Transport] = field(default_factory=list)

    async def execute(self, request: Request, /) -> Response:
        """Resolve, then send. Raises OSError where the host has no address."""
        found = await asyncio.get_running_loop().getaddrinfo(self.host, None, type=socket.SOCK_STREAM)
        addresses = sorted({str(entry[4][0]) for entry in found})
        if addresses != self._addresses:
            self._addresses = addresses
            self._made.append(self.make(addresses))
        return await self._made[-1].execute(request)

    async def aclose(self) -> None:
        """Close everything that was opened."""
        made, self._made = self._made, []
        self._addresses = ()
        for transport in made:
            with suppress(Exception):
                await transport.aclose()
