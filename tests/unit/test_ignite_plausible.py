"""With guessed numbers, values that cannot be true stop the daemon with an explanation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shipper.errors import ImplausibleAnswer
from shipper.ignite.plausible import check_apps, check_events, check_lines, check_replicas
from shipper.ignite.port import Event, LogChunk
from shipper.model import App, Replica

NOW = 1_716_893_900_000
APP = App("acme", "a")


EVENT = Event(timestamp_ms=NOW, kind="", reason="Pulled", message="", replica_id="", count=1, severity="")


def test_what_can_be_true_passes() -> None:
    check_apps(["a", "größe", "with space"])
    check_replicas([Replica(APP, "pod", started_ms=NOW), Replica(APP, "starting")])
    check_lines("pod", LogChunk([NOW], ["stdout"], [""]))
    check_lines("pod", LogChunk([0, NOW], [None, None], ["x", "y"]))  # one clock that is wrong proves nothing
    check_events([EVENT, replace(EVENT, timestamp_ms=0)])
    check_events([])


@pytest.mark.parametrize("name", ["", "\x08\x01", "a\nb"])
def test_a_name_that_is_none_is_implausible(name: str) -> None:
    with pytest.raises(ImplausibleAnswer, match="ListApps"):
        check_apps(["a", name])
    with pytest.raises(ImplausibleAnswer, match="replica_id"):
        check_replicas([Replica(APP, name, started_ms=NOW)])


@pytest.mark.parametrize("time", [1, 12_345, NOW // 1000, NOW * 1000, -NOW])
def test_a_time_out_of_this_century_is_implausible(time: int) -> None:
    with pytest.raises(ImplausibleAnswer, match="started_ms"):
        check_replicas([Replica(APP, "pod", started_ms=time)])
    with pytest.raises(ImplausibleAnswer, match="timestamp_ms"):
        check_lines("pod", LogChunk([time], [None], ["x"]))
    with pytest.raises(ImplausibleAnswer, match="timestamp_ms"):
        check_events([replace(EVENT, timestamp_ms=time)])


def test_lines_that_are_not_of_the_replica_asked_for_are_implausible() -> None:
    with pytest.raises(ImplausibleAnswer, match="'other'"):
        check_lines("pod", LogChunk([], [], [], others=frozenset({"other"})))
    with pytest.raises(ImplausibleAnswer, match="lines of no replica"):
        check_lines("pod", LogChunk([], [], [], undecodable=3))


def test_events_that_say_nothing_are_implausible() -> None:
    with pytest.raises(ImplausibleAnswer, match="reason ''"):
        check_events([replace(EVENT, reason="")])


def test_the_message_says_what_happened_and_what_to_do() -> None:
    with pytest.raises(ImplausibleAnswer) as stop:
        check_apps([""])
    for words in ("no gRPC reflection", "was archived", "shipper stops", "Enable reflection"):
        assert words in str(stop.value)
