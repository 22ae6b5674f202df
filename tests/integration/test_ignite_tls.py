"""TLS to the platform: who is trusted, who is not and what to do about it, client certificates, other names."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from shipper.config.platform import IgniteSettings
from shipper.emulator import Emulator, Scenario, Tls
from shipper.ignite.connect import connect
from shipper.ignite.grpc import GrpcPlatform
from shipper.ignite.status import CallFailed, Code
from shipper.model import App
from tests.servers.h2_platform import APP, serving
from tests.servers.h2_server import Exchange, H2Server


@dataclass(frozen=True)
class Authority:
    """A certificate authority whose files lie in a folder."""

    ca: trustme.CA
    folder: Path

    @property
    def ca_file(self) -> str:
        path = self.folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(path))
        return str(path)

    def server(self, *names: str, **options: Any) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*(names or ("127.0.0.1", "localhost")), **options).configure_cert(context)
        return context

    def client(self) -> dict[str, str]:
        """Settings for mutual TLS."""
        cert = self.ca.issue_cert("shipper@acme.example")
        (self.folder / "client.pem").write_bytes(b"".join(blob.bytes() for blob in cert.cert_chain_pems))
        cert.private_key_pem.write_to_path(str(self.folder / "client.key"))
        return {"cert_file": str(self.folder / "client.pem"), "key_file": str(self.folder / "client.key")}


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(trustme.CA(), tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> Authority:
    folder = tmp_path / "other"
    folder.mkdir()
    return Authority(trustme.CA(), folder)


async def replicas(exchange: Exchange) -> None:
    await exchange.answer(b"")


@asynccontextmanager
async def platform_at(
    endpoint: str, auth: dict[str, str] | None = None, **tls: str
) -> AsyncIterator[GrpcPlatform]:
    settings = IgniteSettings.model_validate(
        {"endpoint": endpoint, "organization": APP.organization, "auth": auth or {"type": "none"}, "tls": tls}
    )
    platform = connect(settings)
    try:
        yield platform
    finally:
        await platform.aclose()


async def refusal(context: ssl.SSLContext | None, host: str = "127.0.0.1", **tls: str) -> str:
    async with H2Server(serving(ListAppReplicas=replicas), tls=context) as server:
        port = server.address.rpartition(":")[2]
        async with platform_at(f"grpcs://{host}:{port}", **tls) as platform:
            with pytest.raises(CallFailed) as failure:
                await platform.list_replicas(APP)
    assert (
        failure.value.status.code is Code.UNAVAILABLE
    )  # tried again: certificates are mended without a restart
    return str(failure.value)


async def accepted(context: ssl.SSLContext, host: str = "127.0.0.1", **tls: str) -> H2Server:
    async with H2Server(serving(ListAppReplicas=replicas), tls=context) as server:
        port = server.address.rpartition(":")[2]
        async with platform_at(f"grpcs://{host}:{port}", **tls) as platform:
            assert await platform.list_replicas(APP) == []
    return server


async def test_the_emulator_over_tls_with_a_token_is_read(authority: Authority) -> None:
    cert = authority.ca.issue_cert("127.0.0.1")
    identity = Tls(b"".join(blob.bytes() for blob in cert.cert_chain_pems), cert.private_key_pem.bytes())
    async with Emulator(Scenario(tls=identity)) as ignite:
        pod = ignite.app("checkout").start_replica()
        token = {"type": "token", "token": ignite.scenario.token or ""}
        async with platform_at(ignite.endpoint, token, ca_file=authority.ca_file) as platform:
            (replica,) = await platform.list_replicas(App(ignite.scenario.organization, "checkout"))
            assert replica.replica_id == pod.replica_id


async def test_an_authority_that_is_not_trusted_is_said_with_what_to_do(
    authority: Authority, other: Authority
) -> None:
    for tls in ({"ca_file": other.ca_file}, {}):  # another's, and the system's
        message = await refusal(authority.server(), **tls)
        assert "not signed by a trusted authority" in message
        assert "ignite.tls.ca_file" in message


async def test_a_certificate_for_another_name_is_said_with_what_to_do(authority: Authority) -> None:
    message = await refusal(authority.server("ignite.example"), ca_file=authority.ca_file)
    assert "for another name" in message
    assert "ignite.tls.server_name" in message


async def test_a_certificate_that_has_expired_is_said(authority: Authority) -> None:
    past = authority.server(
        "127.0.0.1", not_before=datetime(2019, 1, 1, tzinfo=UTC), not_after=datetime(2020, 1, 1, tzinfo=UTC)
    )
    assert "has expired" in await refusal(past, ca_file=authority.ca_file)


async def test_a_server_without_tls_is_said_with_what_to_do() -> None:
    assert "write grpc:// (or http://) for plaintext" in await refusal(None)


async def test_a_server_with_tls_that_is_spoken_to_without_is_said_with_what_to_do(
    authority: Authority,
) -> None:
    async with (
        H2Server(serving(), tls=authority.server()) as server,
        platform_at(f"grpc://{server.address}") as platform,
    ):
        with pytest.raises(CallFailed, match="if it speaks TLS, write grpcs://"):
            await platform.list_replicas(APP)


async def test_a_client_certificate_is_shown_where_the_server_wants_one(authority: Authority) -> None:
    context = authority.server()
    authority.ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    await accepted(context, ca_file=authority.ca_file, **authority.client())


async def test_a_client_certificate_that_is_missing_is_said_with_what_to_do(authority: Authority) -> None:
    context = authority.server()
    authority.ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    message = await refusal(context, ca_file=authority.ca_file)
    assert "if it wants a client certificate, set ignite.tls.cert_file" in message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_name_of_the_certificate_may_differ_from_the_endpoints_host(
    authority: Authority, host: str
) -> None:
    server = await accepted(
        authority.server("ignite.example"), host, ca_file=authority.ca_file, server_name="Ignite.Example"
    )
    assert server.exchanges[-1].headers[":authority"].startswith("ignite.example:")


async def test_another_name_does_not_make_a_wrong_certificate_right(authority: Authority) -> None:
    message = await refusal(
        authority.server("elsewhere.example"), ca_file=authority.ca_file, server_name="ignite.example"
    )
    assert "for another name" in message


async def test_an_endpoint_behind_another_name_that_is_down_is_unavailable(authority: Authority) -> None:
    async with H2Server(serving(), tls=authority.server("ignite.example")) as server:
        address = server.address
    async with platform_at(
        f"grpcs://{address}", ca_file=authority.ca_file, server_name="ignite.example"
    ) as platform:
        with pytest.raises(CallFailed) as failure:
            await platform.list_replicas(APP)
    assert failure.value.status.code is Code.UNAVAILABLE
