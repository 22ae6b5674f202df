"""The bench measures what it says: the daemon's archive holds exactly what the load server printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench import datadog, rows
from tests.bench.surroundings import Load, surroundings


def test_a_small_history_arrives_complete_and_once(tmp_path: Path) -> None:
    """Every line of two apps' replicas is in the objects, and the same history again adds none (else it raises)."""
    with surroundings(Load(replicas=3, apps=2, history=400, pace=100), tmp_path) as setup:
        assert rows.archived(setup).lines == 1200
        assert rows.skipped(setup).lines == 1200


@pytest.mark.parametrize("packed", ["full", "lines"])
def test_a_small_history_arrives_over_http(packed: str, tmp_path: Path) -> None:
    with surroundings(Load(replicas=2, history=400, pace=100, http=packed), tmp_path) as setup:
        assert rows.archived(setup).lines == 800


def test_lines_that_are_printed_now_are_found_in_the_buffer(tmp_path: Path) -> None:
    """The delay from printing to commit is taken from the buffer's own frames, and no line is missing there."""
    with surroundings(Load(replicas=2), tmp_path) as setup:
        delay = rows.durable(setup, lines_per_s=400, seconds=1.0)
    assert delay.lines > 0
    assert 0 <= delay.p50_s <= delay.p99_s


def test_every_line_of_a_frame_is_in_a_request_for_datadog() -> None:
    """The steps are measured over a passage that loses nothing, or it raises; so are the ways to write a log."""
    given = datadog.sample(datadog.texts_of([]), 5_000)
    found = datadog.spent(given, datadog.pipeline(join=True, read=True))
    assert found.lines == 5_000
    assert all(pace > 0 for pace in found.steps)
    assert set(datadog.serialised([{"message": "x", "ddtags": "a:b"}], runs=1)) > {"dicts, orjson"}
