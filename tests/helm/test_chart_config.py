"""The configuration in the values is the daemon's own, and what the chart knows of the daemon is true."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper.config.defaults import written_default
from shipper.config.load import inspect
from shipper.config.settings import Settings
from shipper.config.shape import unwrap, variants
from shipper.telemetry.metrics import SERIES
from tests.helm.chart import CASES, CHART, HELM_FOLDER, Object, objects, one, pod_of, rendered
from tests.helm.tools import HELM

CONFIGURED = [case for case in CASES if case != "existing-configmap"]
ENVIRON = {
    "AWS_REGION": "eu-central-1",
    "DD_API_KEY": "0123456789abcdef0123456789abcdef",
    "DODIL_ID": "id",
    "DODIL_SECRET": "secret",
    "DODIL_TOKEN": "token",
}
MOUNTED = "/var/run/secrets/shipper"


def configuration(of: list[Object]) -> str:
    maps = [x["data"]["config.yaml"] for x in of if x["kind"] == "ConfigMap" and "config.yaml" in x["data"]]
    assert len(maps) == 1
    return str(maps[0])


def problems(text: str, folder: Path) -> list[str]:
    """What the daemon says about a configuration, with the Secret's files in a folder of the test."""
    for name in ("client_id", "client_secret", "token"):
        (folder / name).write_text("value")
        (folder / name).chmod(0o400)
    path = folder / "config.yaml"
    path.write_text(text.replace(MOUNTED, str(folder)))
    return [str(problem) for problem in inspect(path, ENVIRON)[1]]


@HELM.needed
@pytest.mark.parametrize("case", CONFIGURED)
def test_the_daemon_takes_the_configuration_that_is_rendered(case: str, tmp_path: Path) -> None:
    assert problems(configuration(objects(rendered(case))), tmp_path) == []


@pytest.mark.parametrize("example", ["plain.yaml", "sidecar.yaml", "sidecar-classic.yaml"])
def test_the_daemon_takes_the_configuration_of_the_examples(example: str, tmp_path: Path) -> None:
    of = objects((HELM_FOLDER / "examples" / example).read_text())
    assert problems(configuration(of), tmp_path) == []


def test_the_daemon_takes_the_configuration_of_the_component(tmp_path: Path) -> None:
    path = HELM_FOLDER / "examples" / "kustomize" / "component" / "config.yaml"
    assert problems(path.read_text(), tmp_path) == []


@HELM.needed
def test_every_setting_arrives_as_it_is_written() -> None:
    """Numbers stay numbers, references stay references, and what looks like a template is none."""
    full = yaml.safe_load((CHART.parents[1] / "config" / "full.yaml").read_text())
    full["telemetry"]["listen"] = "0.0.0.0:9464"
    full["ignite"]["auth"]["client_id"] = "{{ .Values.mode }}"
    full["routes"][1]["sample"] = 1_000_000
    values = {
        "config": full,
        "resources": {"limits": {"memory": "2Gi"}},
        "extraEnvFrom": [{"secretRef": {"name": "x"}}],
    }
    arrived = yaml.safe_load(configuration(objects(rendered("bare", values=values))))
    del full["sinks"]["debug"], arrived["sinks"]["debug"]
    assert without_nulls(arrived) == without_nulls(full)


def without_nulls(tree: Any) -> Any:
    """Helm leaves out some of what is null, which is the same as not set."""
    if isinstance(tree, dict):
        return {key: without_nulls(value) for key, value in tree.items() if value is not None}
    return [without_nulls(item) for item in tree] if isinstance(tree, list) else tree


# ---- a change arrives once ----


def checksum(case: str, **values: Any) -> str | None:
    workload = next(x for x in objects(rendered(case, values=values)) if x["kind"] == "StatefulSet")
    found: str | None = workload["spec"]["template"]["metadata"]["annotations"].get("checksum/config")
    return found


@HELM.needed
def test_without_hot_reload_a_changed_configuration_restarts_the_pod() -> None:
    assert checksum("restart") is not None
    assert checksum("restart") != checksum("restart", config={"log": {"level": "debug"}})
    assert checksum("restart") == checksum("restart", podDisruptionBudget={"enabled": False})


@HELM.needed
def test_a_change_is_taken_over_or_restarts_the_pod_and_never_both() -> None:
    for case, watches in (("default", True), ("restart", False)):
        arguments = pod_of(objects(rendered(case)))["containers"][0]["args"]
        assert ("--no-watch" in arguments, checksum(case) is None) == (not watches, watches)


@HELM.needed
def test_the_configuration_is_mounted_as_a_folder_so_that_its_changes_arrive() -> None:
    """A mount with subPath never changes: https://kubernetes.io/docs/concepts/storage/volumes/#configmap"""
    mount = next(
        x
        for x in pod_of(objects(rendered("default")))["containers"][0]["volumeMounts"]
        if "config" in x["name"]
    )
    assert mount == {"name": "shipper-config", "mountPath": "/etc/shipper", "readOnly": True}


@HELM.needed
def test_the_buffer_takes_85_percent_of_the_volume_unless_told_otherwise() -> None:
    def size(**values: Any) -> Any:
        return yaml.safe_load(configuration(objects(rendered("default", values=values))))["buffer"][
            "max_size"
        ]

    assert size() == f"{12 * 1024 * 85 // 100}MiB"
    assert size(persistence={"size": "1Ti"}) == f"{1024 * 1024 * 85 // 100}MiB"
    assert size(persistence={"size": "20G"}) == f"{20 * 10**9 * 85 // 100 // 2**20}MiB"
    assert size(config={"buffer": {"max_size": "1GiB"}}) == "1GiB"


# ---- what the chart knows of the daemon ----


def template(name: str, text: str) -> str:
    found = re.search(rf'define "{re.escape(name)}" -}}}}\n(.*?)\n?{{{{- end', text, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_defaults_that_the_templates_know_are_the_daemons() -> None:
    known = yaml.safe_load(template("shipper.defaults", (CHART / "templates" / "_config.tpl").read_text()))
    sections = {name: unwrap(field.annotation) for name, field in Settings.declared().items()}
    assert known.pop("buffer.path") == written_default(sections["buffer"], "path")
    assert known.pop("shutdown.timeout") == written_default(sections["shutdown"], "timeout")
    sinks = variants(Settings.model_fields["sinks"].annotation.__args__[1])  # type: ignore[union-attr]
    for key in ("max_age", "max_size"):
        of_type = known.pop(f"batch.{key}")
        assert set(of_type) == set(sinks)
        for kind, section in sinks.items():
            if "batch" in section.declared():
                assert of_type[kind] == written_default(
                    unwrap(section.declared()["batch"].annotation), key
                ), kind
    assert known == {}


def test_the_settings_that_the_templates_take_for_secrets_are_the_daemons() -> None:
    known = template(
        "shipper.secretSettings", (CHART / "templates" / "_refusals_secrets.tpl").read_text()
    ).split()
    schema = json.loads((CHART.parents[1] / "config" / "shipper.schema.json").read_text())
    # Mappings of names to secrets (headers, tags) hold what is none as well.
    assert sorted(known) == sorted(set(secrets(schema)))


def secrets(schema: Any, name: str = "") -> Iterator[str]:
    """Names of properties that are write-only."""
    if isinstance(schema, list):
        for item in schema:
            yield from secrets(item, name)
    elif isinstance(schema, dict):
        if schema.get("writeOnly") and name:
            yield name
        for key, inner in schema.items():
            if key == "properties":
                for inside, settings in inner.items():
                    yield from secrets(settings, inside)
            else:
                yield from secrets(inner, "" if key in ("additionalProperties", "$defs") else name)


def test_the_bounds_of_the_histogram_that_the_templates_know_are_the_daemons() -> None:
    text = template("shipper.slowSeconds", (CHART / "templates" / "_monitoring.tpl").read_text())
    known = [int(found) for found in re.findall(r"\b\d{3,}\b", text)]
    buckets = next(series.buckets for series in SERIES if series.name == "delivery_seconds")
    assert sorted(known) == [bound for bound in buckets if bound >= 300]


@HELM.needed
@pytest.mark.parametrize(
    ("max_age", "behind", "slow"),
    [("2s", 300, 300), ("5m", 600, 600), ("650s", 1300, 1800), ("15m", 1800, 1800), ("24h", 172800, 21600)],
)
def test_the_thresholds_follow_the_longest_batch(max_age: str, behind: int, slow: int) -> None:
    values = {"config": {"sinks": {"archive": {"batch": {"max_age": max_age}}}}}
    rules = one(objects(rendered("service-monitor", values=values)), "PrometheusRule")["spec"]["groups"][0][
        "rules"
    ]
    expressions = {rule["alert"]: rule["expr"] for rule in rules}
    assert expressions["ShipperDeliveryBehind"].endswith(f"> {behind}")
    assert expressions["ShipperDeliverySlow"].endswith(f"> {slow}")
