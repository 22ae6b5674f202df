"""The summary that `shipper check` prints says where each sink leads, and shows no key."""

from __future__ import annotations

from pathlib import Path

from shipper.config.load import load
from shipper.config.report import summary

CONFIG = """
ignite: {endpoint: grpc://127.0.0.1, organization: acme, auth: {type: none}}
sinks:
  a: {type: s3, bucket: logs, prefix: ignite, region: eu-central-1}
  b: {type: directory, path: /tmp/archive}
  c: {type: datadog, site: datadoghq.eu, api_key: 0123456789abcdef0123456789abcdef}
  d: {type: sentry, dsn: "https://public@o1.ingest.sentry.io/7"}
  e: {type: stdout}
"""


def test_every_type_of_sink_is_named_by_its_destination(tmp_path: Path) -> None:
    path = tmp_path / "shipper.yaml"
    path.write_text(CONFIG)
    path.chmod(0o600)
    text = "\n".join(summary(load(path, {})))
    for line in (
        "a: s3://logs/ignite, zstd",
        "b: directory /tmp/archive, zstd",
        "c: datadog datadoghq.eu",
        "d: sentry o1.ingest.sentry.io",
        "e: stdout",
    ):
        assert line in text
    assert "0123456789abcdef" not in text
    assert "public" not in text
