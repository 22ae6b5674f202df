"""What the chart renders is what is committed, lints, and is what Kubernetes and its operators take."""

from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.helm.chart import CASES, CHART, HELM_FOLDER, Object, objects, rendered, values_of
from tests.helm.checkout import rendered_checkout
from tests.helm.golden import differing
from tests.helm.tools import HELM, HELM_3, KUBECTL, KUBERNETES_VALIDATE, PROMETHEUS_MODELS

KUBERNETES = ("1.25.0", "1.28.0", "1.31.0", "1.34.0", "1.36.0", "1.37.0")
NATIVE_SIDECARS = "1.29.0"
OPERATORS = {"PrometheusRule", "PodMonitor", "ServiceMonitor"}

pytestmark = HELM.needed

_VALIDATE = """
import { readFileSync } from "fs";
const name = "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1";
const kinds = await import(name);
let wrong = 0;
for (const one of JSON.parse(readFileSync(0))) {
  try { new kinds[one.kind](one).validate(); }
  catch (error) { wrong = 1; console.log(one.kind + ": " + error.message); }
}
process.exit(wrong);
"""


def test_every_rendering_is_the_committed_one() -> None:
    """`make golden` writes them anew; the difference is then for people to read."""
    assert sorted(path.name for path in differing()) == []


@HELM_3.needed
@pytest.mark.parametrize("case", CASES)
def test_helm_3_renders_the_same_as_helm_4(case: str) -> None:
    assert rendered(case, helm=HELM_3) == rendered(case)


@pytest.mark.parametrize("case", CASES)
def test_every_feature_lints_strictly(case: str) -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in HELM.run(
        "lint", "--strict", CHART, "--values", values_of(case)
    )


def test_the_chart_lints_strictly_before_anything_is_set() -> None:
    assert "0 chart(s) failed" in HELM.run("lint", "--strict", CHART)


def test_it_packages_and_leaves_out_what_only_tests_need(tmp_path: Path) -> None:
    HELM.run("package", CHART, "--destination", tmp_path)
    listing = subprocess.run(
        ["tar", "-tzf", tmp_path / "shipper-0.1.0.tgz"], capture_output=True, text=True, check=True
    )
    names = listing.stdout.split()
    assert "shipper/values.schema.json" in names
    assert "shipper/files/dashboard.json" in names
    assert not [name for name in names if "/ci/" in name]


@KUBERNETES_VALIDATE.needed
@pytest.mark.parametrize("version", KUBERNETES)
def test_each_version_of_kubernetes_knows_every_field(version: str, tmp_path: Path) -> None:
    """Strictly: a field that a version does not know is an error."""
    path = tmp_path / "all.yaml"
    path.write_text(yaml.safe_dump_all(distinct_objects(rendered_like(version))))
    said = KUBERNETES_VALIDATE.run("--kubernetes-version", version, "--strict", path)
    unknown = {line.split("kind ")[1].split()[0] for line in said.splitlines() if "WARN" in line}
    assert unknown <= OPERATORS | {"VerticalPodAutoscaler"}
    assert said.count("passed") > 40


def rendered_like(version: str) -> str:
    """The newest version that the chart's templates treat as this one: between their thresholds nothing changes."""
    texts = [path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file()]
    thresholds = {
        _parts(found) for text in texts for found in re.findall(r'semverCompare "[<>=]+([0-9.]+)-0"', text)
    }
    uses = [line for text in texts for line in text.splitlines() if ".Capabilities" in line]
    assert all("semverCompare" in line or "fail" in line for line in uses), "a template asks in another way"
    above = {threshold for threshold in thresholds if _parts(version) >= threshold}
    return max(
        (one for one in KUBERNETES if {t for t in thresholds if _parts(one) >= t} == above), key=_parts
    )


def _parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@cache
def distinct_objects(version: str) -> list[Object]:
    """Every object of every feature once, as rendered for a version."""
    texts = [rendered(case, kube=version) for case in CASES]
    native = _parts(version) >= _parts(NATIVE_SIDECARS)
    texts.append(rendered_checkout("sidecar" if native else "classic", kube=version))
    return list({json.dumps(x, sort_keys=True): x for text in texts for x in objects(text)}.values())


@KUBERNETES_VALIDATE.needed
@pytest.mark.parametrize("example", ["plain.yaml", "sidecar.yaml", "sidecar-classic.yaml"])
def test_the_plain_examples_are_what_kubernetes_takes(example: str) -> None:
    KUBERNETES_VALIDATE.run("--strict", HELM_FOLDER / "examples" / example)


@PROMETHEUS_MODELS.needed
def test_the_operator_of_prometheus_knows_its_kinds() -> None:
    ours = [x for case in CASES for x in objects(rendered(case)) if x["kind"] in OPERATORS]
    assert {x["kind"] for x in ours} == OPERATORS
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", _VALIDATE],
        input=json.dumps(ours), cwd=PROMETHEUS_MODELS.path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@KUBECTL.needed
@KUBERNETES_VALIDATE.needed
def test_the_kustomize_component_puts_the_sidecar_into_a_deployment(tmp_path: Path) -> None:
    text = KUBECTL.run("kustomize", HELM_FOLDER / "examples" / "kustomize" / "app")
    path = tmp_path / "app.yaml"
    path.write_text(text)
    KUBERNETES_VALIDATE.run("--strict", path)
    ours = _sidecar(text)
    theirs = _sidecar((HELM_FOLDER / "examples" / "sidecar.yaml").read_text())
    for what in ("args", "livenessProbe", "resources", "restartPolicy", "securityContext", "volumeMounts"):
        assert ours[what] == theirs[what], what


def _sidecar(text: str) -> dict[str, object]:
    pod = next(x for x in objects(text) if x["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert [one["name"] for one in pod["containers"]] == ["checkout"]
    container: dict[str, object] = pod["initContainers"][0]
    return container
