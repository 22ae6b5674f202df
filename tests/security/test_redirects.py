"""No answer can send a token, a key or a batch somewhere else."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from shipper.config.secret import Secret
from shipper.telemetry.crashes import reported
from shipper.telemetry.redaction import Redaction
from tests.security.clients import CLIENTS, GOOD, SECRET, Client
from tests.servers.listener import Heard, Listener, listening

OVER_HTTP_1 = {name: client for name, client in CLIENTS.items() if name != "grpc"}  # it has a test of its own


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("client", OVER_HTTP_1.values(), ids=OVER_HTTP_1)
async def test_a_redirect_is_a_refusal_and_brings_nothing_to_where_it_leads(
    client: Client, status: int
) -> None:
    async with listening(Listener(headers={"ETag": '"x"'})) as elsewhere:
        to = {"Location": f"{elsewhere.url}/elsewhere"}
        async with listening(Listener(status=status, headers=to)) as listener:
            answer = await client(listener.url, None)
    assert len(listener.heard) == 1
    assert says_secret(listener.heard[0])  # it would have been there to be carried on
    assert elsewhere.heard == []
    assert answer != GOOD
    assert SECRET not in answer


async def test_s3_does_not_run_after_redirects_of_a_store_that_asks_for_another_region(
    tmp_path: Path,
) -> None:
    """botocore answers a region with one more request, to the configured endpoint and no other."""
    async with listening(Listener(headers={"ETag": '"x"'})) as elsewhere:
        headers = {"Location": elsewhere.url, "x-amz-bucket-region": f"evil.example/{elsewhere.port}"}
        async with listening(Listener(status=301, headers=headers)) as listener:
            answer = await CLIENTS["s3"](listener.url, None)
    assert elsewhere.heard == []
    assert len(listener.heard) <= 2
    assert answer != GOOD


@pytest.mark.parametrize("status", [302, 307, 308])
async def test_a_report_of_the_daemons_own_fault_is_not_carried_elsewhere(status: int) -> None:
    def crash(dsn: str) -> None:
        with reported(Secret(dsn), Redaction()):
            logging.getLogger("shipper.tests").error("it broke", exc_info=KeyError("one"))

    async with (
        listening(Listener()) as elsewhere,
        listening(Listener(status=status, headers={"Location": elsewhere.url})) as listener,
    ):
        await asyncio.to_thread(crash, f"http://{SECRET}@127.0.0.1:{listener.port}/1")
    assert len(listener.heard) == 1
    assert elsewhere.heard == []


def says_secret(heard: Heard) -> bool:
    return SECRET in str(heard.headers) or SECRET.encode() in heard.body
