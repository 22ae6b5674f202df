"""Every link of a page to a file of the project, or to a heading in one, leads somewhere."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    path
    for path in (
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("helm/**/*.md"),
        *ROOT.glob("proto/*.md"),
    )
    if path.parent.name != "generate"  # a part of another page
)

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^()\s]+(?:\([^()]*\))?[^()\s]*)\)")
_HEADING = re.compile(r"^#{1,6} (.+?)\s*#*$", re.MULTILINE)
_CODE = re.compile(r"^( *)(```|~~~).*?^\1\2", re.MULTILINE | re.DOTALL)


def links(text: str) -> Iterator[str]:
    """Targets in the prose of a page; code is no prose."""
    prose = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "code", _CODE.sub("", text))
    return (found[1] for found in _LINK.finditer(prose))


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings (https://github.com/gjtorikian/html-pipeline, its table of contents)."""
    found: set[str] = set()
    for heading in _HEADING.findall(_CODE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        word = "".join(
            "-" if one == " " else one
            for one in plain
            if one in " -_" or unicodedata.category(one)[0] in "LMN"
        )
        number = 0
        while (name := f"{word}-{number}" if number else word) in found:
            number += 1
        found.add(name)
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', text))


def broken(page: Path, text: str) -> Iterator[str]:
    """Links of a page with this text that lead nowhere."""
    for target in links(text):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or not file.is_relative_to(ROOT):
            yield f"{target}: there is no such file"
        elif anchor and anchor not in anchors(text if file == page else file.read_text(encoding="utf-8")):
            yield f"{target}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_the_project_itself_leads_somewhere(page: Path) -> None:
    assert list(broken(page, page.read_text(encoding="utf-8"))) == []


def test_what_leads_nowhere_is_found() -> None:
    text = "[a](nothing.md) [b](testing.md) [c](testing.md#no-such) `[d](code.md)` [e](https://a.b) [f](#x)\n# Y\n"
    assert list(broken(ROOT / "docs" / "operations.md", text)) == [
        "nothing.md: there is no such file",
        "testing.md#no-such: there is no such heading",
        "#x: there is no such heading",
    ]


def test_headings_become_what_github_makes_of_them() -> None:
    text = "# A `b_c` (d), e: 1.5\n## Same\n## Same\n```\n# none\n```\n## [x](y.md) – z\n"
    assert anchors(text) == {"a-b_c-d-e-15", "same", "same-1", "x--z"}
