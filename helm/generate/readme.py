"""README.md of the chart: readme.head.md, and a table of every value by section."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from helm.generate.values import Value, read


def text() -> str:
    """The file's text."""
    head = Path(__file__).with_name("readme.head.md").read_text(encoding="utf-8")
    return head.rstrip() + "\n" + "\n".join(_tables(read())) + "\n"


def _tables(values: list[Value]) -> Iterator[str]:
    for title, section in groupby(values, key=lambda value: value.title):
        yield f"\n### {title}\n"
        yield "| value | default | meaning |"
        yield "|---|---|---|"
        for value in section:
            yield f"| `{value.dotted}` | {_written(value.default)} | {value.text.replace('|', '&#124;')} |"


def _written(default: Any) -> str:
    """As it is written in YAML on one line; what is long is in values.yaml."""
    text = json.dumps(default, ensure_ascii=False)
    if len(text) > 60:
        return "see values.yaml"
    return f"`{default}`" if isinstance(default, str) and default else f"`{text}`"
