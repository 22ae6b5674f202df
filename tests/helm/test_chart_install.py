"""The chart installs into, upgrades and leaves a real API server; pods are admitted where only restricted ones are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm.apiserver import ApiServer, api_server
from tests.helm.chart import CHART, HELM_FOLDER, objects, one, values_of
from tests.helm.tools import APISERVER, HELM, HELM_3, KUBECTL, Tool

pytestmark = [APISERVER.needed, HELM.needed, KUBECTL.needed]

KINDS = "statefulset,deployment,service,configmap,serviceaccount,poddisruptionbudget,networkpolicy,secret"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with api_server(tmp_path_factory.mktemp("apiserver")) as one_for_all:
        yield one_for_all


@pytest.fixture
def namespace(cluster: ApiServer, request: pytest.FixtureRequest) -> str:
    """One of its own for each test, where only restricted pods are admitted."""
    name = f"n{abs(hash(request.node.name)) % 10**9}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, RESTRICTED, "pod-security.kubernetes.io/warn=restricted")
    return name


def helm(cluster: ApiServer, namespace: str, *arguments: str | Path, tool: Tool = HELM, **values: Any) -> str:
    """Helm's words, its warnings among them."""
    said = cluster.run(
        tool, *arguments, "--namespace", namespace, "--values", values_of("default"), "--values", "-",
        text=json.dumps(values), quietly=True,
    )  # fmt: skip
    assert "Error" not in said, said
    assert "Warning" not in said, said
    return said


@pytest.mark.parametrize("tool", [HELM, pytest.param(HELM_3, marks=HELM_3.needed)], ids=["helm-4", "helm-3"])
def test_install_upgrade_rollback_and_uninstall(cluster: ApiServer, namespace: str, tool: Tool) -> None:
    said = helm(cluster, namespace, "install", "shipper", CHART, tool=tool)
    assert "To see it work:" in said
    before = one(cluster.objects(namespace, KINDS), "StatefulSet")
    assert (
        before["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"]
        is True
    )

    helm(cluster, namespace, "upgrade", "shipper", CHART, tool=tool, config={"log": {"level": "debug"}})
    of = cluster.objects(namespace, KINDS)
    assert "level: debug" in one(of, "ConfigMap", "shipper")["data"]["config.yaml"]
    assert one(of, "StatefulSet")["spec"]["template"] == before["spec"]["template"]

    helm(cluster, namespace, "upgrade", "shipper", CHART, tool=tool, hotReload=False)
    after = one(cluster.objects(namespace, KINDS), "StatefulSet")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert "checksum/config" in after["spec"]["template"]["metadata"]["annotations"]

    cluster.run(tool, "rollback", "shipper", "1", "--namespace", namespace)
    assert (
        one(cluster.objects(namespace, KINDS), "StatefulSet")["spec"]["template"]
        == before["spec"]["template"]
    )

    cluster.run(tool, "uninstall", "shipper", "--namespace", namespace)
    left = [
        x["metadata"]["name"]
        for x in cluster.objects(namespace, KINDS)
        if x["metadata"]["name"] != "kube-root-ca.crt"
    ]
    assert left == []


def test_the_next_version_of_the_chart_is_an_upgrade(
    cluster: ApiServer, namespace: str, tmp_path: Path
) -> None:
    """Nothing that may not change depends on the version."""
    helm(cluster, namespace, "install", "shipper", CHART)
    newer = tmp_path / "shipper"
    shutil.copytree(CHART, newer)
    chart = newer / "Chart.yaml"
    chart.write_text(
        chart.read_text()
        .replace("version: 0.1.0", "version: 9.9.9")
        .replace("appVersion: 0.1.0", "appVersion: 9.9.9")
    )
    helm(cluster, namespace, "upgrade", "shipper", newer)
    labels = one(cluster.objects(namespace, KINDS), "StatefulSet")["metadata"]["labels"]
    assert labels["app.kubernetes.io/version"] == "9.9.9"


def test_what_everybody_may_change_later_is_an_upgrade(cluster: ApiServer, namespace: str) -> None:
    helm(cluster, namespace, "install", "shipper", CHART)
    helm(
        cluster, namespace, "upgrade", "shipper", CHART,
        commonLabels={"team": "platform"}, podLabels={"tier": "backend"}, priorityClassName="system-cluster-critical",
        image={"digest": "sha256:" + 64 * "0"}, resources={"limits": {"memory": "2Gi"}}, tests={"enabled": False},
        persistence={"retainDeleted": False}, extraEnv=[{"name": "A", "value": "b"}], hotReload=False,
        networkPolicy={"egress": {"extraPorts": [3128]}}, podDisruptionBudget={"enabled": False},
        terminationGracePeriodSeconds=300,
    )  # fmt: skip
    assert "PodDisruptionBudget" not in {x["kind"] for x in cluster.objects(namespace, KINDS)}


def test_from_a_volume_to_none_and_back(cluster: ApiServer, namespace: str) -> None:
    helm(cluster, namespace, "install", "shipper", CHART)
    helm(
        cluster,
        namespace,
        "upgrade",
        "shipper",
        CHART,
        mode="deployment",
        buffer={"emptyDirSizeLimit": "4Gi"},
    )
    assert {x["kind"] for x in cluster.objects(namespace, "statefulset,deployment")} == {"Deployment"}
    helm(cluster, namespace, "upgrade", "shipper", CHART)
    assert {x["kind"] for x in cluster.objects(namespace, "statefulset,deployment")} == {"StatefulSet"}


def test_two_releases_live_beside_each_other(cluster: ApiServer, namespace: str) -> None:
    helm(cluster, namespace, "install", "shipper", CHART)
    helm(cluster, namespace, "install", "second", CHART, config={"apps": {"include": ["cart"]}})
    assert {x["metadata"]["name"] for x in cluster.objects(namespace, "statefulset")} == {
        "shipper",
        "second-shipper",
    }


def test_a_restricted_namespace_admits_the_pods(cluster: ApiServer, namespace: str) -> None:
    """No controller runs here, so the test makes the pods that it would make: the daemon's and that of `helm test`."""
    text = HELM.run("template", "shipper", CHART, "--namespace", namespace, "--values", values_of("default"))
    of = objects(text)
    template = one(of, "StatefulSet")["spec"]["template"]
    volume = {"name": "shipper-buffer", "persistentVolumeClaim": {"claimName": "shipper-buffer-shipper-0"}}
    daemon = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "shipper-0", "namespace": namespace, **template["metadata"]},
        "spec": template["spec"] | {"volumes": [*template["spec"]["volumes"], volume]},
    }
    for pod in (daemon, one(of, "Pod")):
        cluster.kubectl("create", "--validate=strict", "--filename", "-", text=yaml.safe_dump(pod))


@pytest.mark.parametrize("example", ["plain.yaml", "sidecar.yaml", "sidecar-classic.yaml"])
def test_the_plain_examples_apply(cluster: ApiServer, namespace: str, example: str) -> None:
    text = (HELM_FOLDER / "examples" / example).read_text()
    for theirs in ("logs", "shop"):
        text = text.replace(f"namespace: {theirs}\n", f"namespace: {namespace}\n")
    said = cluster.run(
        KUBECTL, "apply", "--server-side", "--validate=strict", "--filename", "-", text=text, quietly=True
    )
    assert said.count("serverside-applied") == len(objects(text)), said
    # In the example the app itself is not hardened; of the sidecar nothing is said.
    assert "shipper" not in " ".join(line for line in said.splitlines() if "would violate" in line), said
