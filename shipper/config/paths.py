"""The path of a setting, `("sinks", "archive", "bucket")`, and how it is shown: `sinks.archive.bucket`."""

from __future__ import annotations

import re
from typing import Final

Path = tuple[str | int, ...]

MAX_SHOWN: Final = 60

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_ASSIGNMENT: Final = re.compile(r"[:=]")


def dotted(path: Path) -> str:
    """The path as one word; list items are `[0]`, and keys that are no plain words are quoted."""
    shown = ""
    for key in path:
        if isinstance(key, int):
            shown += f"[{key}]"
        elif _PLAIN.fullmatch(key):
            shown += f".{key}" if shown else key
        else:
            shown += f"[{quoted_key(key)}]"
    return shown


def quoted(text: str) -> str:
    """A value for a message: in quotes, on one line, of bounded length."""
    cut = text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
    return f'"{cut}"' if cut.isprintable() and '"' not in cut else ascii(cut)


def quoted_key(key: str) -> str:
    """A key for a message. Of `client_secret:abc` (no space, so one key to YAML) only what is before `:` is shown."""
    name, *rest = _ASSIGNMENT.split(key, maxsplit=1)
    return quoted(name + "..." if rest else name)
