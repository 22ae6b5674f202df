"""Network addresses as settings: the platform's endpoint (`grpcs://host:port`), `host:port` to listen on, URLs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS: Final = {"grpc": 80, "grpcs": 443, "http": 80, "https": 443}

_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252})?", re.ASCII)
_PORT: Final = re.compile(r"[0-9]{1,5}", re.ASCII)


class AddressError(ValueError):
    """The text is no address; the message says what would be, and never repeats the text."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the platform is: over gRPC, or its HTTP gateway. `host` is a name or an IP address, without brackets."""

    scheme: str
    host: str
    port: int

    @property
    def tls(self) -> bool:
        return self.scheme in ("grpcs", "https")

    @property
    def gateway(self) -> bool:
        """Whether it is the HTTP gateway."""
        return self.scheme in ("http", "https")

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def authority(self) -> str:
        """`host:port` with brackets around an IPv6 address, as URLs and HTTP/2's `:authority` want it."""
        return join_host_port(self.host, self.port)

    @property
    def http_url(self) -> str:
        """The same place for an HTTP/2 client: `https://host:port` or `http://host:port`."""
        return f"{'https' if self.tls else 'http'}://{self.authority}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port to listen on. Port 0 lets the system choose a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return join_host_port(self.host, self.port)


def parse_endpoint(text: str) -> Endpoint:
    """Read `grpcs://` or `https://` (TLS), `grpc://` or `http://` (plaintext) with a host and, if not 80 or 443, a
    port.
    """
    scheme, separator, _ = text.partition("://")
    if not separator or scheme.lower() not in DEFAULT_PORTS:
        raise AddressError(
            "needs grpcs:// (gRPC) or https:// (the HTTP gateway) in front, grpc:// or http:// without TLS, for "
            "example grpcs://rpc.dodil.io:443"
        )
    parts = _split(text)
    host = _checked_host(parts)
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise AddressError("is scheme, host and port only; remove what follows the port")
    port = _checked_port(parts)
    return Endpoint(scheme.lower(), host, DEFAULT_PORTS[scheme.lower()] if port is None else port)


def parse_address(text: str) -> Address:
    """Read `host:port`; an IPv6 address stands in brackets."""
    host, separator, port = text.rpartition(":")
    if not separator or not _PORT.fullmatch(port) or int(port) > 65_535:
        raise AddressError("is not host:port; write for example 127.0.0.1:9464, or null to turn it off")
    if not host:
        raise AddressError(f"has no host; write 0.0.0.0:{int(port)} to listen on all interfaces")
    if host.startswith("[") and host.endswith("]") and _is_ip(host[1:-1]):
        return Address(host[1:-1], int(port))
    if not _HOST.fullmatch(host):
        raise AddressError(
            "has a host that is no name or IP address; an IPv6 address stands in brackets: [::1]:9464"
        )
    return Address(host, int(port))


def check_http_url(text: str) -> str:
    """An `http://` or `https://` URL with a host and without credentials in it; returned as it came."""
    if not text.lower().startswith(("http://", "https://")):
        raise AddressError("is not a URL; it begins with https:// (or http://)")
    parts = _split(text)
    _checked_host(parts)
    _checked_port(parts)
    if parts.fragment:
        raise AddressError("has a fragment (#...), which a server never sees; remove it")
    return text


def is_loopback(host: str) -> bool:
    """Whether traffic to `host` stays on this machine."""
    return host.lower() == "localhost" or (_is_ip(host) and ip_address(host.partition("%")[0]).is_loopback)


def join_host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(text: str) -> SplitResult:
    if re.search(r"[\s\x00-\x1f\x7f\\]", text):
        raise AddressError("has a space, a backslash or a control character in it")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise AddressError("is not a URL; an IPv6 address stands in brackets: grpcs://[::1]:443") from None
    if "@" in parts.netloc:
        raise AddressError("must not carry a user name or password")
    return parts


def _checked_host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host:
        raise AddressError("has no host")
    if not (_is_ip(host) if ":" in host else _HOST.fullmatch(host)):
        raise AddressError("has a host that is no name or IP address")
    return host


def _checked_port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        raise AddressError("has a port that is not a number from 1 to 65535") from None
    if port == 0 or parts.netloc.endswith(":"):
        raise AddressError("has a port that is not a number from 1 to 65535")
    return port


def _is_ip(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
