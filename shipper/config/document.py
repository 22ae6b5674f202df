"""A configuration file as plain data (mappings, lists, text, null) with the place of everything in it.

Scalars stay text, whatever YAML 1.1 would make of them: the setting's own type reads them. So `organization: no` is a
name, and a number that comes from the environment is as good as one in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import yaml

from shipper.config.interpolation import Expanded, expand, looks_like_variable, token_offsets
from shipper.config.paths import Path
from shipper.config.syntax import SyntaxFault, compose
from shipper.errors import Severity

MAX_DEPTH: Final = 32
MAX_NODES: Final = 20_000

_TAG: Final = "tag:yaml.org,2002:"
_SCALAR_TAGS: Final = frozenset(
    _TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp", "value")
)
_MERGE_TAG: Final = _TAG + "merge"


class Unreadable:
    """Stands for a value that could not be read and was reported; no type accepts it."""


UNREADABLE: Final = Unreadable()


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the file; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Written:
    """Where a key and its value are written. `literal` means a text without references."""

    key: Place
    value: Place
    literal: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a setting, or (with `place`) at a place. `at_key` points to the key and not to the value."""

    path: Path
    message: str
    severity: Severity = Severity.ERROR
    at_key: bool = False
    place: Place | None = None


@dataclass(slots=True)
class Document:
    """What a file says. `files` are the (setting, file name) pairs of `${file:...}`, readable or not."""

    source: str
    data: Any = None
    written: dict[Path, Written] = field(default_factory=dict)
    unreadable: set[Path] = field(default_factory=set)
    files: list[tuple[Path, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def place_of(self, path: Path, *, at_key: bool = False) -> Place:
        """Where the setting is written, or else the nearest section around it."""
        for length in range(len(path), 0, -1):
            if found := self.written.get(path[:length]):
                return found.key if at_key or length < len(path) else found.value
        return Place(1, 1)


def read_document(source: str, environ: Mapping[str, str]) -> Document:
    """Read YAML text and replace its references. Everything that is wrong is in `findings`; nothing is raised."""
    document = Document(source)
    try:
        root = compose(source)
    except SyntaxFault as fault:
        document.findings.append(Finding((), fault.message, place=Place(fault.line, fault.column)))
        return document
    if not isinstance(root, yaml.MappingNode):
        message = (
            "the configuration is empty" if root is None else "the configuration is not a mapping of sections"
        )
        document.findings.append(Finding((), f"{message}; it begins with a section such as 'ignite:'"))
        return document
    reader = _Reader(document, environ)
    try:
        document.data = reader.value(root, ())
    except _TooMuch as too_much:
        document.data = None
        document.findings.append(Finding((), str(too_much), place=_place(too_much.node)))
    return document


class _TooMuch(Exception):
    def __init__(self, node: yaml.Node, message: str) -> None:
        super().__init__(message)
        self.node = node


class _Reader:
    """Walks the nodes of one document once and notes what it finds."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._nodes = 0

    def value(self, node: yaml.Node, path: Path, depth: int = 0) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or depth > MAX_DEPTH:
            raise _TooMuch(
                node, "the configuration is too large or too deeply nested (does an alias repeat itself?)"
            )
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self._item(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path, depth + 1)
        return self._refuse(node, path, "has a YAML tag (!...), which is not supported; remove it")

    def _item(self, node: yaml.Node, path: Path, depth: int) -> Any:
        self._document.written[path] = _written(node, node)
        return self.value(node, path, depth)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, Any]:
        first_line: dict[str, int] = {}
        data: dict[str, Any] = {}
        merged: list[yaml.MappingNode] = []
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._note(Finding(path, "a key must be a plain word", place=_place(key_node)))
            elif key_node.tag == _MERGE_TAG:
                merged.extend(self._merge_sources(value_node, path))
            elif key_node.value in first_line:
                message = (
                    f"this key stands here twice; it was set in line {first_line[key_node.value]} already"
                )
                self._note(Finding((*path, key_node.value), message, place=_place(key_node)))
            else:
                key = key_node.value
                first_line[key] = _place(key_node).line
                self._document.written[(*path, key)] = _written(key_node, value_node)
                data[key] = self.value(value_node, (*path, key), depth)
        for source in merged:
            self._merge(source, data, path, depth)
        return data

    def _merge_sources(self, node: yaml.Node, path: Path) -> Iterator[yaml.MappingNode]:
        for source in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if isinstance(source, yaml.MappingNode):
                yield source
            else:
                self._note(
                    Finding(
                        path,
                        "'<<' merges a mapping (or a list of them), and this is none",
                        place=_place(node),
                    )
                )

    def _merge(self, source: yaml.MappingNode, data: dict[str, Any], path: Path, depth: int) -> None:
        """Take over the keys that are not set here. They keep the place where they were written."""
        missing = [(key, value) for key, value in source.value if not _is_set(key, data)]
        partial = yaml.MappingNode(source.tag, missing, source.start_mark, source.end_mark)
        data.update(self.value(partial, path, depth))

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Any:
        if node.tag == _TAG + "null":
            return None
        if node.tag not in _SCALAR_TAGS:
            return self._refuse(
                node, path, "has a YAML tag (!...), which is not supported; quote the value or remove the tag"
            )
        expanded = expand(node.value, self._environ)
        self._document.files.extend((path, name) for name in expanded.files)
        if expanded.literal and expanded.text and (written := self._document.written.get(path)):
            self._document.written[path] = replace(written, literal=True)
        if expanded.faults:
            self._note_faults(node, path, expanded)
            self._document.unreadable.add(path)
            return UNREADABLE
        if looks_like_variable(node.value):
            message = "'$NAME' is taken as it stands; write ${NAME} to read the environment, or $$NAME if that is meant"
            self._note(Finding(path, message, Severity.WARNING))
        return expanded.text

    def _note_faults(self, node: yaml.ScalarNode, path: Path, expanded: Expanded) -> None:
        raw = self._document.source[node.start_mark.index : node.end_mark.index]
        offsets = token_offsets(raw)
        known = len(offsets) == len(
            token_offsets(node.value)
        )  # escapes in quotes can hide a token from the raw text
        for fault in expanded.faults:
            place = _advance(_place(node), raw[: offsets[fault.token]]) if known else _place(node)
            self._note(Finding(path, fault.message, place=place))

    def _refuse(self, node: yaml.Node, path: Path, message: str) -> Unreadable:
        self._document.unreadable.add(path)
        self._note(Finding(path, message, place=_place(node)))
        return UNREADABLE

    def _note(self, finding: Finding) -> None:
        self._document.findings.append(finding)


def _is_set(key: yaml.Node, data: Mapping[str, Any]) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value in data


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _advance(place: Place, text: str) -> Place:
    before, newline, last = text.rpartition("\n")
    if not newline:
        return Place(place.line, place.column + len(text))
    return Place(place.line + before.count("\n") + 1, len(last) + 1)


def _written(key: yaml.Node, value: yaml.Node) -> Written:
    return Written(_place(key), _place(value))
