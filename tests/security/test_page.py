"""docs/security.md promises nothing without a test."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE)))
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "shown by" not in line]


@pytest.mark.parametrize("name", NAMED)
def test_every_test_that_is_named_exists(name: str) -> None:
    text = (ROOT / name).read_text()
    assert re.search(r"^(async )?def test_", text, re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip()[:50])
def test_every_answer_names_a_test(row: str) -> None:
    cells = row.strip("| ").split(" | ")
    assert len(cells) == 3
    assert re.fullmatch(r"`tests/[^`]+`(, `tests/[^`]+`)*", cells[2].strip())


def test_every_test_of_this_folder_is_named() -> None:
    here = {f"tests/security/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert here - set(NAMED) == {"tests/security/test_page.py"}


def test_who_finds_a_weakness_is_told_where_to_go() -> None:
    told = (ROOT / "SECURITY.md").read_text()
    assert "Report a vulnerability" in told
    assert "docs/security.md" in told
    assert "@" not in told  # no address that nobody reads
