"""Who stops the daemon gives it the time that its drain may take, in every example; the daemon takes no more."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper.collect.collector import DRAIN_AT_MOST_S
from shipper.config.units import parse_duration
from shipper.daemon.serving import LAST_RESORT_S
from tests.helm.chart import HELM_FOLDER, Object, objects

EXAMPLES = HELM_FOLDER / "examples"
BEYOND_S = 15.0  # what chart, examples and docs say on top of shutdown.timeout
APP_S = 30.0  # of an app that a sidecar waits for


def configured(text: str) -> float:
    timeout = yaml.safe_load(text)["shutdown"]["timeout"]
    return parse_duration(timeout)


def grace(of: list[Object]) -> float:
    pods: list[Any] = [
        x["spec"]["template"]["spec"] for x in of if x["kind"] in ("StatefulSet", "Deployment")
    ]
    return float(pods[0]["terminationGracePeriodSeconds"])


@pytest.mark.parametrize(
    ("example", "app_s"), [("plain.yaml", 0.0), ("sidecar.yaml", APP_S), ("sidecar-classic.yaml", APP_S)]
)
def test_the_pod_of_an_example_has_time_for_the_app_and_the_drain(example: str, app_s: float) -> None:
    of = objects((EXAMPLES / example).read_text())
    timeout = next(configured(x["data"]["config.yaml"]) for x in of if x["kind"] == "ConfigMap")
    assert grace(of) >= app_s + timeout + BEYOND_S


def test_so_has_the_pod_that_the_kustomize_component_makes() -> None:
    component: Path = EXAMPLES / "kustomize" / "component"
    found = re.search(r"terminationGracePeriodSeconds: (\d+)", (component / "sidecar.yaml").read_text())
    assert found is not None
    assert float(found[1]) >= APP_S + configured((component / "config.yaml").read_text()) + BEYOND_S


def test_so_has_the_unit_of_systemd() -> None:
    found = re.search(r"TimeoutStopSec=(\d+)", (EXAMPLES / "shipper.service").read_text())
    assert found is not None
    assert float(found[1]) >= 30.0 + BEYOND_S


def test_the_daemon_is_gone_within_that_time_whatever_hangs() -> None:
    """Streams are heard out, then shutdown.timeout begins, and beyond it the last resort ends the process."""
    assert DRAIN_AT_MOST_S + LAST_RESORT_S < BEYOND_S
