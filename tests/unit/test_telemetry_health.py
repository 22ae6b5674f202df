"""Alive is the event loop alone; ready is every condition, with the reasons why not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from shipper.buffer import LetterTotals
from shipper.telemetry.health import Liveness, Readiness
from shipper.telemetry.levels import show_fill
from tests.fakes.meter import FakeMeter
from tests.virtual_time import virtual_time


@virtual_time
async def test_the_loop_is_alive_before_and_while_the_heart_beats() -> None:
    liveness = Liveness(FakeMeter())
    assert liveness.alive
    beating = asyncio.create_task(liveness.run(), name="heartbeat")
    await asyncio.sleep(3600)
    assert liveness.alive
    assert liveness.silence_s() <= 1.0
    beating.cancel()
    await asyncio.wait([beating])


@virtual_time
async def test_a_heart_that_stopped_is_seen_after_thirty_seconds() -> None:
    liveness = Liveness(FakeMeter())
    beating = asyncio.create_task(liveness.run(), name="heartbeat")
    await asyncio.sleep(10.5)
    beating.cancel()
    await asyncio.sleep(28)
    assert liveness.alive
    await asyncio.sleep(2)
    assert not liveness.alive
    assert liveness.silence_s() == pytest.approx(30.5)


@virtual_time
async def test_a_late_beat_is_shown_as_lag() -> None:
    meter = FakeMeter()
    liveness = Liveness(meter)
    beating = asyncio.create_task(liveness.run(), name="heartbeat")
    await asyncio.sleep(5)
    assert meter.levels["event_loop_lag_seconds",] == pytest.approx(0)
    loop = asyncio.get_running_loop()
    loop._jumping.now += 4.0  # type: ignore[attr-defined]  # as if something had blocked the loop
    await asyncio.sleep(30)
    assert meter.levels["event_loop_lag_seconds",] > 2.9, "it is still seen half a minute later"
    await asyncio.sleep(60)
    assert meter.levels["event_loop_lag_seconds",] == pytest.approx(0)
    beating.cancel()
    await asyncio.wait([beating])


@virtual_time
async def test_tasks_are_counted_every_ten_seconds() -> None:
    meter = FakeMeter()
    beating = asyncio.create_task(Liveness(meter).run(), name="heartbeat")
    await asyncio.sleep(0.5)
    before = meter.levels["tasks",]
    more = [asyncio.create_task(asyncio.sleep(60), name="more") for _ in range(3)]
    await asyncio.sleep(11)
    assert meter.levels["tasks",] == before + 3
    beating.cancel()
    await asyncio.wait([beating, *more])


def test_nothing_is_ready_before_every_condition_was_met() -> None:
    readiness = Readiness(
        {
            "connected to Ignite": "no call has succeeded yet",
            "buffer writable": "not opened yet",
        }
    )
    assert not readiness.ready
    readiness.met("connected to Ignite")
    assert readiness.reasons() == {"buffer writable": "not opened yet"}
    readiness.met("buffer writable")
    assert readiness.ready
    assert readiness.conditions() == {
        "connected to Ignite": None,
        "buffer writable": None,
    }


def test_a_condition_that_no_longer_holds_says_why() -> None:
    readiness = Readiness({"buffer writable": "not opened yet"})
    readiness.met("buffer writable")
    readiness.unmet("buffer writable", "the disk is full")
    assert not readiness.ready
    assert readiness.reasons() == {"buffer writable": "the disk is full"}


def test_a_condition_that_was_not_declared_is_an_error() -> None:
    with pytest.raises(KeyError, match="sinks"):
        Readiness({}).met("sinks")


@dataclass
class FakeFill:
    bytes: int = 1000
    disk_bytes: int = 4096
    limit_bytes: int = 65536
    frames: int = 3
    dead_letters: dict[str, LetterTotals] = field(default_factory=lambda: {"archive": LetterTotals(2, 900)})


@virtual_time
async def test_how_full_the_buffer_is_is_shown_at_once_and_kept_up_to_date() -> None:
    meter, fill = FakeMeter(), FakeFill()
    showing = asyncio.create_task(show_fill(lambda: fill, meter), name="fill")
    await asyncio.sleep(0.1)
    names = ("buffer_bytes", "buffer_disk_bytes", "buffer_limit_bytes", "buffer_frames")
    assert [meter.levels[name,] for name in names] == [1000, 4096, 65536, 3]
    assert meter.levels["dead_letters", "archive"] == 2
    fill.bytes = 5
    fill.dead_letters = {}
    await asyncio.sleep(3)
    assert meter.levels["buffer_bytes",] == 5
    assert meter.levels["dead_letters", "archive"] == 0
    showing.cancel()
    await asyncio.wait([showing])
