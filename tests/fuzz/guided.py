"""`python -m tests.fuzz.guided TARGET [libFuzzer's options]`: the same target, guided by what its inputs reach.

Needs atheris (https://pypi.org/project/atheris/), which is no dependency of the tests: where it is installed, it finds
what changes at random come upon too seldom. An input that fails is written by libFuzzer as `crash-...`.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["shipper"]):
    from tests.fuzz.catalogue import CATALOGUE
from tests.fuzz.driving import cases, one
from tests.fuzz.target import MOST_BYTES


def main() -> None:
    """Until libFuzzer ends the process."""
    target = CATALOGUE[sys.argv[1]]
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    for number, seed in enumerate([*target.seeds, *(path.read_bytes() for path in cases(target))]):
        (folder / str(number)).write_bytes(seed)
    runner = asyncio.Runner()

    def test(data: bytes) -> None:
        runner.run(one(target, data))

    atheris.Setup([sys.argv[0], *sys.argv[2:], f"-max_len={MOST_BYTES}", str(folder)], test)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
