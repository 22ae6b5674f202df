"""Connects: name, TCP, a proxy where the environment names one, TLS.

Addresses are tried with a head start each (Happy Eyeballs, RFC 8305), since a host may have an IPv6 address that leads
nowhere. uvloop has no such thing, so sockets are connected before the event loop gets them.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import aiohappyeyeballs

from shipper.ignite import proxy
from shipper.ignite.transport import ConnectFailed, NotUnderstood

P = TypeVar("P", bound=asyncio.Protocol)

_HEAD_START_S: Final = 0.25  # RFC 8305 section 5
_TLS_END_S: Final = 1.0  # for the other side's goodbye in TLS
_KEEPALIVE: Final = {  # TCP's own: a peer that is gone is noticed within a minute, though nothing is sent
    "TCP_KEEPIDLE": 15,
    "TCP_KEEPALIVE": 15,  # TCP_KEEPIDLE as macOS calls it
    "TCP_KEEPINTVL": 15,
    "TCP_KEEPCNT": 3,
}


@dataclass(frozen=True, slots=True)
class Dial:
    """Where to connect to. `tls` is the context to use, None for plaintext; `server_name` the name that the certificate
    must carry then.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    server_name: str = ""

    async def __call__(self, make: Callable[[], P]) -> tuple[asyncio.BaseTransport, P]:
        """A connection for the protocol that `make` makes. Raises ConnectFailed. The caller bounds the time."""
        loop = asyncio.get_running_loop()
        connected: socket.socket | None = None
        try:
            connected = await self._connected()
            # Who owns the socket from here on closes it, whatever happens (both kinds of event loop do).
            return await loop.create_connection(
                make,
                sock=connected,
                ssl=self.tls,
                server_hostname=None if self.tls is None else self.server_name or self.host,
                ssl_shutdown_timeout=None if self.tls is None else _TLS_END_S,
            )
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that cannot be one
            if connected is not None and isinstance(error, ConnectionError):
                raise NotUnderstood("the server closed the connection while TLS was set up") from error
            raise ConnectFailed(_reason(error)) from error

    async def _connected(self) -> socket.socket:
        """A connected socket, through the proxy where there is one."""
        through = proxy.for_host(self.host, self.port, os.environ) if self.tls is not None else None
        if through is None:
            return await _tcp(self.host, self.port)
        try:
            connected = await _tcp(through.host, through.port)
        except OSError as error:  # not the endpoint's fault, so its advice is not for this
            what = f"the proxy {through.host}:{through.port} cannot be reached: {_reason(error)}"
            raise ConnectFailed(what) from None
        try:
            await proxy.lead(connected, through, self.host, self.port)
        except BaseException:
            connected.close()
            raise
        return connected


def made_socket(address: aiohappyeyeballs.AddrInfoType) -> socket.socket:
    """A TCP socket for an address, not yet connected, whose peer's silence is noticed."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made


async def _tcp(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    addresses = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await aiohappyeyeballs.start_connection(
        addresses, happy_eyeballs_delay=_HEAD_START_S, socket_factory=made_socket
    )


def _reason(error: OSError | UnicodeError) -> str:
    """What the system said, without the words that asyncio puts around it."""
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
