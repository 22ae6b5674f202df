"""Logs at a real receiver: all of them, in order, as they were; issues beside them; two DSNs apart."""

from __future__ import annotations

from itertools import chain

import pytest

from tests.servers.spotlight import find_spotlight, in_a_network_of_its_own

LINES = 450


def test_logs_and_issues_of_two_sinks_arrive_whole_and_in_order() -> None:
    program = find_spotlight()
    if program is None:
        pytest.skip("Spotlight is not installed or cannot be shut in; see tests/servers/spotlight.py")
    arrived = in_a_network_of_its_own(program, LINES)

    logs = list(chain.from_iterable(container["items"] for container in arrived["log"]))
    by_sink = {
        name: [log for log in logs if log["attributes"]["dsn"]["value"] == name] for name in ("one", "two")
    }
    assert [log["body"] for log in by_sink["one"]] == [f"line {number} ä🚀" for number in range(LINES)]
    assert [log["body"] for log in by_sink["two"]] == ["both"]
    assert max(len(container["items"]) for container in arrived["log"]) == 100
    first = by_sink["one"][0]
    assert first["attributes"]["replica"] == {"value": "checkout-7d9f8b6c5-x2x9p", "type": "string"}
    assert len(first["trace_id"]) == 32

    assert [sent["logger"] for sent in arrived["event"]] == ["ignite.events", "ignite.logs"]
    assert {sent["tags"]["dsn"] for sent in arrived["event"]} == {"two"}
