"""The committed renderings of every feature's values; `python -m tests.helm.golden` (make golden) writes them anew."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from tests.helm import plain
from tests.helm.chart import CASES, rendered
from tests.helm.checkout import rendered_checkout

GOLDEN: Final = Path(__file__).with_name("golden")

# Texts that are files of the chart, taken over as they are; only one rendering needs to show that.
_TAKEN_OVER: Final = re.compile(
    r'^( +)(\{\n(?:\1.*\n)+?\1\}|"""What `helm test`(?:.|\n)+?\n\1sys\.exit\(.*)$', re.MULTILINE
)


def expected() -> dict[Path, str]:
    """Every committed rendering and what it should say."""
    renderings = {case: rendered(case) for case in CASES}
    renderings["checkout"] = rendered_checkout("sidecar")
    renderings["checkout-classic"] = rendered_checkout("classic", kube="1.25.0")
    return {GOLDEN / f"{case}.yaml": shortened(text) for case, text in renderings.items()} | plain.made()


def shortened(text: str) -> str:
    """The rendering without the texts of the chart's files, and without spaces at the ends of lines."""
    text = re.sub(r" +$", "", text, flags=re.MULTILINE)
    return _TAKEN_OVER.sub(r"\1(as in the chart's files)", text)


def differing() -> dict[Path, str]:
    """Renderings that are not what is committed, and committed ones that nothing makes."""
    wanted = expected()
    stale = {path: "" for path in GOLDEN.glob("*.yaml") if path not in wanted}
    return stale | {
        path: text
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }


def main() -> int:
    """Write what differs."""
    GOLDEN.mkdir(exist_ok=True)
    for path, text in differing().items():
        print(f"{path} {'is written' if text else 'is removed'}")
        path.write_text(text, encoding="utf-8") if text else path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
