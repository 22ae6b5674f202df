"""From the configuration to a platform: where it is, how it is trusted, who the daemon is there."""

from __future__ import annotations

from shipper.config import platform
from shipper.config.endpoint import join_host_port
from shipper.config.platform import IgniteSettings
from shipper.ignite.auth import ClientCredentials, FixedToken, NoToken, TokenFile, TokenSource
from shipper.ignite.dial import Dial
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.http2.client import Http2Transport
from shipper.ignite.tls import client_context
from shipper.meter import Meter


def connect(settings: IgniteSettings, meter: Meter | None = None) -> GrpcPlatform:
    """The platform, not yet asked for anything. Raises ConfigError where the TLS files cannot be used."""
    endpoint = settings.endpoint
    tls = client_context(settings.tls) if endpoint.tls else None
    name = settings.tls.server_name.lower() if tls and settings.tls.server_name else endpoint.host
    authority = join_host_port(name, endpoint.port)
    dial = Dial(endpoint.host, endpoint.port, tls, name)
    return GrpcPlatform(
        base_url=f"{'https' if tls else 'http'}://{authority}",
        organization=settings.organization,
        tokens=token_source(settings.auth, meter),
        connect=lambda: Http2Transport(dial, authority),
        headers={header: value.reveal() for header, value in settings.headers.items()},
    )


def token_source(auth: platform.Auth, meter: Meter | None = None) -> TokenSource:
    """Where the bearer tokens come from."""
    match auth:
        case platform.ClientCredentials():
            # Imported here: who brings a token of his own needs no HTTP client for it.
            from shipper.ignite.token_endpoint import TokenEndpoint

            endpoint = TokenEndpoint(auth.token_url, auth.client_id, auth.client_secret.reveal())
            return ClientCredentials(endpoint, meter=meter)
        case platform.StaticToken():
            return FixedToken(auth.token.reveal())
        case platform.TokenFile():
            return TokenFile(auth.path)
        case platform.NoAuth():
            return NoToken()
