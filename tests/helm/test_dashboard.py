"""The dashboard asks only for series that the daemon has, and Grafana can take it as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from shipper.telemetry.prometheus import PrometheusMeter
from tests.helm.chart import CHART, objects, one, rendered
from tests.helm.queries import OF_THE_PROCESS, mistakes
from tests.helm.tools import HELM, PROMTOOL

TEXT = (CHART / "files" / "dashboard.json").read_text()
DASHBOARD: dict[str, Any] = json.loads(TEXT)
ROWS = ("Overview", "Sources", "Buffer", "Sinks", "Process")


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_every_series_label_and_value_that_a_panel_asks_for_exists() -> None:
    assert [(title, mistake) for title, query in queries() for mistake in mistakes(query)] == []


def test_every_label_in_a_legend_is_in_the_result() -> None:
    for panel in panels():
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                grouped = re.search(r"\bby \(([^)]*)\)", target["expr"])
                assert grouped is None or label in grouped[1].split(", "), (panel["title"], label)


def test_the_series_of_the_process_are_what_the_meter_shows() -> None:
    text = PrometheusMeter(sinks=()).render()[0].decode()
    missing = [
        name
        for name in OF_THE_PROCESS
        if name != "up" and not re.search(rf"^{name}[ {{]", text, re.MULTILINE)
    ]
    assert missing == []


def test_it_has_a_fixed_uid_and_the_variables_that_narrow_it() -> None:
    assert DASHBOARD["uid"] == "shipper-overview"
    assert [variable["name"] for variable in DASHBOARD["templating"]["list"]] == [
        "datasource", "cluster", "namespace", "job",
    ]  # fmt: skip


def test_every_query_is_narrowed_by_every_variable() -> None:
    for title, query in queries():
        assert query.count('cluster=~"$cluster",namespace=~"$namespace",job=~"$job"') == query.count("{"), (
            title
        )


def test_it_has_the_five_rows() -> None:
    assert tuple(panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row") == ROWS


def test_no_panel_lies_on_another_and_none_is_outside() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@PROMTOOL.needed
def test_prometheus_can_parse_every_query(tmp_path: Any) -> None:
    rules = [
        {
            "record": f"panel:query{number}",
            "expr": query.replace("$__rate_interval", "5m").replace("$__range", "3h"),
        }
        for number, (_, query) in enumerate(queries())
    ]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in PROMTOOL.run("check", "rules", path)


@HELM.needed
def test_the_config_map_holds_the_file_and_the_label_that_grafana_looks_for() -> None:
    found = one(objects(rendered("pod-monitor")), "ConfigMap", "shipper-dashboard")
    assert json.loads(found["data"]["shipper.json"]) == DASHBOARD
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert found["metadata"]["annotations"]["grafana_folder"] == "Logs"


@pytest.mark.parametrize(
    ("query", "mistake"),
    [
        ("sum (rate(shipper_nothing_total{}[5m]))", "there is no series shipper_nothing_total"),
        ('shipper_gaps_total{sink="a"}', "has no label sink"),
        ('shipper_subscriptions{state="open"}', "never has state=open"),
        ("sum by (sink) (shipper_gaps_total{})", "has a label sink"),
        ("shipper_delivery_seconds{}", "there is no series shipper_delivery_seconds"),
    ],
)
def test_a_mistake_in_a_query_is_found(query: str, mistake: str) -> None:
    assert [text for text in mistakes(query) if mistake in text]
