"""What a configuration can say about Datadog, and that all of it reaches the sink."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper.config.datadog import DatadogSettings
from shipper.config.load import inspect
from shipper.model import Codec
from shipper.sinks.datadog.intake import advice
from shipper.sinks.datadog.options import DatadogOptions

IGNITE = "ignite: {endpoint: grpcs://h, organization: a, auth: {type: none}}\n"


def problems_of(tmp_path: Path, **settings: Any) -> list[str]:
    file = tmp_path / "shipper.yaml"
    section = {"type": "datadog", "api_key": "${KEY}"} | settings
    file.write_text(IGNITE + yaml.safe_dump({"sinks": {"search": section}}, default_style='"'))
    file.chmod(0o600)
    _, problems = inspect(file, {"KEY": "s3cr3t"})
    return [
        f"{problem.path.removeprefix('sinks.search').lstrip('.')}: {problem.message}" for problem in problems
    ]


def options(**settings: Any) -> DatadogOptions:
    return DatadogOptions.of(DatadogSettings.model_validate({"type": "datadog", "api_key": "k3y"} | settings))


def test_a_key_is_all_that_is_needed(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == []
    assert options() == DatadogOptions("k3y")


def test_every_setting_reaches_the_sink() -> None:
    section = {
        "site": "datadoghq.eu",
        "endpoint_url": "https://relay.internal",
        "ca_file": "/etc/ca.pem",
        "service": "{organization}-{app}",
        "source": "python",
        "hostname": "k8s-{node}",
        "tags": ["env:prod"],
        "compression": "zstd",
        "late": "drop",
        "events": "both",
        "concurrency": "7",
        "request_timeout": "5s",
    }
    assert options(**section) == DatadogOptions(
        api_key="k3y",
        site="datadoghq.eu",
        endpoint_url="https://relay.internal",
        ca_file=Path("/etc/ca.pem"),
        service="{organization}-{app}",
        source="python",
        hostname="k8s-{node}",
        tags=("env:prod",),
        compression=Codec.ZSTD,
        late="drop",
        events="both",
        concurrency=7,
        timeout_s=5.0,
    )


def test_the_key_is_in_no_repr() -> None:
    assert "k3y" not in repr(options())


@pytest.mark.parametrize(
    "written", ["datadoghq.eu", "app.datadoghq.eu", "https://app.datadoghq.eu/logs?query=x", "DATADOGHQ.EU"]
)
def test_a_site_is_what_the_browser_shows(written: str) -> None:
    assert options(site=written).site == "datadoghq.eu"


def test_a_site_decides_both_hosts_and_an_endpoint_replaces_them() -> None:
    assert options(site="us5.datadoghq.com").intake == "https://http-intake.logs.us5.datadoghq.com"
    assert options(site="us5.datadoghq.com").api == "https://api.us5.datadoghq.com"
    relayed = options(endpoint_url="http://127.0.0.1:8080/dd/")
    assert relayed.intake == relayed.api == "http://127.0.0.1:8080/dd"


def test_a_refused_key_is_blamed_on_its_site_unless_something_stands_between() -> None:
    at_datadog = advice(options(site="datadoghq.eu"))
    assert (
        at_datadog[403]
        == at_datadog[401]
        == ("check `api_key` and `site`: a key is known to its own site alone, and `site` is datadoghq.eu")
    )
    assert "`endpoint_url`" in advice(options(endpoint_url="https://relay.internal"))[403]


@pytest.mark.parametrize("written", [{"env": "prod", "team": "pay"}, ["env:prod", "team:pay"]])
def test_tags_are_a_list_or_a_mapping(written: Any) -> None:
    assert options(tags=written).tags == ("env:prod", "team:pay")
    assert options(tags=None).tags == ()


SITES = (
    "datadoghq.com, us3.datadoghq.com, us5.datadoghq.com, datadoghq.eu, ap1.datadoghq.com, ap2.datadoghq.com, "
    "uk1.datadoghq.com, ddog-gov.com, us2.ddog-gov.com"
)
TEMPLATE = (
    "has braces around something else than a name that is known here: "
    "{organization}, {app}, {replica}, {cluster}, {node}, {stream}"
)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"site": "datadog.eu"}, f'site: "datadog.eu" is not one of {SITES}; did you mean datadoghq.eu?'),
        ({"site": "us4.datadoghq.com"},
         f'site: "us4.datadoghq.com" is not one of {SITES}; did you mean us5.datadoghq.com?'),
        ({"api_key": ""}, "api_key: the value is empty"),
        ({"api_key": "k\u00e9y"}, "api_key: the value is not an API key; copy it from Organization Settings, API Keys"),
        ({"service": "{ap}"}, f'service: "{{ap}}" {TEMPLATE}'),
        ({"hostname": "{node"}, f'hostname: "{{node" {TEMPLATE}'),
        ({"source": "{}"}, f'source: "{{}}" {TEMPLATE}'),
        ({"tags": ["env prod"]},
         'tags[0]: "env prod" is not a tag: a letter first, no space or comma, at most 200 characters'),
        ({"tags": {"1st": "x"}},
         "tags: has '1st', which is not a tag: a letter first, no space or comma, at most 200 characters"),
        ({"tags": {"env": ["x"]}}, "tags: has 'env', which must be a text, not a list"),
        ({"tags": ["app:x"]},
         'tags[0]: "app:x" sets the tag app, which every record has of its own; choose another name'),
        ({"tags": "env:prod"}, 'tags: a list belongs here, not a text; write for example ["checkout-*"]'),
        ({"late": "keep"}, 'late: "keep" is not one of restamp, drop'),
        ({"events": "yes"}, 'events: "yes" is not one of logs, api, both, none'),
        ({"compression": "deflate"}, 'compression: "deflate" is not one of zstd, gzip, none'),
        ({"concurrency": "0"}, 'concurrency: "0" is out of range: 1 to 32'),
        ({"endpoint_url": "datadoghq.com"},
         'endpoint_url: "datadoghq.com" is not a URL; it begins with https:// (or http://)'),
        ({"app_key": "x"}, "app_key: unknown key; did you mean api_key?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_at_its_place(tmp_path: Path, settings: dict[str, Any], problem: str) -> None:
    assert problems_of(tmp_path, **settings) == [problem]


def test_two_sinks_may_write_to_one_account(tmp_path: Path) -> None:
    file = tmp_path / "shipper.yaml"
    section = {"type": "datadog", "api_key": "k"}
    file.write_text(IGNITE + yaml.safe_dump({"sinks": {"one": section, "two": section}}))
    file.chmod(0o600)
    assert inspect(file, {})[1] == []


@pytest.mark.parametrize("events", ["logs", "api"])
def test_datadogs_client_is_loaded_by_a_sink_that_sends_events_alone(events: str) -> None:
    code = (
        "import asyncio, sys\n"
        "from shipper.sinks.datadog.options import DatadogOptions\n"
        "from shipper.sinks.datadog.sink import DatadogSink\n"
        f"sink = DatadogSink('dd', DatadogOptions('k', events={events!r}))\n"
        "asyncio.run(sink.open())\n"
        "sys.exit('datadog_api_client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == (events == "api")
