"""Every command of ours in a page's code is one that the program takes, with the options that are there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from shipper import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("helm/shipper/*.md")))

_BLOCK = re.compile(r"^ *```(?:sh|bash|console)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(shipper [a-z][^`\n]*)`")
_OURS = re.compile(r"(?:^|\s|/)shipper((?: +(?:-[^\s]+|[a-z]+)).*)")
_ENDS = frozenset({"|", "&&", ";", "&", ">", "<", "2>&1"})
_KNOWN = "run|check|demo|emulator|schema|deadletter|top|tap|ignite"


def commands(text: str) -> Iterator[str]:
    """What follows the program's name, line by line, in blocks of shell; and whole ones in prose."""
    for block in _BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            found = _OURS.search(line)
            if found and re.match(rf" +(?:{_KNOWN})\b", found[1]):
                yield found[1]
    for inline in _INLINE.findall(text):
        if "--config " in inline and not re.search(
            r"[…|\[{]|\.\.\.", inline
        ):  # else it is but a name in the prose
            yield inline.removeprefix("shipper")


def words(command: str) -> list[str]:
    """As a shell would cut it, up to where the next command or a comment begins."""
    cut: list[str] = []
    for word in shlex.split(command, comments=True):
        if word in _ENDS:
            break
        cut.append(word)
    return cut


CASES = [
    pytest.param(command, id=f"{page.relative_to(ROOT)}:{command.strip()}")
    for page in PAGES
    for command in dict.fromkeys(commands(page.read_text(encoding="utf-8")))
]


def test_there_are_some() -> None:
    assert len(CASES) > 10


@pytest.mark.parametrize("command", CASES)
def test_the_program_takes_it(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        cli._parse(words(command))
    except cli._Ended:
        pytest.fail(capsys.readouterr().err)
