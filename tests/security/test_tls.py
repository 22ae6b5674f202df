"""Nobody gets a token, a key or a record who does not prove to be the server that was meant."""

from __future__ import annotations

import asyncio
import logging
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from shipper.config.secret import Secret
from shipper.telemetry.crashes import reported
from shipper.telemetry.redaction import Redaction
from tests.security.clients import CLIENTS, GOOD, SECRET, Client
from tests.servers.listener import Listener, listening

PAST = {"not_before": datetime(2019, 1, 1, tzinfo=UTC), "not_after": datetime(2020, 1, 1, tzinfo=UTC)}
# The token endpoint has no setting for an authority of its own: these have.
WITH_CA = {name: client for name, client in CLIENTS.items() if name != "token"}

ASK_FOR_A_TOKEN = """
import asyncio, sys
from tests.security.clients import token_endpoint
print(asyncio.run(token_endpoint(sys.argv[1], None)))
"""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def certified(authority: trustme.CA, *names: str, **options: datetime) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **options).configure_cert(context)
    return context


@asynccontextmanager
async def plaintext() -> AsyncIterator[tuple[str, bytearray]]:
    """A listener that speaks no TLS: where it is, and every byte that came."""
    came = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.extend(await reader.read(65_536))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", came


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
async def test_an_unknown_issuer_gets_nothing(client: Client, authority: trustme.CA) -> None:
    async with listening(Listener(), certified(authority, "127.0.0.1")) as server:
        answer = await client(server.url, None)
    assert server.heard == []
    assert answer != GOOD
    assert "certificate" in answer or "does not prove who it is" in answer


@pytest.mark.parametrize("client", WITH_CA.values(), ids=WITH_CA)
async def test_another_authority_than_the_configured_one_gets_nothing(client: Client, ca_file: Path) -> None:
    async with listening(Listener(), certified(trustme.CA(), "127.0.0.1")) as server:
        answer = await client(server.url, ca_file)
    assert server.heard == []
    assert answer != GOOD


@pytest.mark.parametrize("client", WITH_CA.values(), ids=WITH_CA)
async def test_a_certificate_for_another_name_gets_nothing(
    client: Client, authority: trustme.CA, ca_file: Path
) -> None:
    async with listening(Listener(), certified(authority, "elsewhere.example", "127.0.0.2")) as server:
        answer = await client(server.url, ca_file)
    assert server.heard == []
    assert answer != GOOD


@pytest.mark.parametrize("client", WITH_CA.values(), ids=WITH_CA)
async def test_a_certificate_that_has_expired_gets_nothing(
    client: Client, authority: trustme.CA, ca_file: Path
) -> None:
    async with listening(Listener(), certified(authority, "127.0.0.1", **PAST)) as server:
        answer = await client(server.url, ca_file)
    assert server.heard == []
    assert answer != GOOD


@pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
async def test_a_listener_without_tls_gets_nothing_that_can_be_read(client: Client) -> None:
    async with plaintext() as (url, came):
        answer = await client(url, None)
    assert came[:1] == b"\x16"  # a TLS handshake, whose first message has names and no secrets
    assert SECRET.encode() not in came
    assert answer != GOOD


@pytest.mark.parametrize("client", [client for name, client in WITH_CA.items() if name != "grpc"])
async def test_the_right_certificate_is_enough(client: Client, authority: trustme.CA, ca_file: Path) -> None:
    """Else the tests above would show nothing. gRPC has its own: tests/integration/test_ignite_tls.py."""
    answering = Listener(headers={"ETag": '"x"'}, body=b"" if client is CLIENTS["s3"] else b'{"apps": []}')
    async with listening(answering, certified(authority, "127.0.0.1")) as server:
        assert await client(server.url, ca_file) == GOOD
    assert SECRET in str(server.heard[0].headers)


@pytest.mark.parametrize(
    ("names", "options", "got"),
    [
        (("127.0.0.1",), {}, True),
        (("elsewhere.example",), {}, False),
        (("127.0.0.1",), PAST, False),
    ],
    ids=["right", "wrong name", "expired"],
)
async def test_the_token_endpoint_of_an_authority_that_the_system_trusts_is_checked_all_the_same(
    authority: trustme.CA, ca_file: Path, names: tuple[str, ...], options: dict[str, datetime], got: bool
) -> None:
    """aiohttp reads the system's authorities once in a process, so this one is asked in another."""
    grant = Listener(body=b'{"access_token": "t"}')
    async with listening(grant, certified(authority, *names, **options)) as server:
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", ASK_FOR_A_TOKEN, server.url],
            env={"SSL_CERT_FILE": str(ca_file), "PYTHONPATH": ".", "PATH": ""},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
    assert (ended.stdout.strip() == GOOD) is got
    assert bool(server.heard) is got
    assert SECRET not in ended.stdout + ended.stderr


async def test_a_report_of_the_daemons_own_fault_goes_to_no_unknown_issuer(authority: trustme.CA) -> None:
    def crash(dsn: str) -> None:
        with reported(Secret(dsn), Redaction()):
            logging.getLogger("shipper.tests").error("it broke", exc_info=KeyError("one"))

    async with listening(Listener(), certified(authority, "127.0.0.1")) as server:
        await asyncio.to_thread(crash, f"https://{SECRET}@127.0.0.1:{server.port}/1")
    assert server.heard == []
