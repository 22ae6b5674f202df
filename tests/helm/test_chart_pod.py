"""The pod is hardened as it comes, and what the issue of the chart promises of each mode holds."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.helm.chart import CASES, Object, objects, one, pod_of, rendered
from tests.helm.checkout import rendered_checkout
from tests.helm.tools import HELM

pytestmark = HELM.needed

WORKLOADS = [case for case in CASES if case != "sidecar"]


def containers_of(case: str) -> list[tuple[Object, Object]]:
    """Pod and container for each container that the chart itself makes, its test included."""
    of = objects(rendered(case))
    pods = [pod_of(of), *(x["spec"] for x in of if x["kind"] == "Pod")]
    return [
        (pod, container)
        for pod in pods
        for container in pod["containers"]
        if container["name"] in ("shipper", "test")
    ]


@pytest.mark.parametrize("case", WORKLOADS)
def test_it_passes_the_pod_security_standard_restricted(case: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, and a read-only root."""
    for pod, container in containers_of(case):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("case", WORKLOADS)
def test_the_cpu_is_not_limited(case: str) -> None:
    assert all("cpu" not in (one["resources"].get("limits") or {}) for _, one in containers_of(case))


def test_liveness_is_the_event_loop_alone_and_readiness_the_rest() -> None:
    container = containers_of("default")[0][1]
    paths = {
        probe: container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "readiness", "startup")
    }
    assert paths == {"liveness": "/healthz", "readiness": "/readyz", "startup": "/healthz"}


def test_two_daemons_never_run_at_once() -> None:
    assert one(objects(rendered("deployment")), "Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    stateful = one(objects(rendered("default")), "StatefulSet")["spec"]
    assert stateful["updateStrategy"] == {"type": "RollingUpdate"}
    assert (stateful["replicas"], stateful["podManagementPolicy"]) == (1, "Parallel")


def test_what_selects_the_pods_selects_neither_the_test_nor_a_neighbour() -> None:
    of = objects(rendered("default"))
    selectors = [
        one(of, "StatefulSet")["spec"]["selector"]["matchLabels"],
        one(of, "Service")["spec"]["selector"],
        one(of, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(of, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
    ]
    assert all(selector == selectors[0] for selector in selectors)
    daemon = one(of, "StatefulSet")["spec"]["template"]["metadata"]["labels"]
    assert selectors[0].items() <= daemon.items()
    assert not selectors[0].items() <= one(of, "Pod")["metadata"]["labels"].items()


def test_nothing_immutable_changes_with_the_version_of_the_chart() -> None:
    """The API server refuses a changed claim template or selector."""
    spec = one(objects(rendered("persistence")), "StatefulSet")["spec"]
    immutable = str([spec["volumeClaimTemplates"], spec["selector"], spec["serviceName"]])
    assert "0.1.0" not in immutable
    assert "helm.sh/chart" not in immutable


def test_an_image_is_named_by_digest_or_tag_or_the_version_of_the_daemon() -> None:
    images = {case: containers_of(case)[0][1]["image"] for case in ("default", "dev-secrets", "digest")}
    assert images["default"] == "registry.example.com/tools/shipper:0.1.0"
    assert images["dev-secrets"] == "registry.example.com/tools/shipper:main"
    assert re.fullmatch(r"registry.example.com/tools/shipper@sha256:[0-9a-f]{64}", images["digest"])


def test_the_network_policy_lets_out_what_the_configuration_names_and_nothing_else() -> None:
    policy = one(objects(rendered("network-policy")), "NetworkPolicy")["spec"]
    assert sorted(port["port"] for port in policy["egress"][1]["ports"]) == [443, 3128, 8080, 8443, 9000]
    assert [port["port"] for port in policy["ingress"][0]["ports"]] == ["telemetry"]


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [
        ("http://[2001:db8::1]:8080/x", 8080),
        ("https://user:p:w@host.example:8443", 8443),
        ("http://plain.example", 80),
        ("https://tls.example/path:99", 443),
        ("${URL:-http://proxy.example:3128}", 3128),
    ],
)
def test_the_port_of_every_kind_of_endpoint_is_found(endpoint: str, port: int) -> None:
    values = {"config": {"sinks": {"archive": {"endpoint_url": endpoint}}}}
    policy = one(objects(rendered("default", values=values)), "NetworkPolicy")["spec"]
    assert sorted({443, port}) == sorted(item["port"] for item in policy["egress"][1]["ports"])


# ---- sidecar ----


def sidecar(logs: str, **values: Any) -> tuple[Object, Object]:
    """The app's pod, and the daemon's container in it."""
    pod = pod_of(objects(rendered_checkout(logs, values={"shipper": values} if values else None)))
    places = pod.get("initContainers", []) + pod["containers"]
    return pod, next(container for container in places if container["name"] == "shipper")


def test_a_native_sidecar_starts_before_the_app_and_ends_after_it() -> None:
    pod, container = sidecar("sidecar")
    assert container in pod["initContainers"]
    assert container["restartPolicy"] == "Always"


def test_the_classic_one_is_an_ordinary_container() -> None:
    pod, container = sidecar("classic")
    assert container in pod["containers"]
    assert "restartPolicy" not in container


def test_a_sidecar_asks_for_little_and_never_holds_back_its_app() -> None:
    _, container = sidecar("sidecar")
    assert container["resources"]["requests"] == {
        "cpu": "25m",
        "memory": "96Mi",
        "ephemeral-storage": "256Mi",
    }
    assert "startupProbe" not in container
    assert "readinessProbe" not in container
    assert "readinessProbe" in sidecar("sidecar", sidecar={"readiness": True})[1]


def test_a_sidecar_brings_its_own_user_as_the_pod_is_anothers() -> None:
    _, container = sidecar("sidecar")
    context = container["securityContext"]
    assert (context["runAsUser"], context["runAsNonRoot"]) == (65532, True)
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["readOnlyRootFilesystem"] is True


def test_the_grace_period_of_the_app_covers_the_drain() -> None:
    assert sidecar("sidecar")[0]["terminationGracePeriodSeconds"] == 30 + 30 + 15
    slow = sidecar("sidecar", config={"shutdown": {"timeout": "1m"}})[0]
    assert slow["terminationGracePeriodSeconds"] == 30 + 60 + 15


def test_every_mount_of_the_sidecar_has_its_volume() -> None:
    pod, container = sidecar("sidecar")
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }


def test_mode_sidecar_makes_no_workload_of_its_own() -> None:
    assert {x["kind"] for x in objects(rendered("sidecar"))} == {"ConfigMap", "PodMonitor", "PrometheusRule"}


def test_a_native_sidecar_is_refused_where_kubernetes_does_not_know_it() -> None:
    said = rendered_checkout("sidecar", kube="1.28.0", quietly=True)
    assert "include shipper.sidecar.classic under `containers` instead" in said


def test_a_sidecar_beside_a_workload_is_refused() -> None:
    said = rendered_checkout("sidecar", values={"shipper": {"mode": "statefulset"}}, quietly=True)
    assert "set `mode: sidecar`" in said
