"""One target's run in a process of its own, with a bound on its memory."""

from __future__ import annotations

import asyncio
import resource
from typing import Final

from tests.fuzz.catalogue import CATALOGUE
from tests.fuzz.driving import Report, fuzz

_MOST_BYTES: Final = 2 * 1024**3  # of address space: a bomb ends the process, and the run says so


def in_a_process(name: str, seed: int, runs: int, seconds: float) -> Report:
    """What came of it."""
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    return asyncio.run(fuzz(CATALOGUE[name], seed, runs=runs, seconds=seconds))
