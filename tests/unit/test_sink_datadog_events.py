"""Platform events as Datadog's Events API has them."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shipper.sinks.datadog.events import aggregation_key, event_body, event_request
from shipper.sinks.datadog.labels import Labels
from tests.fakes.datadog import NODE, NOW_MS, event_entry

LABELS = Labels(source="ignite", service="{app}", hostname="{node}", tags=("env:prod",))


def sent(stamp_ms: int | None = None, **changes: Any) -> dict[str, Any]:
    request = event_request(event_entry(**changes), LABELS, "ignite", stamp_ms)
    event: dict[str, Any] = orjson.loads(event_body(request))
    return event


def test_an_oom_kill_is_an_error_of_its_replica() -> None:
    assert sent(count=3) == {
        "title": "checkout-7d9f6c5b4-x2x9p: OOMKilling",
        "text": "OOMKilling: Memory cgroup out of memory (3 times)",
        "aggregation_key": "ignite/acme-corp/checkout/checkout-7d9f6c5b4-x2x9p",
        "alert_type": "error",
        "priority": "normal",
        "date_happened": NOW_MS // 1000,
        "source_type_name": "ignite",
        "tags": [
            "organization:acme-corp",
            "app:checkout",
            "replica:checkout-7d9f6c5b4-x2x9p",
            "kind:events",
            "event:OOM_KILLED",
            "event_reason:OOMKilling",
            "severity:Warning",
            "env:prod",
        ],
    }


@pytest.mark.parametrize(
    ("severity", "alert_type", "priority"),
    [
        ("Normal", "info", "low"),
        ("Warning", "warning", "normal"),
        ("Error", "error", "normal"),
        ("CRITICAL", "error", "normal"),
        ("debug", "info", "low"),
        ("", "info", "low"),
        ("strange", "info", "low"),
    ],
)
def test_severity_decides_the_alert_type_and_the_priority(
    severity: str, alert_type: str, priority: str
) -> None:
    event = sent(kind="BACK_OFF", severity=severity)
    assert (event["alert_type"], event["priority"]) == (alert_type, priority)


def test_an_event_on_a_known_node_is_filed_under_its_host() -> None:
    assert sent(node_name=NODE)["host"] == NODE
    assert "host" not in sent()


def test_events_of_one_replica_are_grouped_and_others_are_not() -> None:
    keys = {
        sent(replica_id="a")["aggregation_key"],
        sent(replica_id="b")["aggregation_key"],
        sent(replica_id=None)["aggregation_key"],
        sent(replica_id="a", app="other")["aggregation_key"],
    }
    assert len(keys) == 4
    assert sent(replica_id="a", reason="Other")["aggregation_key"] in keys


def test_a_key_that_is_too_long_is_cut_and_stays_its_own() -> None:
    keys = {aggregation_key("o", "a" * 200, replica) for replica in ("one", "two", "")}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {100}


def test_texts_are_cut_to_what_the_api_takes() -> None:
    event = sent(text="日" * 5000, replica_id="r" * 300)
    assert len(event["text"]) == 4000
    assert event["text"].endswith("…")
    assert len(event["title"]) == 100


def test_a_restamped_event_says_when_it_happened() -> None:
    event = sent(stamp_ms=NOW_MS, timestamp_ms=1_000)
    assert event["date_happened"] == NOW_MS // 1000
    assert "1970-01-01T00:00:01.000+00:00" in event["text"]


def test_no_name_can_break_the_request() -> None:
    event = sent(replica_id="a\ud800,b", text="x\ud800", kind="\ud800", reason="%%%")
    assert event["title"] == "a?,b: %%%"
    assert event["text"] == "%%%: x?"
