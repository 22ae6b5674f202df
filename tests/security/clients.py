"""Everything that sends a secret over HTTP, each behind one call: where to, whom to trust, and what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from shipper.config.platform import IgniteSettings
from shipper.ignite.connect import connect
from shipper.ignite.status import CallFailed
from shipper.ignite.token_endpoint import TokenEndpoint
from shipper.sinks.datadog.body import Body, Destination
from shipper.sinks.datadog.intake import Intake as DatadogIntake
from shipper.sinks.datadog.options import DatadogOptions
from shipper.sinks.port import Delivered
from shipper.sinks.s3.options import S3Options
from shipper.sinks.s3.sink import S3Sink
from shipper.sinks.sentry.intake import Address
from shipper.sinks.sentry.intake import Intake as SentryIntake
from tests.integration.sink_conformance import sealed

SECRET: Final = "0badc0de0badc0de0badc0de0badc0de"
"""The token, the key, the client secret: whatever a client has to hide."""

GOOD: Final = "good"
Client = Callable[[str, Path | None], Awaitable[str]]
"""Makes one request to a URL, trusting a CA file, else the system; says GOOD, or why not."""


async def platform(url: str, ca_file: Path | None) -> str:
    """gRPC, or the HTTP gateway: the scheme of the URL decides."""
    platform = connect(
        IgniteSettings.model_validate(
            {
                "endpoint": url,
                "organization": "acme",
                "auth": {"type": "token", "token": SECRET},
                "tls": {"ca_file": ca_file and str(ca_file)},
            }
        )
    )
    try:
        await platform.list_apps()
    except CallFailed as failure:
        return str(failure)
    finally:
        await platform.aclose()
    return GOOD


async def grpc(url: str, ca_file: Path | None) -> str:
    """The platform over gRPC."""
    return await platform(url.replace("http", "grpc", 1), ca_file)


async def token_endpoint(url: str, ca_file: Path | None) -> str:
    """It has no setting for authorities of its own: the system's, or SSL_CERT_FILE."""
    endpoint = TokenEndpoint(f"{url}/token", "account", SECRET, retry_for_s=0.0)
    try:
        await endpoint()
    except CallFailed as failure:
        return str(failure)
    return GOOD


async def s3(url: str, ca_file: Path | None) -> str:
    """An upload, with a session token as roles have it."""
    options = S3Options(
        bucket="logs",
        region="eu-central-1",
        endpoint_url=url,
        ca_file=ca_file,
        access_key_id="AKIAEXAMPLE",
        secret_access_key="not sent at all",
        session_token=SECRET,
        timeout_s=10.0,
    )
    sink = S3Sink("archive", options)
    await sink.open()
    try:
        one = sealed()
        outcome = await sink.send(one.batch, one.frames)
    finally:
        await sink.aclose()
    return GOOD if isinstance(outcome, Delivered) else outcome.reason


async def datadog(url: str, ca_file: Path | None) -> str:
    """One request to the logs intake."""
    intake = DatadogIntake(DatadogOptions(api_key=SECRET, endpoint_url=url, ca_file=ca_file))
    await intake.open()
    try:
        answer = await intake.post(Body(Destination.LOGS, b'[{"message":"private"}]'), 10.0)
    finally:
        await intake.aclose()
    return GOOD if isinstance(answer, Delivered) else str(answer)


async def sentry(url: str, ca_file: Path | None) -> str:
    """One envelope."""
    address = Address.of(f"{url.replace('://', f'://{SECRET}@')}/1")
    intake = SentryIntake(address, ca_file, 1)
    await intake.open()
    try:
        async with asyncio.timeout(10.0):
            reply = await intake.post(b"private")
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    finally:
        await intake.aclose()
    return GOOD if reply.status == 200 else f"{reply.status}"


CLIENTS: Final[dict[str, Client]] = {
    "grpc": grpc,
    "gateway": platform,
    "token": token_endpoint,
    "s3": s3,
    "datadog": datadog,
    "sentry": sentry,
}
