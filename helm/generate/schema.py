"""values.schema.json: types from chart.schema.yaml, texts from values.yaml, the daemon's own schema for `config`.

It is written as draft 7, which every Helm 3 and 4 understands, and every `type` that chooses between sections as a
condition, so that a typo in a sink is told as that and not as "matches none of five".
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import yaml

from helm.generate.values import REPOSITORY, Value, read

Schema = dict[str, Any]

DRAFT: Final = "http://json-schema.org/draft-07/schema#"
_ANNOTATIONS: Final = frozenset(("default", "description", "title"))
# What has no default is demanded by the templates, which say what to set; an existing ConfigMap needs none of it.
_DEMANDED_BY_TEMPLATES: Final = ("organization", "auth")


def text() -> str:
    """The file's text."""
    return json.dumps(values_schema(read()), indent=2, ensure_ascii=False) + "\n"


def values_schema(values: list[Value]) -> Schema:
    """The schema of the chart's values."""
    source = yaml.safe_load(Path(__file__).with_name("chart.schema.yaml").read_text(encoding="utf-8"))
    texts = {value.path: value.text for value in values}
    daemon = json.loads((REPOSITORY / "config" / "shipper.schema.json").read_text(encoding="utf-8"))
    properties = {key: _section(spec, (key,), texts) for key, spec in source["values"].items()}
    return {
        "$schema": DRAFT,
        "title": "Values of the chart shipper",
        "type": "object",
        "additionalProperties": False,
        "properties": properties | source["beside"],
        "definitions": source["definitions"] | configuration(daemon),
    }


def _section(spec: Any, path: tuple[str, ...], texts: dict[tuple[str, ...], str]) -> Schema:
    """A word is a definition; a mapping that says `type`, `enum`, `$ref` or `anyOf` is a schema; others have keys."""
    described = {"description": texts[path]} if path in texts else {}
    if isinstance(spec, str):
        return described | {"allOf": [{"$ref": f"#/definitions/{spec}"}]}
    if spec.keys() & {"type", "enum", "anyOf"}:
        return {**described, **spec}
    if "$ref" in spec:
        return described | {"allOf": [spec]}
    properties = {}
    for key, inner in spec.items():
        name = key.removeprefix("~")
        schema = _section(inner, (*path, name), texts)
        properties[name] = schema if name == key else _or_null(schema)
    return {**described, "type": "object", "additionalProperties": False, "properties": properties}


def _or_null(schema: Schema) -> Schema:
    outer = {key: value for key, value in schema.items() if key in _ANNOTATIONS}
    inner = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    return outer | {"anyOf": [inner, {"type": "null"}]}


# ---- the daemon's schema ----


def configuration(daemon: Schema) -> dict[str, Schema]:
    """Its sections as definitions `config` and `config.<section>`."""
    sections = {
        "Configuration": {key: value for key, value in daemon.items() if key not in ("$schema", "$defs")}
    }
    sections |= daemon["$defs"]
    ignite = sections["IgniteSettings"]
    required = [key for key in ignite["required"] if key not in _DEMANDED_BY_TEMPLATES]
    sections["IgniteSettings"] = ignite | {"required": required}
    sections["Configuration"] = _sinks_may_be_empty(sections["Configuration"])
    return {_named(name): _as_draft_7(section, daemon["$defs"]) for name, section in sections.items()}


def _sinks_may_be_empty(section: Schema) -> Schema:
    sinks = {key: value for key, value in section["properties"]["sinks"].items() if key != "minProperties"}
    return section | {"properties": section["properties"] | {"sinks": sinks}}


def _named(name: str) -> str:
    return "config" if name == "Configuration" else f"config.{name}"


def _as_draft_7(schema: Any, sections: dict[str, Schema]) -> Any:
    if isinstance(schema, list):
        return [_as_draft_7(item, sections) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        if schema.keys() - _ANNOTATIONS - {"$ref"}:
            raise ValueError(f"draft 7 ignores what stands beside a $ref: {schema}")
        return {"$ref": "#/definitions/" + _named(schema["$ref"].removeprefix("#/$defs/"))}
    if "oneOf" in schema and (kinds := _by_type(schema["oneOf"], sections)):
        outer = {key: value for key, value in schema.items() if key != "oneOf"}
        return _as_draft_7(outer, sections) | _chosen(kinds)
    return {key: _as_draft_7(value, sections) for key, value in schema.items()}


def _by_type(choices: list[Schema], sections: dict[str, Schema]) -> dict[str, str]:
    """Section by the constant that its `type` has; empty where that is not what distinguishes the choices."""
    names = [choice.get("$ref", "").removeprefix("#/$defs/") for choice in choices]
    kinds = {
        sections.get(name, {}).get("properties", {}).get("type", {}).get("const"): name for name in names
    }
    return {} if None in kinds or len(kinds) < len(choices) else kinds


def _chosen(kinds: dict[str, str]) -> Schema:
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": list(kinds)}},
        "allOf": [
            {
                "if": {"required": ["type"], "properties": {"type": {"const": kind}}},
                "then": {"$ref": "#/definitions/" + _named(name)},
            }
            for kind, name in kinds.items()
        ],
    }
