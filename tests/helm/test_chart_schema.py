"""The values have one schema: strict about the chart's own keys, and the daemon's own for its configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import jsonschema
import pytest
import yaml

from helm.generate.__main__ import differing
from helm.generate.values import read, undocumented
from tests.helm.chart import CASES, CHART, HELM_FOLDER, refused, values_of
from tests.helm.tools import HELM, HELM_3

REPOSITORY = HELM_FOLDER.parent
DAEMON = json.loads((REPOSITORY / "config" / "shipper.schema.json").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SOURCE = yaml.safe_load((HELM_FOLDER / "generate" / "chart.schema.yaml").read_text())
EXAMPLES = sorted((REPOSITORY / "config").glob("*.yaml"))


def test_schema_readme_and_dashboard_are_what_their_sources_make() -> None:
    """`make chart` writes them anew."""
    assert differing() == []


def test_every_value_is_documented() -> None:
    assert list(undocumented(read(), VALUES)) == []


def test_every_value_has_a_type_and_every_type_a_value() -> None:
    assert list(_disagreements(SOURCE["values"], VALUES)) == []


def _disagreements(types: Any, values: Any, path: str = "") -> Iterator[str]:
    """Paths that only one of the two has. A mapping of types without a keyword of JSON Schema is a section."""
    keywords = {"type", "enum", "anyOf", "$ref"}
    optional = path in (".affinity", ".dnsConfig")
    if isinstance(types, str) or types.keys() & keywords or optional:
        return
    inner = {key.removeprefix("~"): spec for key, spec in types.items()}
    yield from (f"{path}.{key}" for key in inner.keys() ^ values.keys())
    for key in inner.keys() & values.keys():
        yield from _disagreements(inner[key], values[key], f"{path}.{key}")


def test_the_defaults_obey_the_schema() -> None:
    assert list(_validator(SCHEMA).iter_errors(VALUES)) == []


@pytest.mark.parametrize("case", CASES)
def test_no_section_of_the_chart_takes_an_unknown_key(case: str) -> None:
    """Every mapping that a values file has is looked at, but those whose keys are anybody's."""
    values = yaml.safe_load(values_of(case).read_text())
    for path in _sections(values):
        changed = deepcopy(values)
        _at(changed, path)["nonsense"] = {}
        assert list(_validator(SCHEMA).iter_errors(changed)), path


def _sections(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    free = path and path[-1] in ("labels", "annotations", "nodeAffinity", "matchLabels", "insecureInline")
    if isinstance(tree, dict) and not free and path[-1:] != ("nodeSelector",) and path != ("config", "sinks"):
        if not (path and path[-1].endswith(("Labels", "Annotations"))):
            yield path
        for key, inner in tree.items():
            yield from _sections(inner, (*path, key))


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _validator(schema: Any) -> Any:
    return jsonschema.validators.validator_for(schema)(schema)


# ---- the configuration ----


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_every_example_of_the_daemon_is_taken_as_it_is(example: Any) -> None:
    assert _validator(SCHEMA).is_valid({"config": yaml.safe_load(example.read_text())})


def test_the_chart_takes_what_the_daemon_takes_and_nothing_else() -> None:
    """Each setting of the full example is spelled wrongly, given a wrong type and left out."""
    full = yaml.safe_load((REPOSITORY / "config" / "full.yaml").read_text())
    daemon, chart = _validator(DAEMON), _validator(SCHEMA)
    differences = []
    for path in _settings(full):
        for change in (_misspelled, _mistyped, _removed):
            changed = deepcopy(full)
            change(changed, path)
            if daemon.is_valid(changed) != chart.is_valid({"config": changed}):
                differences.append((change.__name__, path))
    # What has no default, the templates demand; test_chart_refusals shows how.
    assert differences == [("_removed", ("ignite", "organization")), ("_removed", ("ignite", "auth"))]


def _settings(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, inner in branches:
        if isinstance(key, str) and path != ("sinks",):
            yield (*path, key)
        yield from _settings(inner, (*path, key))


def _misspelled(tree: Any, path: tuple[Any, ...]) -> None:
    section = _at(tree, path[:-1])
    section[f"{path[-1]}x"] = section.pop(path[-1])


def _mistyped(tree: Any, path: tuple[Any, ...]) -> None:
    _at(tree, path[:-1])[path[-1]] = [{"nonsense": 1}]


def _removed(tree: Any, path: tuple[Any, ...]) -> None:
    del _at(tree, path[:-1])[path[-1]]


# ---- as Helm says it ----

TYPOS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "a key of the chart": ({"replica": 1}, ("replica",)),
    "a key inside a section": ({"persistence": {"sise": "1Gi"}}, ("persistence", "sise")),
    "a word that is none of the choices": ({"mode": "daemonset"}, ("mode", "statefulset")),
    "a size without a unit": ({"persistence": {"size": "12"}}, ("persistence/size",)),
    "a digest that is none": ({"image": {"digest": "sha256:1"}}, ("image/digest",)),
    "a handler in a probe": (
        {"livenessProbe": {"httpGet": {"path": "/readyz"}}},
        ("livenessProbe", "httpGet"),
    ),
    "resources": ({"resources": {"request": {"cpu": "1"}}}, ("resources", "request")),
    "a section of the configuration": ({"config": {"sink": {}}}, ("config", "sink")),
    "a setting": ({"config": {"buffer": {"maxsize": "1GiB"}}}, ("config/buffer", "maxsize")),
    "a unit of the configuration": (
        {"config": {"buffer": {"max_size": "10GB"}}},
        ("config/buffer/max_size",),
    ),
    "a setting of a sink": (
        {"config": {"sinks": {"archive": {"buckt": "logs"}}}},
        ("config/sinks/archive", "buckt"),
    ),
    "a type of sink": (
        {"config": {"sinks": {"archive": {"type": "s4"}}}},
        ("config/sinks/archive/type", "'sentry'"),
    ),
    "a way to authenticate": (
        {"config": {"ignite": {"auth": {"type": "password"}}}},
        ("config/ignite/auth/type", "'token_file'"),
    ),
    "what is missing of a sink": (
        {"config": {"sinks": {"new": {"type": "s3"}}}},
        ("config/sinks/new", "'bucket'"),
    ),
}


@HELM.needed
@pytest.mark.parametrize("typo", TYPOS)
def test_helm_refuses_a_typo_and_names_it(typo: str) -> None:
    values, words = TYPOS[typo]
    said = refused("default", values)
    assert "values don't meet the specifications of the schema" in said
    assert not [word for word in words if word not in said], said
    assert said.count("\n- at '") == 1, said


@HELM_3.needed
@pytest.mark.parametrize("typo", ["a key of the chart", "a setting of a sink", "a way to authenticate"])
def test_helm_3_refuses_it_too(typo: str) -> None:
    assert "values don't meet the specifications of the schema" in refused(
        "default", TYPOS[typo][0], helm=HELM_3
    )
