"""The configuration of a run's daemon: what a user would write, with short times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.chaos.stores import BUCKET
from tests.servers.datadog_intake import KEY
from tests.servers.s3 import ACCESS_KEY, REGION, SECRET_KEY

if TYPE_CHECKING:
    from tests.chaos.site import Site


def configuration(site: Site, buffer_mib: int, extra: str = "") -> str:
    """YAML. `extra` is what a further sink does when it is removed; without it there is none."""
    scenario = site.ignite.scenario
    sinks, names = _sinks(site), list(site.plan.sinks)
    if extra:
        sinks += f"\n  extra: {{type: directory, path: {site.extra}, on_remove: {extra}, batch: {{max_age: 300ms}}}}"
        names.append("extra")
    return f"""
ignite:
  endpoint: grpc://{site.wire.address}
  organization: {scenario.organization}
  auth:
    type: client_credentials
    token_url: {site.ignite.token_url}
    client_id: {scenario.client_id}
    client_secret: {scenario.client_secret}
collect: {{poll_interval: 500ms}}
buffer: {{path: {site.buffer}, max_size: {buffer_mib}MiB, when_full: {site.plan.when_full}}}
sinks:
{sinks}
routes:
  - match: {{kind: [logs, events, gaps]}}
    sinks: [{", ".join(names)}]
    sentry_logs: {str("sentry" in site.plan.sinks).lower()}
telemetry: {{listen: "127.0.0.1:0"}}
shutdown: {{timeout: 30s}}
"""


def _sinks(site: Site) -> str:
    lines = []
    for name in site.plan.sinks:
        match name:
            case "directory":
                batch = "batch: {max_age: 300ms, max_size: 1MiB}"
                lines.append(f"  directory: {{type: directory, path: {site.archive}, {batch}}}")
            case "s3":
                assert site.proxy is not None
                lines.append(
                    f"  s3: {{type: s3, bucket: {BUCKET}, prefix: ignite, region: {REGION}, "
                    f"endpoint_url: '{site.proxy.url}', access_key_id: {ACCESS_KEY}, secret_access_key: {SECRET_KEY}, "
                    "request_timeout: 1s, batch: {max_age: 300ms, max_size: 1MiB}}"
                )
            case "datadog":
                assert site.datadog is not None
                lines.append(
                    f"  datadog: {{type: datadog, site: datadoghq.eu, api_key: {KEY}, "
                    f"endpoint_url: '{site.datadog.url}', events: logs, batch: {{max_age: 200ms}}}}"
                )
            case "sentry":
                assert site.sentry is not None
                lines.append(
                    f"  sentry: {{type: sentry, dsn: '{site.sentry.dsn}', batch: {{max_age: 200ms}}}}"
                )
    return "\n".join(lines)
