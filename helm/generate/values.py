"""The values of the chart as values.yaml documents them: a path, a default and a text for each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

CHART: Final = Path(__file__).parents[1] / "shipper"
REPOSITORY: Final = CHART.parents[1]

_KEY: Final = re.compile(r"^( *)([A-Za-z][A-Za-z0-9]*):")
_TITLE: Final = "# == "
_BEGINNING: Final = "# -- "


@dataclass(frozen=True, slots=True)
class Value:
    """One documented value. `title` is the section that it stands in."""

    title: str
    path: tuple[str, ...]
    text: str
    default: Any

    @property
    def dotted(self) -> str:
        return ".".join(self.path)


def documented(text: str) -> list[Value]:
    """The values in their order. A key belongs to the comment directly above it that begins with `--`."""
    defaults = yaml.safe_load(text)
    values: list[Value] = []
    title = ""
    comment: list[str] = []
    path: list[str] = []
    for line in text.splitlines():
        if line.startswith(_TITLE):
            title = line.removeprefix(_TITLE)
        elif line.lstrip().startswith(_BEGINNING):
            comment = [line.lstrip().removeprefix(_BEGINNING)]
        elif line.lstrip().startswith("#"):
            comment += [line.lstrip().removeprefix("#").strip()] if comment else []
        elif found := _KEY.match(line):
            path = [*path[: len(found[1]) // 2], found[2]]
            if comment:
                values.append(Value(title, tuple(path), " ".join(comment), at(defaults, path)))
            comment = []
    return values


def at(tree: Any, path: list[str] | tuple[str, ...]) -> Any:
    """What lies at a path of a tree of mappings."""
    for key in path:
        tree = tree[key]
    return tree


def undocumented(values: list[Value], tree: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Leaves that neither have a text nor lie below a value that has one."""
    paths = {value.path for value in values}
    if path in paths:
        return
    if isinstance(tree, dict) and tree:
        for key, branch in tree.items():
            yield from undocumented(values, branch, (*path, key))
    else:
        yield ".".join(path)


def read() -> list[Value]:
    """The values of the chart in this repository."""
    return documented((CHART / "values.yaml").read_text(encoding="utf-8"))
