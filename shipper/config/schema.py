"""The JSON Schema (draft 2020-12) of the configuration, for editors; it is what `shipper schema` prints.

The parser is the judge; the schema is as strict as an editor can be without refusing what the parser takes: a
`${...}` reference may stand for every value, and an empty section for its defaults.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from shipper.config.defaults import has_written_default, written_default
from shipper.config.section import Section
from shipper.config.settings import Settings
from shipper.config.shape import as_section, unwrap, variants

_REFERENCE: Final = "#/$defs/Reference"
_NULL: Final[dict[str, Any]] = {"type": "null"}


def schema() -> dict[str, Any]:
    """The schema as plain data."""
    generated: dict[str, Any] = _without_discriminators(Settings.model_json_schema())
    definitions: dict[str, Any] = generated.pop("$defs")
    sections = {section.__name__: section for section in all_sections(Settings)}
    for name, definition in [*definitions.items(), (Settings.__name__, generated)]:
        if section := sections.get(name):
            _finish(section, definition)
    generated["properties"]["sinks"]["additionalProperties"] = False
    definitions["Codec"].pop("description")  # it speaks to programmers
    generated["properties"]["sinks"]["additionalProperties"] = False
    definitions["Codec"].pop("title")
    definitions["Reference"] = {
        "description": "A value from the environment or from a file.",
        "type": "string",
        "pattern": r"\$\{[^}]+\}",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "shipper configuration",
        **{key: value for key, value in generated.items() if key != "title"},
        "$defs": dict(sorted(definitions.items())),
    }


def schema_text() -> str:
    """The schema as the file in the repository has it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def all_sections(root: type[Section]) -> Iterator[type[Section]]:
    """A section and all below it, in the order of their declaration."""
    yield root
    for field in root.model_fields.values():
        for section in sections_of(field.annotation):
            yield from all_sections(section)


def sections_of(annotation: Any) -> list[type[Section]]:
    """The sections that a setting's value is made of: itself, its kinds, or the values of its mapping."""
    annotation = unwrap(annotation)
    if section := as_section(annotation):
        return [section]
    if kinds := variants(annotation):
        return list(kinds.values())
    return [section for argument in get_args(annotation) for section in sections_of(argument)]


def _finish(section: type[Section], definition: dict[str, Any]) -> None:
    for name, setting in definition["properties"].items():
        setting.pop("title", None)
        if has_written_default(section, name):
            setting["default"] = written_default(section, name)
        if "const" not in setting:
            definition["properties"][name] = _open(section, name, setting)
    definition.pop("title", None)


def _open(section: type[Section], name: str, setting: dict[str, Any]) -> dict[str, Any]:
    """Let a reference stand for a value, and nothing for a section whose keys all have defaults."""
    notes: dict[str, Any] = {key: setting.pop(key) for key in ("description", "default") if key in setting}
    forms: list[dict[str, Any]] = setting.pop("anyOf", None) or [setting]
    inner = as_section(unwrap(section.declared()[name].annotation))
    if inner and not any(field.is_required() for field in inner.model_fields.values()):
        forms.append(_NULL)
    elif not inner and any(_is_closed(form) for form in forms):
        forms.append({"$ref": _REFERENCE})
    return {**notes, **(forms[0] if len(forms) == 1 else {"anyOf": forms})}


def _is_closed(form: Mapping[str, Any]) -> bool:
    """Whether the form takes one value and not every text, so that a reference has to be allowed beside it."""
    if form.get("type") == "string":
        return bool({"pattern", "enum"} & form.keys())
    return form.get("type") in ("boolean", "integer") or "$ref" in form


def _without_discriminators(node: Any) -> Any:
    """JSON Schema knows no `discriminator` (OpenAPI does), and strict validators refuse it."""
    if isinstance(node, dict):
        return {key: _without_discriminators(value) for key, value in node.items() if key != "discriminator"}
    return [_without_discriminators(item) for item in node] if isinstance(node, list) else node
