"""YAML text to YAML nodes, and YAML's own complaints in plain words that never repeat what the file says."""

from __future__ import annotations

import re
from typing import Final

import yaml

_QUOTED: Final = re.compile(r"'[^']*'|\"[^\"]*\"")

# PyYAML's wording (its scanner.py, parser.py and composer.py), and what to do about it.
_PLAIN_WORDS: Final = (
    (r"character '\\t'", "a tab cannot indent YAML; use spaces"),
    (r"that cannot start any token", "a value cannot begin with this character; put the value in quotes"),
    (
        r"mapping values are not allowed",
        "': ' is not expected here; check the indentation, or put the value in quotes",
    ),
    (r"could not find expected ':'", "a key without ': ' after it, or a quote that is not closed above"),
    (r"expected a single document", "there is a second document ('---') here; keep one"),
    (r"expected <block end>", "the indentation does not fit what stands above"),
    (
        r"expected ',' or '[\]}]'",
        "a list [...] or mapping {...} is not closed or has no comma; inside one, put ${NAME} in quotes",
    ),
    (
        r"undefined alias",
        "this alias (*name) has no anchor (&name) before it; quote the value if it begins with *",
    ),
    (r"unexpected end of stream", "a quote is opened and not closed"),
    (
        r"unknown escape character",
        "an unknown escape (\\x) in double quotes; use single quotes, or \\\\ for a backslash",
    ),
    (
        r"while scanning (a tag|a directive)|tag handle",
        "a value that begins with ! or % must stand in quotes",
    ),
)


class SyntaxFault(Exception):
    """The text is no YAML; `line` and `column` count from 1."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.message = message


def compose(source: str) -> yaml.Node | None:
    """The root node, or None for an empty file. Raises SyntaxFault for anything that is no single YAML document."""
    try:
        return yaml.compose(source, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise SyntaxFault(line, column, _in_plain_words(error)) from None
    except yaml.reader.ReaderError as error:
        before = source[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        raise SyntaxFault(
            line, column, "a character that YAML does not allow (a control character?)"
        ) from None
    except RecursionError:
        raise SyntaxFault(1, 1, "the configuration is too deeply nested") from None
    except (ValueError, OverflowError):  # PyYAML's scanner lets chr() fail on "\UFFFFFFFF"
        raise SyntaxFault(1, 1, "a double-quoted value has an escape that is no character") from None


def _in_plain_words(error: yaml.MarkedYAMLError) -> str:
    theirs = f"{error.context or ''}: {error.problem or ''}"
    for pattern, ours in _PLAIN_WORDS:
        if re.search(pattern, theirs):
            return f"not valid YAML: {ours}"
    return f"not valid YAML: {_QUOTED.sub('...', theirs).strip(': ')}"
