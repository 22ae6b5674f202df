"""Twenty seeds of the chaos harness, two at a time: every promise is kept. `make chaos` runs more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.__main__ import command_of, outcome_of
from tests.chaos.plan import draw
from tests.chaos.run import SLOW

SEEDS = [seed for seed in range(1, 200) if SLOW.isdisjoint(draw(seed).faults)][:20]
"""Without faults that are found only after most of a minute: `make chaos` has them."""


@pytest.mark.slow
@pytest.mark.parametrize("pair", list(zip(SEEDS[::2], SEEDS[1::2], strict=True)), ids=str)
async def test_what_is_printed_is_archived_once_or_a_gap_says_why(
    pair: tuple[int, int], tmp_path: Path
) -> None:
    async def run(seed: int) -> str:
        outcome = await outcome_of(seed, command_of(seed, (), tmp_path / str(seed)))
        broken = "\n".join([*outcome.violations, *outcome.lives])
        return f"seed {seed} ({', '.join(outcome.faults)}):\n{broken}\n" if broken else ""

    assert "".join(await asyncio.gather(*map(run, pair))) == ""
