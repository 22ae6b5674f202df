"""docs/metrics.md says what the table says, and every call of a meter in the source is in the table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import shipper
from shipper.collect.states import State as SubscriptionState
from shipper.deliver.breaker import State as SinkState
from shipper.ignite.status import Action
from shipper.telemetry import reference
from shipper.telemetry.metrics import PREFIX, SERIES, SeriesType

SOURCE = Path(shipper.__file__).parent
TABLE = {series.name: series for series in SERIES}
METHODS = {
    "count": SeriesType.COUNTER,
    "level": SeriesType.GAUGE,
    "observe": SeriesType.HISTOGRAM,
    "forget": SeriesType.GAUGE,
}


class Call(NamedTuple):
    where: str
    method: str
    series: str
    labels: list[ast.expr]
    countable: bool


def meter_calls() -> Iterator[Call]:
    """Every `….meter.count("name", …)` and the like, and the buffer's notes for the meter.

    A name that is not written out is an error, because nobody could check it; only passing a whole call on is not.
    """
    for path in sorted(SOURCE.rglob("*.py")):
        if "telemetry" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in METHODS
            ):
                continue
            if ast.unparse(node.func.value).rpartition(".")[2].lstrip("_") not in ("meter", "notes"):
                continue
            where = f"{path.relative_to(SOURCE)}:{node.lineno}"
            assert node.args, where
            name = node.args[0]
            starred = any(isinstance(argument, ast.Starred) for argument in node.args)
            if starred and isinstance(name, ast.Name):
                continue
            assert isinstance(name, ast.Constant), f"{where}: the name of a series must be written out"
            first = 1 if node.func.attr == "forget" else 2
            labels = node.args[first:]
            yield Call(where, node.func.attr, str(name.value), labels, not starred)


def test_the_page_is_up_to_date() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), (
        "run python -m shipper.telemetry.reference"
    )


def test_every_series_is_on_the_page() -> None:
    for series in SERIES:
        assert f"`{PREFIX}{series.name}`" in reference.page()


def test_the_check_says_whether_the_page_is_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "metrics.md"
    monkeypatch.setattr(reference, "PAGE", page)
    assert reference.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert reference.main([]) == 0
    assert reference.main(["--check"]) == 0
    page.write_text("something else", encoding="utf-8")
    assert reference.main(["--check"]) == 1


def test_every_call_of_a_meter_names_a_declared_series_with_its_labels() -> None:
    calls = list(meter_calls())
    assert len(calls) >= 10
    for call in calls:
        series = TABLE.get(call.series)
        assert series is not None, f"{call.where}: {call.series} is not in the table"
        assert series.type is METHODS[call.method], f"{call.where}: {call.series} is a {series.type}"
        if call.countable:
            assert len(call.labels) == len(series.labels), f"{call.where}: {call.series} has other labels"


def test_label_values_that_are_written_out_are_among_the_declared_ones() -> None:
    for call in meter_calls():
        for given, label in zip(call.labels, TABLE[call.series].labels, strict=False):
            values = {
                node.value for node in ast.walk(given) if isinstance(node, ast.Constant) and label.values
            }
            unknown = {value for value in values if isinstance(value, str) and value not in label.values}
            assert not unknown, f"{call.where}: {label.name} may not be {unknown}"


def values_of(series: str, label: str) -> set[str]:
    return {value for one in TABLE[series].labels if one.name == label for value in one.values}


def test_enumerations_of_other_rooms_are_the_declared_label_values() -> None:
    assert values_of("sink_state", "state") == {state.value for state in SinkState}
    assert values_of("subscriptions", "state") == {state.value for state in SubscriptionState}
    assert values_of("reconnects_total", "reason") >= {action.value for action in Action}
