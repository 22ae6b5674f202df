"""The soak finds a figure that rises, and not one that follows the replicas; it compares archives with what came."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path

import pytest

from tests.soak.samples import Sample
from tests.soak.slopes import BOUNDS, trends


def hour(*, anon_per_hour: float = 0.0, tasks_per_replica: float = 0.0) -> list[Sample]:
    """Samples of an hour in which replicas come and go."""
    rng = random.Random(1)
    replicas = 200.0
    samples = []
    for step in range(360):
        replicas = max(150.0, min(250.0, replicas + rng.uniform(-6, 6)))
        at_s = step * 10.0
        samples.append(
            Sample(
                at_s=at_s,
                replicas=replicas,
                rss_mb=90 + rng.uniform(-1, 1),
                anon_mb=70 + rng.uniform(-1, 1) + anon_per_hour * at_s / 3600,
                files=25,
                threads=12,
                tasks=40 + tasks_per_replica * replicas,
                buffer_mb=15 + rng.uniform(-5, 5),
                printed=step * 20_000,
            )
        )
    return samples


def growing(samples: list[Sample]) -> list[str]:
    return [trend.name for trend in trends(samples, leave_out_s=600) if trend.grows]


def test_memory_that_grows_is_found_and_noise_is_not() -> None:
    assert growing(hour()) == []
    assert growing(hour(anon_per_hour=2 * BOUNDS["anon_mb"])) == ["anon_mb"]


def test_tasks_that_go_with_the_replicas_are_no_growth() -> None:
    assert growing(hour(tasks_per_replica=2.0)) == []


def test_the_beginning_is_left_out() -> None:
    samples = hour()
    assert growing([*hour(anon_per_hour=500)[:60], *samples[60:]]) == []
    with pytest.raises(ValueError, match="say nothing"):
        trends(samples[:50], leave_out_s=600)


async def test_some_seconds_of_churn_end_with_archives_that_have_what_was_printed(tmp_path: Path) -> None:
    """Slopes of so short a time say nothing; that they are printed, and both archives compared, is seen."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.soak", "--minutes", "0.1", "--leave-out", "0", "--every", "1",
        "--rate", "300", "--apps", "3", "--replicas", "3", "--pod-life", "4", "--batch-age", "1s",
        "--folder", str(tmp_path), stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 100)
    said = out.decode()
    assert "directory: " in said
    assert said.count(" 0 replicas differ") == 2
    assert "| anon_mb |" in said
    samples = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert len(samples) >= 3
    assert all(sample["rss_mb"] > sample["anon_mb"] > 10 for sample in samples)
