"""The daemon is killed at system calls all over a small run: nothing is lost or there twice. `make chaos`: at each."""

from __future__ import annotations

import shutil

import pytest

from tests.chaos.steps import kill_at_each
from tests.chaos.steps_table import steps_table

CALLS = range(7, 390, 35)
LANES = 3


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("cc") is None, reason="there is no compiler for the library that kills at a call"
)
async def test_a_kill_at_a_system_call_loses_nothing_and_doubles_nothing() -> None:
    outcomes = await kill_at_each(CALLS, LANES)
    assert [outcome.number for outcome in outcomes] == list(CALLS)
    assert [outcome for outcome in outcomes if outcome.problems] == []
    killed = [outcome for outcome in outcomes if outcome.at]
    assert len(killed) > len(CALLS) // 2, "the calls are not seen any more"
    assert "| 0 |" in steps_table(outcomes)
