"""What is declared at a path: which keys a section takes, which values are secrets, what type a sink has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from shipper.config.paths import Path
from shipper.config.secret import Secret
from shipper.config.section import Section

KEY_MARK: Final = "[key]"  # pydantic's last element of the location of a mapping's key


@dataclass(frozen=True, slots=True)
class Declared:
    """A declared place: its type, and the field that declares it (an item of a list or mapping is declared by none)."""

    annotation: Any
    field: FieldInfo | None = None


def declared_at(root: type[Section], path: Path, data: Any) -> Declared | None:
    """What is declared for `path`; `data` decides where a `type` key chooses. None: nothing is."""
    declared, value = _walk(root, path, data)
    return Declared(_chosen(declared.annotation, value), declared.field) if declared else None


def section_at(root: type[Section], path: Path, data: Any) -> type[Section] | None:
    """The section at `path`, or None where something else is."""
    declared = declared_at(root, path, data)
    return as_section(declared.annotation) if declared else None


def kinds_at(root: type[Section], path: Path, data: Any) -> tuple[str, ...]:
    """The values that a `type` key can have at `path`; empty where there is no such choice."""
    declared, _ = _walk(root, path, data)
    return tuple(variants(declared.annotation)) if declared else ()


def item_at(data: Any, path: Path) -> Any:
    """What is written at a path; None where nothing is."""
    for key in path:
        data = _item(data, key)
    return data


def holds_secret(root: type[Section], path: Path, data: Any) -> bool:
    """Whether what is written there must not be shown: a secret, or something that is not declared at all.

    A list or a mapping where something else belongs may have a secret inside, which nothing says there.
    """
    declared, value = _walk(root, path, data)
    annotation = _chosen(declared.annotation, value) if declared else None
    if annotation is None or annotation is Secret:
        return True
    origin = get_origin(annotation)
    if isinstance(value, (list, tuple)):
        return origin is not tuple
    mapping = as_section(annotation) or (isinstance(origin, type) and issubclass(origin, Mapping))
    return isinstance(value, Mapping) and not mapping


def variants(annotation: Any) -> dict[str, type[Section]]:
    """The sections among which a `type` key chooses, by its value; empty where there is no such choice."""
    members = [unwrap(member) for member in get_args(unwrap(annotation)) if member is not NoneType]
    sections = [section for member in members if (section := as_section(member))]
    if get_origin(unwrap(annotation)) not in (Union, UnionType) or len(sections) < len(members):
        return {}
    return {get_args(section.model_fields["type"].annotation)[0]: section for section in sections}


def path_of(root: type[Section], location: tuple[str | int, ...]) -> tuple[Path, bool]:
    """A location of pydantic's without the `type` values it has in it, and whether it means the key itself."""
    path: list[str | int] = []
    annotation: Any = root
    remaining: Iterator[str | int] = iter(location)
    for key in remaining:
        if choice := variants(annotation):
            if key == KEY_MARK:
                return tuple(path), True
            annotation = choice[str(key)]
            continue
        path.append(key)
        below = _below(unwrap(annotation), key)
        annotation = below.annotation if below else None
    return tuple(path), False


def unwrap(annotation: Any) -> Any:
    """The type without Annotated and `| None`."""
    while True:
        arguments = get_args(annotation)
        if get_origin(annotation) is Annotated:
            annotation = arguments[0]
        elif get_origin(annotation) in (Union, UnionType) and NoneType in arguments and len(arguments) == 2:
            annotation = next(argument for argument in arguments if argument is not NoneType)
        else:
            return annotation


def choices(annotation: Any) -> tuple[str, ...]:
    """The values of a Literal or an enumeration."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(str(member) for member in getattr(annotation, "__members__", {}).values())


def item_section(annotation: Any) -> type[Section] | None:
    """The section that a list is made of."""
    return as_section(get_args(annotation)[0]) if get_origin(annotation) is tuple else None


def as_section(annotation: Any) -> type[Section] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, Section) else None


def _walk(root: type[Section], path: Path, data: Any) -> tuple[Declared | None, Any]:
    declared: Declared | None = Declared(root)
    for key in path:
        declared = _below(_chosen(declared.annotation, data), key) if declared else None
        data = _item(data, key)
    return declared, data


def _chosen(annotation: Any, data: Any) -> Any:
    if choice := variants(annotation):
        kind = _item(data, "type")
        return choice.get(kind) if isinstance(kind, str) else None
    return unwrap(annotation)


def _below(annotation: Any, key: str | int) -> Declared | None:
    if section := as_section(annotation):
        field = section.declared().get(str(key))
        return Declared(field.annotation, field) if field else None
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        return Declared(arguments[0])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return Declared(arguments[1])
    return None


def _item(data: Any, key: str | int) -> Any:
    if isinstance(data, Mapping):
        return data.get(key)
    if isinstance(data, (list, tuple)) and isinstance(key, int) and key < len(data):
        return data[key]
    return None
