"""The platform's side of a configuration: where Ignite is, who the daemon is there, which apps it follows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from shipper.config.secret import Secret
from shipper.config.section import Section
from shipper.config.types import DurationIn, FilePath, GrpcEndpoint, HttpUrl, Shown, Text, Texts

# RFC 9113 section 8.2.2 forbids the connection's own fields in HTTP/2; gRPC reserves `grpc-` and sets content-type
# and te itself (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, "Requests").
_TAKEN_HEADERS: Final = frozenset(
    [
        "connection",
        "content-length",
        "content-type",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ]
)


class ClientCredentials(Section):
    """A service account: the daemon fetches tokens (OAuth client credentials) and renews them before they expire."""

    type: Literal["client_credentials"] = Field(description="`client_credentials`")
    token_url: HttpUrl = Field(
        description=(
            "The token endpoint, for example "
            "`https://id.dodil.io/realms/dodil/protocol/openid-connect/token`."
        )
    )
    client_id: Text = Field(description="Id of the service account.")
    client_secret: Secret = Field(description="Its secret. Read it from a mounted file or the environment.")


class StaticToken(Section):
    """One bearer token that is never renewed: to try things out, as the platform's tokens live about five minutes."""

    type: Literal["token"] = Field(description="`token`")
    token: Secret = Field(description="The token, without `Bearer` in front.")

    @model_validator(mode="after")
    def _token_is_bare(self) -> StaticToken:
        if self.token.reveal().lower().startswith("bearer "):
            raise ValueError("has a token that begins with 'Bearer '; write the token alone")
        return self


class TokenFile(Section):
    """A file with a bearer token that something else renews; it is read again when it changes."""

    type: Literal["token_file"] = Field(description="`token_file`")
    path: FilePath = Field(description="The file. It holds the token alone; a trailing newline is ignored.")


class NoAuth(Section):
    """No token is sent: for the emulator, or behind a proxy that adds one."""

    type: Literal["none"] = Field(description="`none`")


Auth = Annotated[ClientCredentials | StaticToken | TokenFile | NoAuth, Field(discriminator="type")]


def _check_headers(headers: Mapping[str, Secret]) -> Mapping[str, Secret]:
    for name, value in headers.items():
        if name == "authorization":
            raise ValueError("must not set authorization; that is what auth is for")
        if name in _TAKEN_HEADERS or name.startswith("grpc-") or not re.fullmatch(r"[0-9a-z_.-]+", name):
            raise ValueError(
                "has a name that gRPC does not allow: lower-case letters, digits, _ . and - are "
                "accepted, and names of the protocol itself (grpc-*, content-type, te, host ...) are "
                "not"
            )
        if not re.fullmatch(r"[\x20-\x7e]+", value.reveal()):
            raise ValueError(
                "has a value with characters other than printable ASCII, which gRPC does not carry"
            )
    return headers


def _lower_names(headers: Any) -> Any:
    """gRPC metadata names are lower case; `X-Organization-Name` means the same header."""
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        return headers
    lowered = {name.lower() if isinstance(name, str) else name: value for name, value in headers.items()}
    if len(lowered) != len(headers):
        raise ValueError("names one header twice (upper and lower case are the same)")
    return lowered


Headers = Annotated[
    Mapping[str, Secret],
    BeforeValidator(_lower_names),
    AfterValidator(_check_headers),
    WithJsonSchema(
        {
            "type": ["object", "null"],
            "additionalProperties": {"type": "string", "minLength": 1, "writeOnly": True},
        }
    ),
]


class Tls(Section):
    """TLS of the connection to the platform, for `grpcs://`."""

    ca_file: FilePath | None = Field(
        default=None,
        description="PEM file of the authorities to trust. Default null: the system's; with it, only these.",
    )
    cert_file: FilePath | None = Field(
        default=None,
        description="PEM file of the client's certificate, for mutual TLS. Default null: none is shown.",
    )
    key_file: FilePath | None = Field(
        default=None, description="PEM file of its key; with `cert_file` only. Default null."
    )
    server_name: Text | None = Field(
        default=None,
        description=(
            "Name that the server's certificate must carry, where it differs from the endpoint's host (a "
            "tunnel, an IP address). Default null: the endpoint's host."
        ),
    )

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Tls:
        if (self.cert_file is None) != (self.key_file is None):
            given, absent = ("cert_file", "key_file") if self.key_file is None else ("key_file", "cert_file")
            raise ValueError(f"has {given} without {absent}; mutual TLS needs both")
        return self


class IgniteSettings(Section):
    """Where the platform is and who the daemon is there."""

    endpoint: GrpcEndpoint = Field(
        description=(
            "`grpcs://host:port` for gRPC or `https://host:port` for the HTTP gateway (TLS, port 443 where "
            "none is given); `grpc://` and `http://` are the same in plaintext (port 80). For example "
            "`grpcs://rpc.dodil.io:443`. Prefer gRPC: it is faster, and its framing is documented. With TLS "
            "the proxy that HTTPS_PROXY names is used, unless NO_PROXY names the host; in plaintext none is."
        )
    )
    organization: Text = Field(
        description="Name of the organization whose apps are followed, as the platform writes it."
    )
    auth: Auth = Field(description="How the daemon proves who it is; `type` chooses.")
    headers: Headers = Field(
        default_factory=dict,
        description=(
            "Extra metadata on every call, name to value. Default none. Values are treated as secrets."
        ),
    )
    tls: Tls = Field(default_factory=Tls, description="TLS of the connection.")


class AppsSettings(Section):
    """Which apps are followed."""

    include: tuple[Text, ...] = Field(
        default=("*",),
        min_length=1,
        description=(
            'Names or globs (`*`, `?`, `[abc]`). Default `["*"]`: every app, also those deployed later. '
            "Exact names alone work without the right to list apps."
        ),
    )
    exclude: tuple[Text, ...] = Field(
        default=(),
        description="Names or globs that are left out again; exclude wins over include. Default none.",
    )

    @model_validator(mode="after")
    def _something_is_left(self) -> AppsSettings:
        def excluded(pattern: str) -> bool:
            exact = not any(magic in pattern for magic in "*?[")
            return any(
                gone in ("*", pattern) or (exact and fnmatchcase(pattern, gone)) for gone in self.exclude
            )

        if all(excluded(pattern) for pattern in self.include):
            raise ValueError("excludes everything that it includes, so no app would be followed")
        return self


class CollectSettings(Section):
    """What is collected of each app."""

    poll_interval: Annotated[float, DurationIn("100ms", "10m")] = Field(
        default=5.0,
        description=(
            "How often each app's replicas are listed (ListAppReplicas). Default `5s`: a pod can live for "
            "seconds, and its log goes with it. An event or a line from an unknown replica asks at once, "
            "whatever this says."
        ),
    )
    logs: bool = Field(default=True, description="Collect stdout and stderr. Default true.")
    events: bool = Field(
        default=True,
        description="Collect pod events (OOM kills, failed probes, wake and sleep). Default true.",
    )
    builds: bool = Field(
        default=True,
        description=(
            "Collect what builds and compiles print, each once, before the platform forgets it (after 3 days). Default "
            "true. What the platform does not offer is said once and asked for again each hour."
        ),
    )
    build_ids: Annotated[Mapping[Text, Texts], Shown("apps with their build ids")] = Field(
        default={},
        description=(
            "Builds to read, by app: `{checkout: [bld_01HZX9]}`. Default none. Needed only for image builds that the "
            "platform's own list does not connect with an app."
        ),
    )

    @model_validator(mode="after")
    def _something_is_collected(self) -> CollectSettings:
        if not (self.logs or self.events or self.builds):
            raise ValueError("turns logs, events and builds off, so nothing would be collected")
        return self
