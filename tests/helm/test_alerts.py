"""Each alert fires when it should and keeps still when it should not, and leads to its entry in the runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipper.model import GapReason
from tests.helm.alert_cases import CASES, Case
from tests.helm.chart import CHART, HELM_FOLDER, objects, one, rendered
from tests.helm.queries import mistakes
from tests.helm.tools import HELM, PROMTOOL

PLAIN = HELM_FOLDER / "examples" / "prometheus-rules.yaml"
RULES: list[dict[str, Any]] = yaml.safe_load(PLAIN.read_text())["groups"][0]["rules"]
NAMES = [rule["alert"] for rule in RULES]


def test_the_chart_has_every_alert_of_the_plain_rules() -> None:
    assert [
        rule["alert"] for rule in yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())["rules"]
    ] == NAMES


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_series_label_and_value_that_a_rule_asks_for_exists(rule: dict[str, Any]) -> None:
    assert list(mistakes(rule["expr"])) == []


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_a_rule_says_how_grave_it_is_what_it_means_and_where_its_runbook_is(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"]["summary"].endswith(".")
    assert rule["annotations"]["description"].endswith(".")
    assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"


def test_the_runbook_has_an_entry_for_each_alert_and_no_other() -> None:
    page = (CHART.parents[1] / "docs" / "operations.md").read_text()
    assert re.findall(r"^#+ (Shipper\w+)$", page, re.MULTILINE) == NAMES


def test_the_runbook_knows_every_reason_of_a_gap_and_no_other() -> None:
    page = (CHART.parents[1] / "docs" / "operations.md").read_text()
    entry = page.split("### ShipperGap\n")[1].split("\n### ")[0]
    first_cells = [line.split("|")[1] for line in entry.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(first_cells))) == sorted(GapReason)


@pytest.mark.parametrize("alert", NAMES)
def test_an_alert_has_cases_each_way(alert: str) -> None:
    assert {case.fires for case in CASES if case.alert == alert} == {True, False}


@PROMTOOL.needed
def test_promtool_finds_no_fault_in_the_rules() -> None:
    assert f"{len(RULES)} rules found" in PROMTOOL.run("check", "rules", PLAIN)


@PROMTOOL.needed
def test_every_alert_fires_when_it_should_and_else_keeps_still(tmp_path: Path) -> None:
    path = tmp_path / "tests.yaml"
    path.write_text(
        yaml.safe_dump(
            {"rule_files": [str(PLAIN)], "evaluation_interval": "1m", "tests": list(map(written, CASES))}
        )
    )
    assert "SUCCESS" in PROMTOOL.run("test", "rules", path)


@PROMTOOL.needed
def test_a_wrong_expectation_is_told(tmp_path: Path) -> None:
    """promtool does look at the cases: the first of each kind turned around fails."""
    path = tmp_path / "tests.yaml"
    some = [next(case for case in CASES if case.fires is fires) for fires in (True, False)]
    wrong = [written(Case(case.alert, not case.fires, case.what, case.series, case.minute)) for case in some]
    path.write_text(yaml.safe_dump({"rule_files": [str(PLAIN)], "evaluation_interval": "1m", "tests": wrong}))
    assert PROMTOOL.run("test", "rules", path, quietly=True).count("expr: ") == len(some)


def written(case: Case) -> dict[str, Any]:
    """The case as promtool reads it: how many alerts of that name fire in that minute."""
    firing = f'count(ALERTS{{alertname="{case.alert}",alertstate="firing"}}) or vector(0)'
    return {
        "name": f"{case.alert}: {case.what}",
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": firing,
                "eval_time": f"{case.minute}m",
                "exp_samples": [{"labels": "{}", "value": int(case.fires)}],
            }
        ],
    }


@HELM.needed
def test_the_chart_narrows_every_rule_to_its_own_release() -> None:
    """Two releases in a cluster do not wake each other's people."""
    for rule in _rules("service-monitor"):
        selections = len(re.findall(r"\{", rule["expr"]))
        assert rule["expr"].count('job="shipper",namespace="logs"') == selections


@HELM.needed
def test_labels_runbook_and_left_out_alerts_are_as_the_values_say() -> None:
    rules = {rule["alert"]: rule for rule in _rules("pod-monitor")}
    # One is left out by the values, one because no logs are collected there.
    assert set(NAMES) - set(rules) == {"ShipperEventLoopSlow", "ShipperSubscriptionsMissing"}
    gap = rules["ShipperGap"]
    assert gap["labels"] == {"severity": "critical", "team": "platform"}
    assert gap["annotations"]["runbook_url"] == "https://wiki.example.com/shipper/operations#shippergap"


@HELM.needed
def test_a_sidecar_that_is_gone_with_its_app_wakes_nobody() -> None:
    assert "ShipperDown" not in [rule["alert"] for rule in _rules("sidecar")]


def _rules(case: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = one(objects(rendered(case)), "PrometheusRule")["spec"]["groups"][0]["rules"]
    return rules
