"""What `shipper check --connect` finds out about Datadog, by Datadog's own client, and that it writes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shipper.sinks.port import Delivered, Outcome, Parked, Rejected, Retry
from tests.integration.datadog.conftest import Opened, opened
from tests.servers.datadog_intake import Canned, DatadogIntake, Fault
from tests.servers.http_proxy import HttpProxy
from tests.servers.process import free_port
from tests.servers.tls import Tls


async def checked(url: str, **options: Any) -> Outcome:
    async with opened(url, **options) as sink:
        return await sink.check()


async def test_a_key_that_is_known_is_well_and_nothing_is_written(harness: Opened) -> None:
    outcome = await harness.sink.check()
    host = harness.intake.url.removeprefix("http://")
    assert outcome == Delivered(f"{host} knows the key, {host} answers")
    assert [request.path for request in harness.intake.requests] == ["/api/v1/validate", "/api/v2/logs"]
    assert harness.intake.logs == []


@pytest.mark.parametrize("status", [202, 400])
async def test_whatever_the_intake_says_about_no_logs_it_is_there(harness: Opened, status: int) -> None:
    harness.intake.plan([Canned(status)])
    assert isinstance(await harness.sink.check(), Delivered)


async def test_a_key_that_is_not_known_says_what_the_usual_cause_is(
    intake: DatadogIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DD_API_KEY", "0123456789abcdef0123456789abcdef")  # the client must not take this one
    outcome = await checked(intake.url, api_key="of-another-site")
    assert isinstance(outcome, Parked)
    assert outcome.reason.startswith("403 Forbidden")
    assert "check `api_key`" in outcome.reason
    assert len(intake.requests) == 1  # the client tries nothing twice


async def test_an_api_that_answers_and_an_intake_that_does_not_are_told_apart(harness: Opened) -> None:
    """They are two hosts, and a firewall may know but one of them."""
    harness.intake.plan([Canned(403, body="blocked by policy")])
    outcome = await harness.sink.check()
    assert isinstance(outcome, Parked)
    assert "blocked by policy" in outcome.reason
    harness.intake.plan([Fault.RESET])
    assert isinstance(await harness.sink.check(), Retry)
    harness.intake.plan([Canned(413)])
    assert isinstance(await harness.sink.check(), Rejected)


async def test_nobody_at_the_address_is_said() -> None:
    outcome = await checked(f"http://127.0.0.1:{free_port()}")
    assert isinstance(outcome, Retry)
    assert "Connection refused" in outcome.reason


async def test_a_server_that_proves_nothing_is_said(tls: Tls) -> None:
    async with DatadogIntake(tls=tls.server_context()) as intake:
        outcome = await checked(intake.url)
        assert intake.requests == []
        assert isinstance(await checked(intake.url, ca_file=tls.ca_file), Delivered)
    assert isinstance(outcome, Parked)
    assert "does not prove who it is" in outcome.reason


async def test_the_proxy_of_the_environment_is_used_by_both_ways(
    intake: DatadogIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HttpProxy() as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert isinstance(await checked(intake.url), Delivered)
        assert [first.split()[0] for first in proxy.asked] == ["GET", "POST"]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert isinstance(await checked(intake.url), Delivered)
        assert len(proxy.asked) == 2


async def test_a_proxy_that_wants_credentials_is_said(
    intake: DatadogIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with HttpProxy("407 Proxy Authentication Required") as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.url)
        outcome = await checked(intake.url)
    assert isinstance(outcome, Parked)
    assert "the proxy on the way wants credentials" in outcome.reason


async def test_the_event_loop_goes_on_while_the_client_works(harness: Opened) -> None:
    release = asyncio.Event()
    harness.intake.hold_validation = release
    checking = asyncio.create_task(harness.sink.check(), name="check")
    await harness.intake.arrived.wait()
    assert not checking.done()
    release.set()
    assert isinstance(await checking, Delivered)
