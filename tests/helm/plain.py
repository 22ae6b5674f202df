"""The examples without Helm, made from renderings: plain manifests, a pod with a sidecar, alerts as a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from tests.helm.chart import HELM_FOLDER, Object, objects, one, rendered
from tests.helm.checkout import rendered_checkout

EXAMPLES: Final = HELM_FOLDER / "examples"
_OF_HELM: Final = (
    "helm.sh/chart",
    "app.kubernetes.io/managed-by",
    "checksum/config",
    "checksum/shipper-config",
)

_PLAIN: Final = """\
# shipper without Helm: a StatefulSet with its buffer on a volume. Change image, organization, sinks and, for a bucket,
# the annotations of the service account; then
#
#   kubectl create namespace logs
#   kubectl -n logs create secret generic shipper-credentials \\
#     --from-literal=client_id=... --from-literal=client_secret=...
#   kubectl apply -f plain.yaml
#
# A change of the ConfigMap is taken over while it runs, as soon as the kubelet has brought it (a minute or two).
"""
_SIDECAR: Final = """\
# An app with shipper as its {how}. The Secret `checkout-shipper` holds the key `token`.
# A change of the ConfigMap is taken over while it runs.
"""
_ALERTS: Final = """\
# The chart's alerts as a rules file, for a Prometheus without its operator: `rule_files: [prometheus-rules.yaml]`. The
# scrape job is called shipper; the thresholds are those of batch.max_age 5m. Runbook: docs/operations.md.
"""


def made() -> dict[Path, str]:
    """Each example and what it should say."""
    return {
        EXAMPLES / "plain.yaml": _PLAIN + _manifests(objects(rendered("default"))),
        EXAMPLES / "sidecar.yaml": _SIDECAR.format(how="native sidecar (Kubernetes 1.29 and newer)")
        + _manifests(objects(rendered_checkout("sidecar"))),
        EXAMPLES / "sidecar-classic.yaml": _SIDECAR.format(how="neighbour, before Kubernetes 1.29")
        + _manifests(objects(rendered_checkout("classic", kube="1.25.0"))),
        EXAMPLES / "prometheus-rules.yaml": _ALERTS + _rules(objects(rendered("service-monitor"))),
    }


def _manifests(of: Iterable[Object]) -> str:
    """Without what only Helm needs."""
    return "---\n".join(
        _yaml(_without_helm(x)) for x in of if "helm.sh/hook" not in x["metadata"].get("annotations", {})
    )


def _without_helm(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_without_helm(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    kept = {key: _without_helm(value) for key, value in tree.items() if key not in _OF_HELM}
    return {key: value for key, value in kept.items() if key != "annotations" or value}


def _rules(of: list[Object]) -> str:
    groups = one(of, "PrometheusRule")["spec"]["groups"]
    for rule in groups[0]["rules"]:
        rule["expr"] = rule["expr"].replace(',namespace="logs"', "")
    return _yaml({"groups": groups})


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stay texts of several lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _yaml(tree: Any) -> str:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, width=1000)
