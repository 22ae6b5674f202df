"""The notes that Helm prints say how to see it work, and warn of what is allowed and not wise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.helm.chart import CASES, CHART, values_of
from tests.helm.tools import HELM

pytestmark = HELM.needed


def notes(case: str, **values: Any) -> str:
    said = HELM.run(
        "install", "mine", CHART, "--dry-run=client", "--namespace", "logs",
        "--values", values_of(case), "--values", "-",
        text=json.dumps(values),
    )  # fmt: skip
    return said.split("\nNOTES:\n")[1]


@pytest.mark.parametrize("case", CASES)
def test_they_name_commands_for_this_very_release(case: str) -> None:
    text = notes(case)
    assert "To see it work:" in text
    assert "kubectl -n logs" in text
    assert "shipper check --config /etc/shipper/" in text
    assert "<no value>" not in text


def test_they_name_the_test_only_where_there_is_one() -> None:
    assert "helm test -n logs mine" in notes("default")
    assert "helm test" not in notes("bare")


@pytest.mark.parametrize(
    ("case", "warning"),
    [
        ("dev-secrets", "credentials.insecureInline is set"),
        ("deployment", "The buffer is in an emptyDir"),
        ("existing-configmap", "does not see changes of ConfigMap my-shipper"),
        ("existing-configmap", "lets out TCP ports 443, 9000"),
        ("default", "Nothing scrapes the metrics"),
    ],
)
def test_they_warn(case: str, warning: str) -> None:
    assert warning in notes(case).split("[WARNING]", 1)[1]


def test_they_warn_of_nothing_where_all_is_well() -> None:
    assert "[WARNING]" not in notes("service-monitor")
