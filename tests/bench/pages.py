"""Puts what was measured into the documentation, between two marks of a page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.bench.processes import ROOT

DOCS: Final = ROOT / "docs"


def put(page: str, name: str, command: str, lines: Sequence[str]) -> None:
    """Replace what stands between the marks of `name`."""
    path = DOCS / page
    begin, end = f"<!-- {name}: written by `{command}` -->", f"<!-- end of {name} -->"
    before, found, rest = path.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise SystemExit(f"{path} has no place for {name}: {begin} ... {end}")
    path.write_text("\n".join([f"{before}{begin}", "", *lines, "", f"{end}{after}"]))
