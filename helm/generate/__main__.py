"""Writes what is made from other files, or with `--check` says what differs."""

from __future__ import annotations

import sys
from pathlib import Path

from helm.generate import dashboard, readme, schema
from helm.generate.values import CHART


def made() -> dict[Path, str]:
    """Every file and what it should say."""
    return {
        CHART / "values.schema.json": schema.text(),
        CHART / "README.md": readme.text(),
        CHART / "files" / "dashboard.json": dashboard.text(),
    }


def differing() -> list[Path]:
    """Files that do not say what they should."""
    return [
        path for path, text in made().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    """Exit status: 1 when `--check` found something."""
    stale = differing()
    for path in stale:
        print(f"{path} {'differs' if '--check' in arguments else 'is written'}")
        if "--check" not in arguments:
            path.write_text(made()[path], encoding="utf-8")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
