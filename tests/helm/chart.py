"""The chart as the tests render it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from tests.helm.tools import HELM, Tool

HELM_FOLDER: Final = Path(__file__).parents[2] / "helm"
CHART: Final = HELM_FOLDER / "shipper"
CASES: Final = sorted(path.name.removesuffix("-values.yaml") for path in (CHART / "ci").glob("*-values.yaml"))
NEWEST: Final = "1.37.0"
NOTHING_SET: Final = ""
"""The case that is the chart's own values alone."""

Object = dict[str, Any]


def values_of(case: str) -> Path:
    """The values file of a feature."""
    return CHART / "ci" / f"{case}-values.yaml"


def rendered(
    case: str, *arguments: str, values: Mapping[str, Any] | None = None, kube: str = NEWEST, helm: Tool = HELM
) -> str:
    """The manifests of a feature's values, with further values over them."""
    return _templated(helm, json.dumps(values or {}), *_command(case, kube), *arguments)


@cache
def _templated(helm: Tool, values: str, *command: str) -> str:
    """The same values give the same manifests, which many tests look at."""
    return helm.run(*command, text=values)


def refused(case: str, values: Mapping[str, Any], kube: str = NEWEST, helm: Tool = HELM) -> str:
    """Everything that Helm says about values that it must not take."""
    said = helm.run(*_command(case, kube), text=json.dumps(values), quietly=True)
    assert "Error:" in said, f"this was not refused: {values}"
    # What Helm 4 logs beside the error says the same on one line, with its line breaks escaped.
    return said[said.index("Error:") :]


def objects(text: str) -> list[Object]:
    """The objects of a rendering."""
    return [one for one in yaml.safe_load_all(text) if one]


def one(of: list[Object], kind: str, name: str | None = None) -> Object:
    """The only object of a kind, or the one with that name."""
    found = [x for x in of if x["kind"] == kind and name in (None, x["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


def pod_of(of: list[Object]) -> Object:
    """The specification of the workload's pod."""
    workload = next(x for x in of if x["kind"] in ("StatefulSet", "Deployment"))
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def _command(case: str, kube: str) -> list[str]:
    files = ["--values", str(values_of(case))] if case else []
    return [
        "template", "shipper", str(CHART), "--namespace", "logs", "--kube-version", kube,
        *files, "--values", "-",
    ]  # fmt: skip
