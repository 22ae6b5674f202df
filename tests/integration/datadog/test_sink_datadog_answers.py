"""What each answer of Datadog, and the absence of one, means for a parcel."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shipper.sinks.datadog.body import Body, Destination
from shipper.sinks.datadog.sink import DatadogSink
from shipper.sinks.port import Answer, Delivered, Malformed, Parcel, Parked, Retry, TooLarge
from tests.integration.datadog.conftest import Opened, opened
from tests.integration.record_sink_conformance import PARTITION, lines
from tests.servers.datadog_intake import Canned, DatadogIntake, Fault
from tests.servers.http_proxy import HttpProxy
from tests.servers.process import free_port
from tests.servers.tls import Tls


async def sent(sink: DatadogSink, count: int = 3) -> Answer:
    (parcel,) = sink.pack(PARTITION, lines(count))
    return await sink.send(parcel)


def of(data: bytes) -> Parcel:
    return Parcel(0, 1, 1, Body(Destination.LOGS, data))


@pytest.mark.parametrize(
    ("status", "headers", "kind", "after_s"),
    [
        (202, {}, Delivered, None),
        (200, {}, Delivered, None),
        (400, {}, Malformed, None),
        (401, {}, Parked, None),
        (403, {}, Parked, None),
        (404, {}, Parked, None),
        (408, {}, Retry, None),
        (413, {}, TooLarge, None),
        (429, {"X-RateLimit-Reset": "17"}, Retry, 17.0),
        (429, {"Retry-After": "3"}, Retry, 3.0),
        (500, {}, Retry, None),
        (503, {"Retry-After": "120"}, Retry, 120.0),
        (301, {"Location": "https://elsewhere.example/"}, Parked, None),
    ],
)
async def test_each_status_has_its_meaning(
    harness: Opened, status: int, headers: dict[str, str], kind: type[Answer], after_s: float | None
) -> None:
    harness.intake.plan([Canned(status, headers, '{"errors":["because"]}')])
    answer = await sent(harness.sink)
    assert type(answer) is kind
    assert getattr(answer, "after_s", None) == after_s
    if not isinstance(answer, Delivered):
        assert str(status) in answer.reason
        assert "because" in answer.reason
    assert len(harness.intake.requests) == 1  # nothing is tried twice, and no redirect followed


async def test_a_key_of_another_site_is_named_as_the_likely_cause(intake: DatadogIntake) -> None:
    async with opened(intake.url, api_key="of-another-site", site="datadoghq.eu") as sink:
        answer = await sent(sink)
    assert answer == Parked(
        '403 Forbidden ({"errors": [{"status": "403", "detail": "Forbidden"}]}): check `api_key`, and that what is at '
        "`endpoint_url` passes it on"
    )
    assert intake.logs == []


async def test_what_the_intake_refuses_by_its_own_rules_is_told_apart(harness: Opened) -> None:
    """Not that this sink would send such parcels; but it is these answers that make delivery halve and bury."""
    answers = [
        await harness.sink.send(of(data))
        for data in (
            b"[" + b",".join([b'{"message":"x"}'] * 1001) + b"]",
            b'[{"message":"' + b"x" * 5_000_000 + b'"}]',
            b'[{"msg":"no message"}]',
            b"not JSON",
        )
    ]
    assert [type(answer) for answer in answers] == [Malformed, TooLarge, Malformed, Malformed]


async def test_a_web_page_is_no_delivery(harness: Opened) -> None:
    """A captive portal or a wrong host answers 200 to everything."""
    harness.intake.plan([Canned(200, body="<html>Please log in</html>", content_type="text/html")])
    answer = await sent(harness.sink)
    assert isinstance(answer, Retry)
    assert "web page" in answer.reason
    assert "Please log in" in answer.reason


async def test_an_answer_that_never_comes_is_a_retry_at_the_deadline(intake: DatadogIntake) -> None:
    intake.plan([Fault.HANG])
    async with opened(intake.url, timeout_s=0.2) as sink:
        answer = await sent(sink)
    assert isinstance(answer, Retry)
    assert answer.reason.endswith("did not answer in time")


async def test_a_connection_that_breaks_is_a_retry(harness: Opened) -> None:
    harness.intake.plan([Fault.RESET])
    answer = await sent(harness.sink)
    assert isinstance(answer, Retry)
    assert "127.0.0.1" in answer.reason
    assert isinstance(await sent(harness.sink), Delivered)


async def test_logs_whose_answer_was_lost_arrive_twice(harness: Opened) -> None:
    """What at least once means: Datadog's logs have no identity."""
    harness.intake.plan([Fault.LOSE_ANSWER])
    assert isinstance(await sent(harness.sink), Retry)
    assert isinstance(await sent(harness.sink), Delivered)
    assert harness.intake.messages == ["0", "1", "2"] * 2


async def test_nobody_at_the_address_is_a_retry() -> None:
    async with opened(f"http://127.0.0.1:{free_port()}") as sink:
        answer = await sent(sink)
    assert isinstance(answer, Retry)
    assert "Connection refused" in answer.reason


async def test_a_name_that_nobody_knows_is_a_retry() -> None:
    async with opened("http://nowhere.invalid") as sink:
        answer = await sent(sink)
    assert isinstance(answer, Retry)
    assert "nowhere.invalid" in answer.reason


# ---- TLS ----


async def test_a_server_is_believed_by_the_authority_that_is_configured(tls: Tls) -> None:
    async with (
        DatadogIntake(tls=tls.server_context()) as intake,
        opened(intake.url, ca_file=tls.ca_file) as sink,
    ):
        assert isinstance(await sent(sink), Delivered)
        assert intake.messages == ["0", "1", "2"]


async def test_a_server_that_proves_nothing_gets_nothing(tls: Tls) -> None:
    async with DatadogIntake(tls=tls.server_context()) as intake, opened(intake.url) as sink:
        answer = await sent(sink)
        assert intake.requests == []
    assert isinstance(answer, Parked)
    assert "does not prove who it is" in answer.reason


async def test_a_file_of_authorities_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        async with opened("https://127.0.0.1:1", ca_file=tmp_path / "missing.pem"):
            pass


# ---- proxies ----


def through(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, url)


@pytest.mark.parametrize("secure", [False, True])
async def test_proxies_of_the_environment_are_used(
    monkeypatch: pytest.MonkeyPatch, tls: Tls, secure: bool
) -> None:
    async with DatadogIntake(tls=tls.server_context() if secure else None) as intake, HttpProxy() as proxy:
        through(monkeypatch, proxy.url)
        async with opened(intake.url, ca_file=tls.ca_file) as sink:
            assert isinstance(await sent(sink), Delivered)
        assert proxy.asked[0].startswith("CONNECT" if secure else "POST")
        assert len(intake.messages) == 3


@pytest.mark.parametrize("secure", [False, True])
async def test_a_proxy_that_wants_credentials_parks_and_says_so(
    monkeypatch: pytest.MonkeyPatch, secure: bool
) -> None:
    async with HttpProxy("407 Proxy Authentication Required") as proxy:
        through(monkeypatch, proxy.url)
        async with opened(f"{'https' if secure else 'http'}://intake.example") as sink:
            answer = await sent(sink)
    assert isinstance(answer, Parked)
    assert answer.reason.startswith("407 Proxy Authentication Required")
    assert answer.reason.endswith("the proxy on the way wants credentials")


async def test_a_proxy_that_is_away_is_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    through(monkeypatch, f"http://127.0.0.1:{free_port()}")
    async with opened("https://intake.example") as sink:
        answer = await sent(sink)
    assert isinstance(answer, Retry)
    assert answer.reason == "the proxy on the way to intake.example cannot be reached (Connection refused)"


async def test_a_slow_answer_delays_no_other(harness: Opened) -> None:
    release = asyncio.Event()
    harness.intake.plan([Canned(202, after=release)])
    slow = asyncio.create_task(sent(harness.sink), name="slow")
    await harness.intake.arrived.wait()
    assert isinstance(await sent(harness.sink), Delivered)
    assert not slow.done()
    release.set()
    assert isinstance(await slow, Delivered)
