"""The telemetry server, which can move to another address."""

from __future__ import annotations

from collections.abc import Callable

from shipper.config.endpoint import Address
from shipper.telemetry.looking import Look
from shipper.telemetry.web import TelemetryServer

Make = Callable[[Address], TelemetryServer]


class Listening:
    """Serves at one address or at none. Raises OSError, naming the setting, where an address cannot be had."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._look: Look | None = None
        self._hide: Callable[[str], str] = str
        self._address: Address | None = None
        self._server: TelemetryServer | None = None

    @property
    def address(self) -> Address | None:
        """Where it was told to serve."""
        return self._address

    def show(self, look: Look, hide: Callable[[str], str]) -> None:
        """From now on the status is what `look` gathers, here and wherever it moves to."""
        self._look, self._hide = look, hide
        if self._server is not None:
            self._server.show(look, hide)

    async def move(self, address: Address | None) -> None:
        """Serve there, and at the former address no more; if that cannot be, still at the former one."""
        if self._in_the_way(address):
            await self._move_aside(address)
            return
        server = await self._serving(address)
        await self.aclose()
        self._server, self._address = server, address

    async def aclose(self) -> None:
        """Serve no more."""
        server, self._server, self._address = self._server, None, None
        if server is not None:
            await server.__aexit__()

    def _in_the_way(self, address: Address | None) -> bool:
        """Whether the present server has the port, if perhaps of another host: 0.0.0.0 is all of them."""
        return address is not None and self._address is not None and address.port == self._address.port != 0

    async def _move_aside(self, address: Address | None) -> None:
        former = self._address
        await self.aclose()
        try:
            self._server = await self._serving(address)
        except OSError:
            self._server, self._address = await self._serving(former), former
            raise
        self._address = address

    async def _serving(self, address: Address | None) -> TelemetryServer | None:
        if address is None:
            return None
        server = self._make(address)
        if self._look is not None:
            server.show(self._look, self._hide)
        return await server.__aenter__()
