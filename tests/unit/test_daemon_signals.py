"""The first signal asks for a drain, a later one ends the process, and two that come together are one."""

from __future__ import annotations

import signal

import pytest

from shipper.daemon.signals import Signals


class Process:
    """A clock that is set by hand, and the exit statuses that were asked for."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.ended: list[int] = []
        self.signals = Signals(clock=lambda: self.now_s, end=self.ended.append)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_asks_for_a_drain_and_a_later_one_ends_the_process(number: signal.Signals) -> None:
    process = Process()
    process.signals.stopped(number)
    assert process.signals.stop.is_set()
    assert process.ended == []
    process.now_s += 3.0
    process.signals.stopped(number)
    assert process.ended == [1]


def test_two_that_come_together_are_one() -> None:
    """As timeout(1) sends them: once to its child and once to the group."""
    process = Process()
    process.signals.stopped(signal.SIGTERM)
    process.now_s += 0.01
    process.signals.stopped(signal.SIGTERM)
    assert process.ended == []


def test_a_hang_up_while_it_ends_is_not_heeded() -> None:
    process = Process()
    process.signals.stopped(signal.SIGTERM)
    process.signals.hung_up()
    assert not process.signals.reload.is_set()
