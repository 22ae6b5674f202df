"""HTTPS_PROXY and NO_PROXY: TLS connections are led through a proxy by CONNECT (RFC 9110 section 9.3.6).

Corporate clusters often have no other way out. Plaintext connections never are: such a proxy would have to read them.
As curl and Go do it, loopback is reached directly.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import unquote, urlsplit

from shipper.config.endpoint import is_loopback, join_host_port
from shipper.ignite.transport import ConnectFailed

_MOST: Final = 16_384  # bytes of the proxy's answer
_DEFAULT_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy. `credentials` are `user:password`, empty for none."""

    host: str
    port: int
    credentials: str = field(default="", repr=False)

    @property
    def authorization(self) -> str:
        """What a header says of the credentials."""
        return f"Basic {base64.b64encode(self.credentials.encode()).decode()}"


def for_host(host: str, port: int, environment: Mapping[str, str]) -> Proxy | None:
    """The proxy that the environment names for a host, None for a direct connection. Raises ConnectFailed where it
    names something else than an http:// proxy.
    """
    url = _variable("https_proxy", environment)
    if not url or is_loopback(host) or _exempt(host, port, _variable("no_proxy", environment)):
        return None
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        found = Proxy(
            parts.hostname or "",
            parts.port or _DEFAULT_PORT,
            unquote(f"{parts.username}:{parts.password or ''}") if parts.username else "",
        )
    except ValueError:
        raise ConnectFailed("HTTPS_PROXY is not a URL") from None
    if parts.scheme != "http" or not found.host:
        raise ConnectFailed("HTTPS_PROXY must be http://host:port; other kinds of proxy are not supported")
    return found


async def lead(connected: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    """Have the proxy at the other end of a socket open a way to `host`. Raises ConnectFailed."""
    loop = asyncio.get_running_loop()
    target = join_host_port(host, port)
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.credentials:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    await loop.sock_sendall(connected, "\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:  # nothing comes after it: in TLS the client speaks first
        piece = await loop.sock_recv(connected, _MOST)
        answer += piece
        if not piece or len(answer) > _MOST:
            raise ConnectFailed(f"the proxy {proxy.host}:{proxy.port} answered something that is not HTTP")
    status = answer.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 1)[-1]
    if not status.startswith("2"):
        raise ConnectFailed(f"the proxy {proxy.host}:{proxy.port} refused to connect: {status[:100]}")


def _variable(name: str, environment: Mapping[str, str]) -> str:
    return (environment.get(name) or environment.get(name.upper()) or "").strip()


def _exempt(host: str, port: int, no_proxy: str) -> bool:
    """Whether NO_PROXY names the host: `*`, a name with all below it, an address or a network, each with or without a
    port.
    """
    name = host.lower().rstrip(".")
    for entry in filter(None, (entry.strip().lower() for entry in no_proxy.split(","))):
        suffix = entry.removesuffix(f":{port}") if entry.count(":") == 1 else entry
        suffix = suffix.removeprefix("*").lstrip(".")
        if entry == "*" or name == suffix or (suffix and name.endswith(f".{suffix}")) or _within(name, entry):
            return True
    return False


def _within(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network, strict=False)
    except ValueError:
        return False
