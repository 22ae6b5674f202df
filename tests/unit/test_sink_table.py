"""From the configuration's sections to sinks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from shipper.config.destinations import S3Settings, SinkSettings
from shipper.model import Codec
from shipper.sinks import SINKS, make_sink, takes_records
from shipper.sinks.datadog.sink import DatadogSink
from shipper.sinks.directory.sink import DirectorySink
from shipper.sinks.s3.connection import Connection, client_config, is_aws
from shipper.sinks.s3.options import S3Options
from shipper.sinks.s3.sink import S3Sink
from shipper.sinks.sentry.event_kinds import EventFailure
from shipper.sinks.sentry.options import SentryOptions
from shipper.sinks.sentry.sink import SentrySink
from shipper.sinks.stdout import StdoutSink

SETTINGS: TypeAdapter[Any] = TypeAdapter(SinkSettings)


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ({"type": "s3", "bucket": "acme-logs"}, S3Sink),
        ({"type": "directory", "path": "archive"}, DirectorySink),
        ({"type": "stdout"}, StdoutSink),
        ({"type": "datadog", "api_key": "key"}, DatadogSink),
        ({"type": "sentry", "dsn": "https://key@sentry.example.com/7"}, SentrySink),
    ],
)
async def test_each_type_makes_its_sink(section: dict[str, str], kind: type) -> None:
    sink = make_sink("archive", SETTINGS.validate_python(section))
    assert type(sink) is kind
    assert sink.name == "archive"
    assert takes_records(sink) == (kind in (DatadogSink, SentrySink))
    await sink.aclose()


async def test_a_sentry_sink_needs_nothing_global() -> None:
    code = """if True:
        import asyncio, threading
        from shipper.sinks.sentry.options import SentryOptions
        from shipper.sinks.sentry.sink import SentrySink
        async def main():
            sinks = [SentrySink(name, SentryOptions(f"https://{name}@sentry.example.com/7")) for name in "ab"]
            for sink in sinks:
                await sink.open()
            import sentry_sdk
            assert not sentry_sdk.get_client().is_active()
            assert threading.active_count() == 1
            for sink in sinks:
                await sink.aclose()
        asyncio.run(main())
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_sentrys_sdk_is_loaded_by_a_sentry_sink_alone() -> None:
    code = "import sys, shipper.sinks, shipper.sinks.sentry.sink; sys.exit('sentry_sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_type_of_the_configuration_has_a_row() -> None:
    assert set(SINKS) == set(SETTINGS.json_schema()["discriminator"]["mapping"])


@pytest.mark.parametrize("client", ["aiobotocore", "datadog_api_client", "sentry_sdk"])
def test_the_table_alone_loads_no_client(client: str) -> None:
    code = f"import sys, shipper.sinks; sys.exit({client!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_setting_of_s3_reaches_the_sink() -> None:
    section = {
        "type": "s3",
        "bucket": "acme-logs",
        "prefix": "ignite",
        "region": "eu-central-1",
        "endpoint_url": "https://s3.example.com",
        "ca_file": "/etc/ca.pem",
        "addressing_style": "virtual",
        "compression": "gzip",
        "storage_class": "STANDARD_IA",
        "sse": {"type": "aws:kms", "kms_key_id": "alias/logs", "bucket_key": False},
        "if_none_match": True,
        "expected_bucket_owner": "123456789012",
        "request_timeout": "45s",
        "access_key_id": "id",
        "secret_access_key": "s3cret",
        "session_token": "t0ken",
    }
    assert S3Options.of(S3Settings.model_validate(section)) == S3Options(
        bucket="acme-logs",
        prefix="ignite",
        region="eu-central-1",
        endpoint_url="https://s3.example.com",
        ca_file=Path("/etc/ca.pem"),
        addressing_style="virtual",
        compression=Codec.GZIP,
        storage_class="STANDARD_IA",
        encryption="aws:kms",
        kms_key_id="alias/logs",
        bucket_key=False,
        if_none_match=True,
        expected_bucket_owner="123456789012",
        timeout_s=45.0,
        access_key_id="id",
        secret_access_key="s3cret",
        session_token="t0ken",
    )


@pytest.mark.parametrize(
    ("chosen", "endpoint_url", "style"),
    [
        ("auto", None, "auto"),
        ("auto", "https://s3.example.com", "path"),
        ("virtual", "https://s3.example.com", "virtual"),
        ("path", None, "path"),
    ],
)
def test_the_addressing_style_follows_the_endpoint_unless_told(
    chosen: Any, endpoint_url: str | None, style: str
) -> None:
    config = client_config(S3Options("b", endpoint_url=endpoint_url, addressing_style=chosen))
    assert config.s3["addressing_style"] == style


async def test_amazon_is_recognised_by_the_endpoint_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"access_key_id": "id", "secret_access_key": "secret"}
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    for endpoint_url, expected in ((None, True), ("https://amazonaws.com.example.com", False)):
        connection = Connection(S3Options("b", endpoint_url=endpoint_url, **keys))
        client = await connection.client()
        assert is_aws(client) is expected
        assert client.meta.region_name == "eu-west-1"
        await connection.aclose()


def test_every_setting_of_sentry_reaches_the_sink() -> None:
    section = {
        "type": "sentry",
        "dsn": "https://key@sentry.example.com/7",
        "ca_file": "/etc/ca.pem",
        "environment": "staging",
        "release": "{app}@1",
        "issues": {"events": ["evicted"], "tracebacks": "false"},
        "issues_per_hour": "7",
        "breadcrumbs": "5",
        "archive": "s3://acme-logs/ignite",
        "tags": {"team": "payments"},
        "longest_hold": "5m",
        "max_age": "1h",
        "request_timeout": "45s",
        "concurrency": "2",
    }
    settings = SETTINGS.validate_python(section)
    assert SentryOptions.of(settings) == SentryOptions(
        dsn="https://key@sentry.example.com/7",
        ca_file=Path("/etc/ca.pem"),
        environment="staging",
        release="{app}@1",
        events=frozenset({EventFailure.EVICTED}),
        tracebacks=False,
        issues_per_hour=7,
        breadcrumbs=5,
        archive="s3://acme-logs/ignite",
        tags={"team": "payments"},
        longest_hold_s=300.0,
        max_age_s=3600.0,
        timeout_s=45.0,
        concurrency=2,
    )
    assert "key@" not in repr(SentryOptions.of(settings))
    dropping = SETTINGS.validate_python(section | {"on_rate_limit": "drop"})
    assert SentryOptions.of(dropping).longest_hold_s == 0.0
    defaults = SETTINGS.validate_python({"type": "sentry", "dsn": section["dsn"]})
    assert SentryOptions.of(defaults) == SentryOptions(section["dsn"])
