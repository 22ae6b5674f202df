"""From the configuration to a platform: where it is, how it is trusted, who the daemon is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from pyqwest import HTTPTransport, HTTPVersion

from shipper.config import platform
from shipper.config.endpoint import Endpoint, join_host_port
from shipper.config.platform import IgniteSettings
from shipper.errors import ConfigError, Problem
from shipper.ignite.auth import ClientCredentials, FixedToken, NoToken, TokenFile, TokenSource
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.lanes import Transport
from shipper.ignite.token_endpoint import TokenEndpoint
from shipper.ignite.tunnel import Tunnel
from shipper.meter import Meter

CONNECT_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 15.0  # TCP's own: a peer that is gone is noticed though nothing is sent


def connect(settings: IgniteSettings, meter: Meter | None = None) -> GrpcPlatform:
    """The platform, not yet asked for anything. Raises ConfigError where the TLS files cannot be used."""
    endpoint = settings.endpoint
    trust = _trust(settings)
    name = settings.tls.server_name.lower() if endpoint.tls and settings.tls.server_name else None
    return GrpcPlatform(
        base_url=f"{'https' if endpoint.tls else 'http'}://{join_host_port(name or endpoint.host, endpoint.port)}",
        organization=settings.organization,
        tokens=token_source(settings.auth, meter),
        connect=_transports(endpoint, trust, name),
        headers={header: value.reveal() for header, value in settings.headers.items()},
    )


def token_source(auth: platform.Auth, meter: Meter | None = None) -> TokenSource:
    """Where the bearer tokens come from."""
    match auth:
        case platform.ClientCredentials():
            endpoint = TokenEndpoint(auth.token_url, auth.client_id, auth.client_secret.reveal())
            return ClientCredentials(endpoint, meter=meter)
        case platform.StaticToken():
            return FixedToken(auth.token.reveal())
        case platform.TokenFile():
            return TokenFile(auth.path)
        case platform.NoAuth():
            return NoToken()


@dataclass(frozen=True, slots=True)
class _Trust:
    """PEM files as they were read; None is the default."""

    authorities: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


def _transports(endpoint: Endpoint, trust: _Trust, name: str | None) -> Callable[[], Transport]:
    if name is None:
        return lambda: _transport(endpoint, trust)
    return lambda: Tunnel(endpoint.host, endpoint.port, lambda proxy: _transport(endpoint, trust, proxy))


def _transport(endpoint: Endpoint, trust: _Trust, proxy: str | None = None) -> HTTPTransport:
    return HTTPTransport(
        http_version=HTTPVersion.HTTP2,
        tls_ca_cert=trust.authorities,
        tls_include_system_certs=endpoint.tls and trust.authorities is None,
        tls_cert=trust.certificate,
        tls_key=trust.key,
        proxy=proxy,
        connect_timeout=CONNECT_TIMEOUT_S,
        tcp_keepalive_interval=KEEPALIVE_S,
        enable_gzip=False,  # messages are compressed one by one, and bodies never
        enable_brotli=False,
        enable_zstd=False,
        use_system_dns=True,
        follow_redirects=False,
        enable_otel=False,
    )


def _trust(settings: IgniteSettings) -> _Trust:
    """Read the TLS files, and have them looked at by what will use them."""
    tls = settings.tls
    if not settings.endpoint.tls:
        return _Trust()
    if tls.server_name is not None and _is_ip(tls.server_name):
        raise _problem("server_name", "is an IP address; name the endpoint by it instead")
    authorities = _read("ca_file", tls.ca_file)
    if authorities is not None:
        try:
            _transport(settings.endpoint, _Trust(authorities))
        except (ValueError, RuntimeError) as error:
            raise _problem(
                "ca_file", f"{tls.ca_file} holds no certificates that can be used: {error}"
            ) from error
    trust = _Trust(authorities, _read("cert_file", tls.cert_file), _read("key_file", tls.key_file))
    try:
        _transport(settings.endpoint, trust)
    except (ValueError, RuntimeError) as error:
        problem = f"{tls.cert_file} and {tls.key_file} are no certificate with its (unencrypted) key: {error}"
        raise _problem("cert_file", problem) from None  # what is below could show the key
    return trust


def _read(setting: str, file: Path | None) -> bytes | None:
    try:
        return None if file is None else file.read_bytes()
    except OSError as error:
        raise _problem(setting, f"{file} cannot be read: {error.strerror}") from error


def _problem(setting: str, message: str) -> ConfigError:
    return ConfigError((Problem("configuration", 0, 0, f"ignite.tls.{setting}", message),))


def _is_ip(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
