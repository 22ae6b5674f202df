"""The values and settings that the docs show are ones that the chart and the daemon take."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.helm.chart import CHART, HELM_FOLDER, objects
from tests.helm.tools import HELM, KUBERNETES_VALIDATE

ROOT = HELM_FOLDER.parent
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
README = (CHART / "README.md").read_text()


def blocks(text: str) -> list[str]:
    """The blocks of YAML of a page, at the margin."""
    found = re.findall(r"^( *)```yaml\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{margin}", "", block, flags=re.MULTILINE) for margin, block in found]


VALUES = {"operations.md": blocks(OPERATIONS)[0], "README.md": blocks(README)[0]}


@HELM.needed
@KUBERNETES_VALIDATE.needed
@pytest.mark.parametrize("page", VALUES)
def test_the_first_values_of_a_page_are_what_the_chart_takes(page: str, tmp_path: Path) -> None:
    text = HELM.run("template", "shipper", CHART, "--namespace", "logs", "--values", "-", text=VALUES[page])
    kinds = {x["kind"] for x in objects(text)}
    assert {"StatefulSet", "PodMonitor", "PrometheusRule", "NetworkPolicy"} <= kinds
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(text)
    KUBERNETES_VALIDATE.run("--strict", rendered)


def test_the_metrics_over_otlp_of_the_page_are_what_the_daemon_takes() -> None:
    (shown,) = [block for block in blocks(OPERATIONS) if "otlp:" in block]
    settings = {
        "ignite": {
            "endpoint": "grpcs://ignite.example:443",
            "organization": "acme",
            "auth": {"type": "none"},
        },
        "sinks": {"all": {"type": "stdout"}},
        **yaml.safe_load(shown),
    }
    values = yaml.safe_load((CHART / "values.schema.json").read_text())
    jsonschema.validate({"config": settings}, values)
