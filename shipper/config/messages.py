"""pydantic's errors in plain words: what was found, what is accepted, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from shipper.config.document import Document, Finding
from shipper.config.paths import Path, quoted
from shipper.config.secret import Secret
from shipper.config.section import Section
from shipper.config.shape import (
    Declared,
    as_section,
    choices,
    declared_at,
    item_at,
    kinds_at,
    path_of,
    section_at,
)
from shipper.config.types import describe

_KIND_ERRORS: Final = frozenset(("union_tag_invalid", "union_tag_not_found", "model_attributes_type"))


def explain(root: type[Section], errors: Iterable[ErrorDetails], document: Document) -> list[Finding]:
    """One finding for each error that says something new.

    Left out are errors about values that could not be read in the first place, and "missing" for a key that is there
    but misspelt: one mistake is one problem.
    """
    located = [(*_place(root, error, document.data), error) for error in errors if not _follows(error)]
    unknown = [path for path, _, error in located if error["type"] == "extra_forbidden"]
    suggestions = {path: _suggestion(root, path, document.data) for path in unknown}
    misspelt = {(*path[:-1], meant) for path, meant in suggestions.items() if meant}
    findings = [
        Finding(path, _unknown(root, path, suggestions[path], document.data), at_key=True) for path in unknown
    ]
    for path, at_key, error in located:
        unreadable = path in document.unreadable or (*path, "type") in document.unreadable
        if (
            error["type"] == "extra_forbidden"
            or unreadable
            or (error["type"] == "missing" and path in misspelt)
        ):
            continue
        findings.append(_finding(root, path, at_key, error, document))
    return findings


def _follows(error: ErrorDetails) -> bool:
    """A list that counts as too short, because its items are wrong, which is said of each."""
    return error["type"] == "too_short" and bool(error["input"])


def _place(root: type[Section], error: ErrorDetails, data: Any) -> tuple[Path, bool]:
    """The path of an error. The only item of a list that is written without one stands where the list would."""
    path, at_key = path_of(root, error["loc"])
    if path and isinstance(path[-1], int) and isinstance(item_at(data, path[:-1]), str):
        return path[:-1], at_key
    return path, at_key


def _finding(
    root: type[Section], path: Path, at_key: bool, error: ErrorDetails, document: Document
) -> Finding:
    declared = declared_at(root, path, document.data)
    value = error["input"]
    if at_key:
        return Finding(path, _reason(error), at_key=True)
    if error["type"] == "missing":
        return Finding(path, f"is required, but missing{_purpose(declared)}", at_key=True)
    if error["type"] in _KIND_ERRORS and (kinds := kinds_at(root, path, document.data)):
        return _wrong_kind(path, value, kinds, document)
    if value is None:
        return Finding(path, f"null is not accepted here; {_instead_of_null(declared)}")
    return Finding(path, _what_is_wrong(error, value, declared, _subject(path, value, declared, document)))


def _what_is_wrong(error: ErrorDetails, value: Any, declared: Declared | None, subject: str) -> str:
    annotation = declared.annotation if declared else None
    items = get_args(annotation) if get_origin(annotation) is tuple and isinstance(value, str) else ()
    if accepted := choices(items[0] if items else annotation):
        return f"{subject or 'a mapping'} is not one of {', '.join(accepted)}{_did_you_mean(value, accepted)}"
    if annotation is bool:
        return f"{subject or 'a mapping'} is not true or false"
    match error["type"]:
        case "value_error":
            return f"{subject} {_reason(error)}".strip()
        case "tuple_type":
            return f'a list belongs here, not {describe(value)}; write for example ["checkout-*"]'
        case "model_type" | "model_attributes_type" | "mapping_type" | "dict_type":
            return f"a mapping (key: value, indented below) belongs here, not {describe(value)}"
        case "too_short":
            return "is empty; at least one entry is needed"
        case _:
            return f"{subject} is not accepted: {error['msg'].lower()}".strip()


def _subject(path: Path, value: Any, declared: Declared | None, document: Document) -> str:
    """The value in quotes where it may be shown: no secret, written in the file itself, without credentials in it."""
    if isinstance(value, Mapping):
        return ""
    if not isinstance(value, str) or not value or declared is None or declared.annotation is Secret:
        return "the value"
    written = document.written.get(path)
    if written is None or not written.literal:
        return "the value (from a ${...})"
    credentials = "://" in value and ("@" in value or "?" in value)
    return "the value" if credentials else quoted(value)


def _wrong_kind(path: Path, value: Any, kinds: tuple[str, ...], document: Document) -> Finding:
    accepted = ", ".join(kinds)
    if isinstance(value, Mapping) and "type" in value:
        kind = value["type"]
        found = _subject((*path, "type"), kind, Declared(str), document) or "a mapping"
        return Finding((*path, "type"), f"{found} is not one of {accepted}{_did_you_mean(kind, kinds)}")
    if isinstance(value, Mapping) or value is None:
        return Finding((*path, "type"), f"is required, but missing; write one of {accepted}", at_key=True)
    return Finding(path, f"a mapping with a type ({accepted}) belongs here, not {describe(value)}")


def _unknown(root: type[Section], path: Path, suggestion: str | None, data: Any) -> str:
    if suggestion:
        return f"unknown key; did you mean {suggestion}?"
    section = section_at(root, path[:-1], data)
    if section is None:
        return "unknown key"
    key = path[-1]
    for name, field in section.declared().items():
        if (inner := as_section(field.annotation)) and key in inner.declared():
            return f"unknown key here; did you mean {name}.{key}?"
    return f"unknown key; accepted here: {', '.join(section.declared())}"


def _suggestion(root: type[Section], path: Path, data: Any) -> str | None:
    section = section_at(root, path[:-1], data)
    if section is None:
        return None
    wanted = str(path[-1]).lower().replace("-", "_")
    return next(iter(get_close_matches(wanted, list(section.declared()), n=1)), None)


def _did_you_mean(value: Any, accepted: tuple[str, ...]) -> str:
    near = get_close_matches(value.lower(), accepted, n=1) if isinstance(value, str) else []
    return f"; did you mean {near[0]}?" if near else ""


def _instead_of_null(declared: Declared | None) -> str:
    field = declared.field if declared else None
    if field is None or field.is_required():
        return f"a value is required{_purpose(declared)}"
    return "leave the key out for its default"


def _purpose(declared: Declared | None) -> str:
    field: FieldInfo | None = declared.field if declared else None
    if field is None or not field.description:
        return ""
    return f" ({field.description.split('. ')[0].split('; ')[0].rstrip('.')})"


def _reason(error: ErrorDetails) -> str:
    cause = error.get("ctx", {}).get("error")
    return str(cause) if isinstance(cause, ValueError) else error["msg"]
