"""`${NAME}`, `${NAME:-default}` and `${file:/path}` in a value; `$$` is a dollar sign.

What comes in is text and stays text: it is never read again as YAML or for further references.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_FILE_SIZE: Final = 1 << 20

_TOKEN: Final = re.compile(r"\$\$|\$\{(?P<inside>[^}]*)\}|\$\{")
_VARIABLE: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.ASCII | re.DOTALL)
_BARE_VARIABLE: Final = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*", re.ASCII)

_FORMS: Final = "${NAME}, ${NAME:-default} or ${file:/path}"


@dataclass(frozen=True, slots=True)
class Fault:
    """A reference that leads nowhere. `token` counts the `$` tokens of the text from 0, see `token_offsets`."""

    token: int
    message: str


@dataclass(frozen=True, slots=True)
class Expanded:
    """A value with its references replaced. `files` were asked for; with `faults` the text means nothing."""

    text: str
    literal: bool
    files: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()


class _Unresolved(Exception):
    """Says why in words that never repeat what was read."""


def expand(text: str, environ: Mapping[str, str]) -> Expanded:
    """Replace every reference of `text`; what fails is listed, all of it."""
    parts: list[str] = []
    files: list[str] = []
    faults: list[Fault] = []
    literal, position = True, 0
    for number, token in enumerate(_TOKEN.finditer(text)):
        parts.append(text[position : token.start()])
        position = token.end()
        if token[0] == "$$":
            parts.append("$")
            continue
        literal = False
        try:
            parts.append(_resolve(token["inside"], environ, files))
        except _Unresolved as unresolved:
            faults.append(Fault(number, str(unresolved)))
    parts.append(text[position:])
    return Expanded("".join(parts), literal, tuple(files), tuple(faults))


def token_offsets(text: str) -> list[int]:
    """Where the `$` tokens of a text begin."""
    return [token.start() for token in _TOKEN.finditer(text)]


def looks_like_variable(text: str) -> bool:
    """Whether the whole text is `$NAME`, which other programs expand and this one does not."""
    return _BARE_VARIABLE.fullmatch(text) is not None


def _resolve(inside: str | None, environ: Mapping[str, str], files: list[str]) -> str:
    if inside is None:
        raise _Unresolved("'${' has no '}' after it; write $${ if the dollar sign is meant")
    if inside.startswith("file:"):
        files.append(inside.removeprefix("file:"))
        return _read_file(inside.removeprefix("file:"))
    variable = _VARIABLE.fullmatch(inside)
    if variable is None:
        raise _Unresolved(
            f"'${{...}}' holds no reference; write {_FORMS}, or $${{ if the dollar sign is meant"
        )
    default = variable["default"]
    if default is not None and "${" in default:
        raise _Unresolved("a default cannot hold another ${...}; choose one of the two")
    value = environ.get(variable["name"])
    if default is not None:
        return value or default.replace("$$", "$")
    if value is None:
        name = variable["name"]
        raise _Unresolved(f"the environment has no {name}; set it, or write ${{{name}:-default}}")
    return value


def _read_file(name: str) -> str:
    shown = ascii(name)
    if not name:
        raise _Unresolved("${file:} names no file; write ${file:/path}")
    try:
        path = Path(name)
        if path.exists() and not path.is_file():
            raise _Unresolved(f"{shown} is not a regular file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_SIZE + 1)
    except FileNotFoundError:
        raise _Unresolved(f"there is no file {shown}; mount it or correct the path") from None
    except OSError as error:
        advice = (
            f"; give the user with the id {os.geteuid()} that right"
            if isinstance(error, PermissionError)
            else ""
        )
        raise _Unresolved(
            f"{shown} cannot be read: {error.strerror or type(error).__name__}{advice}"
        ) from None
    except ValueError:
        raise _Unresolved("${file:...} has a path with a character that no path can have") from None
    if len(content) > MAX_FILE_SIZE:
        raise _Unresolved(f"{shown} is larger than 1MiB, so it is hardly a secret")
    try:
        return content.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise _Unresolved(f"{shown} is not UTF-8 text") from None
