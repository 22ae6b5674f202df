"""Every fuzz target takes what it failed on once, its seeds, and a thousand changes of them; `make fuzz` goes on."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.fuzz.catalogue import CATALOGUE
from tests.fuzz.driving import CORPUS, cases, fuzz, one

RUNS = 1_200  # of each target: all of them together are part of every run of the tests
FEWER = {"configuration": 250, "gateway-streams": 300, "grpc-logs": 600}  # they are slow


@pytest.mark.parametrize(
    ("target", "case"),
    [
        pytest.param(name, case, id=f"{name}-{case.name}")
        for name in CATALOGUE
        for case in cases(CATALOGUE[name])
    ],
)
async def test_what_a_target_failed_on_once_it_takes(target: str, case: Path) -> None:
    assert await one(CATALOGUE[target], case.read_bytes())


@pytest.mark.parametrize("target", CATALOGUE)
async def test_a_seed_is_taken_and_so_are_changes_of_it(target: str) -> None:
    seeds = CATALOGUE[target].seeds
    words = {await one(CATALOGUE[target], seed) for seed in seeds}
    runs = FEWER.get(target, RUNS)
    report = await fuzz(CATALOGUE[target], seed=1, runs=runs, seconds=math.inf)
    assert report.found == []
    assert report.executions == runs
    assert len(report.words | dict.fromkeys(words)) > 1, "everything that came ended in the same way"


def test_every_folder_of_the_corpus_is_of_a_target() -> None:
    assert {folder.name for folder in CORPUS.iterdir() if folder.is_dir()} <= CATALOGUE.keys()
