"""From the configuration to a platform: where it is, how it is trusted, who the daemon is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from shipper.config.endpoint import join_host_port
from shipper.ignite.auth import ClientCredentials, FixedToken, NoToken, TokenFile, TokenSource
from shipper.ignite.dial import Dial
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.http2.client import Http2Transport
from shipper.ignite.http2.connection import PROTOCOL
from shipper.ignite.tls import client_context
from shipper.ignite.transport import Transport
from shipper.meter import Meter

if TYPE_CHECKING:  # loaded where the endpoint asks for it
    from shipper.config.platform import Auth, IgniteSettings
    from shipper.ignite.gateway.platform import HttpPlatform


def connect(
    settings: IgniteSettings, meter: Meter | None = None, tokens: TokenSource | None = None
) -> GrpcPlatform | HttpPlatform:
    """The platform, not yet asked for anything. Raises ConfigError where the TLS files cannot be used.

    Calls have tokens of `tokens`, which is closed with the platform; without it, as `auth` says.
    """
    endpoint = settings.endpoint
    tokens = tokens or token_source(settings.auth, meter)
    headers = {header: value.reveal() for header, value in settings.headers.items()}
    scheme = "https" if endpoint.tls else "http"
    base_url = f"{scheme}://{_authority(settings)}"
    if endpoint.gateway:
        from shipper.ignite.gateway.platform import HttpPlatform

        return HttpPlatform(base_url, settings.organization, tokens, _gateway(settings), headers)
    return GrpcPlatform(base_url, settings.organization, tokens, _grpc(settings), headers)


def _authority(settings: IgniteSettings) -> str:
    """What the server is called: in certificates, and in what is asked of it."""
    return join_host_port(_server_name(settings), settings.endpoint.port)


def _server_name(settings: IgniteSettings) -> str:
    name = settings.tls.server_name if settings.endpoint.tls else None
    return name.lower() if name else settings.endpoint.host


def _grpc(settings: IgniteSettings) -> Callable[[], Transport]:
    tls = client_context(settings.tls) if settings.endpoint.tls else None
    authority = _authority(settings)
    dial = Dial(settings.endpoint.host, settings.endpoint.port, tls, _server_name(settings))
    return lambda: Http2Transport(dial, authority)


def _gateway(settings: IgniteSettings) -> Callable[[], Transport]:
    """Over TLS the server chooses the version; without it HTTP/1.1 is what everybody understands."""
    from shipper.ignite import http11
    from shipper.ignite.negotiated import Agreed, NegotiatedTransport

    endpoint, name, authority = settings.endpoint, _server_name(settings), _authority(settings)
    if not endpoint.tls:
        return lambda: http11.Http11Transport(endpoint.http_url, authority)
    both = client_context(settings.tls, (PROTOCOL, http11.PROTOCOL))
    older = client_context(settings.tls, (http11.PROTOCOL,))
    dial = Dial(endpoint.host, endpoint.port, both, name)
    agreed = Agreed()
    return lambda: NegotiatedTransport(
        Http2Transport(dial, authority),
        http11.Http11Transport(endpoint.http_url, authority, older, name),
        agreed,
    )


def token_source(auth: Auth, meter: Meter | None = None) -> TokenSource:
    """Where the bearer tokens come from."""
    if auth.type == "none":
        return NoToken()
    if auth.type == "token":
        return FixedToken(auth.token.reveal())
    if auth.type == "token_file":
        return TokenFile(auth.path)
    # Imported here: who brings a token of his own needs no HTTP client for it.
    from shipper.ignite.token_endpoint import TokenEndpoint

    endpoint = TokenEndpoint(auth.token_url, auth.client_id, auth.client_secret.reveal())
    return ClientCredentials(endpoint, meter=meter)
