"""The ways to the same platform: each transport and each form of streams, over one emulator."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from shipper.config.platform import IgniteSettings
from shipper.emulator import Emulator, Form, HttpStyle, Scenario
from shipper.emulator import Tls as EmulatedTls
from shipper.ignite.connect import connect
from shipper.ignite.gateway.platform import HttpPlatform
from shipper.ignite.grpc import GrpcPlatform
from tests.servers.h2_gateway import OverHttp2
from tests.servers.h2_server import H2Server
from tests.servers.relay import Relay
from tests.servers.tls import Tls, make_tls

Client = GrpcPlatform | HttpPlatform


@dataclass(frozen=True, slots=True)
class Way:
    """A transport. `style` is for HTTP."""

    name: str
    http: bool = False
    http2: bool = False
    tls: bool = False
    style: str = ""

    def __str__(self) -> str:
        return self.name


GRPC = Way("grpc")
HTTP = Way("http/1.1", http=True)
WAYS = (GRPC, HTTP, Way("http/1.1-tls", http=True, tls=True), Way("http/2", http=True, http2=True, tls=True))
FORMS = tuple(
    Way(f"http-{style}", http=True, style=style)
    for form in Form
    for style in (form.value, f"{form},envelope,snake,numbers,enum-numbers,sparse")
)


@dataclass(frozen=True, slots=True)
class Reached:
    """An emulator, a client of it, and the relay between the two."""

    ignite: Emulator
    platform: Client
    relay: Relay


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


@cache
def identity() -> Tls:
    """One authority and one server certificate for all tests of a process."""
    return make_tls(Path(_folder().name))


@asynccontextmanager
async def reached(
    way: Way, scenario: Scenario | None = None, *, call_timeout_s: float = 5.0, **settings: Any
) -> AsyncIterator[Reached]:
    """An emulator and a client that goes this way to it."""
    scenario = scenario or Scenario()
    style = HttpStyle().parsed(way.style)
    tls = EmulatedTls(identity().cert_file.read_bytes(), identity().key_file.read_bytes())
    scenario = replace(
        scenario, http=style if way.http and not way.http2 else None, tls=tls if way.tls else None
    )
    async with AsyncExitStack() as stack:
        ignite = await stack.enter_async_context(Emulator(scenario))
        address = ignite.http_address if way.http else ignite.address
        if way.http2:
            server = H2Server(OverHttp2(ignite.gateway), tls=identity().server_context())
            address = (await stack.enter_async_context(server)).address
        relay = await stack.enter_async_context(Relay(address))
        scheme = ("http" if way.http else "grpc") + ("s" if way.tls else "")
        auth = settings.pop("auth", {"type": "token", "token": scenario.token})
        platform = connect(
            IgniteSettings.model_validate(
                {
                    "endpoint": f"{scheme}://{relay.address}",
                    "organization": scenario.organization,
                    "auth": {"type": "none"} if auth is None else auth,
                    "tls": {"ca_file": identity().ca_file if way.tls else None},
                    **settings,
                }
            )
        )
        platform.call_timeout_s = call_timeout_s
        stack.push_async_callback(platform.aclose)
        yield Reached(ignite, platform, relay)
