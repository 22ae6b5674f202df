"""docs/complaints.md answers no complaint without a test that exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "complaints.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "shown by" not in line]


@cache
def functions_in(path: str) -> frozenset[str]:
    nodes = ast.walk(ast.parse((ROOT / path).read_text()))
    return frozenset(node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize("name", NAMED)
def test_every_test_that_is_named_exists(name: str) -> None:
    path, function = name.split("::")
    assert function in functions_in(path)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:50])
def test_every_complaint_is_answered_by_a_test(row: str) -> None:
    cells = row.strip("| ").split(" | ")
    assert len(cells) == 3
    assert re.fullmatch(r"`tests/[^`:]+::test_\w+`(, `tests/[^`:]+::test_\w+`)*", cells[2].strip())
