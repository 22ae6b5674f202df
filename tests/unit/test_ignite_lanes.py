"""How many streams a connection carries, what is learned of it, and when one is given up."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from shipper.ignite.lanes import DEAD_AFTER, FEW, FORGET_S, USUAL_CAP, Lane, Lanes
from shipper.ignite.status import CallFailed
from shipper.ignite.transport import Request, Response


class Transport:
    """Only counts its closing."""

    closed = 0
    limit: int | None = None

    async def send(self, request: Request, /) -> Response:
        raise NotImplementedError

    async def aclose(self) -> None:
        self.closed += 1


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class World:
    made: list[Transport] = field(default_factory=list)
    clock: Clock = field(default_factory=Clock)

    def lanes(self) -> Lanes:
        return Lanes(self.connect, self.clock)

    def connect(self) -> Transport:
        self.made.append(Transport())
        return self.made[-1]


def acquire(lanes: Lanes, count: int) -> list[Lane]:
    return [lanes.acquire() for _ in range(count)]


def test_one_lane_carries_streams_up_to_the_usual_cap() -> None:
    lanes = World().lanes()
    assert len(set(map(id, acquire(lanes, USUAL_CAP)))) == 1
    lanes.acquire()
    assert len(lanes) == 2


async def test_a_place_that_was_given_back_is_used_again() -> None:
    lanes = World().lanes()
    first = acquire(lanes, USUAL_CAP)[0]
    await lanes.release(first, answered=False)
    assert lanes.acquire() is first


def test_a_cap_that_was_learned_holds_for_every_lane() -> None:
    lanes = World().lanes()
    acquire(lanes, 11)
    lanes.full(10)
    acquire(lanes, 49)
    assert sorted(lane.open for lane in lanes._lanes) == [9, 10, 10, 10, 10, 11]


def test_a_cap_is_never_raised_by_learning_and_never_below_one() -> None:
    lanes = World().lanes()
    for carries, cap in ((10, 10), (40, 10), (0, 1)):
        lanes.full(carries)
        assert lanes.cap == cap


def test_a_cap_that_one_connection_states_holds_for_it_and_for_those_that_are_not_connected_yet() -> None:
    world = World()
    lanes = world.lanes()
    acquire(lanes, 3)
    world.made[0].limit = 4
    acquire(lanes, 9)
    assert [lane.open for lane in lanes._lanes] == [4, 4, 4]
    assert lanes.cap == 4


def test_a_connection_that_states_more_than_the_usual_cap_carries_the_usual_cap() -> None:
    world = World()
    lanes = world.lanes()
    lanes.acquire()
    world.made[0].limit = 2**32 - 1
    acquire(lanes, USUAL_CAP)
    assert [lane.open for lane in lanes._lanes] == [USUAL_CAP, 1]


async def test_a_connection_that_states_none_at_all_is_asked_by_one_at_a_time() -> None:
    """Else each attempt would make another connection."""
    world = World()
    lanes = world.lanes()
    first = lanes.acquire()
    world.made[0].limit = 0
    await lanes.release(first, answered=False)
    assert lanes.acquire() is first
    assert lanes.acquire() is not first


def test_a_cap_too_small_to_be_a_setting_is_forgotten_and_another_is_doubled_after_a_while() -> None:
    world = World()
    for learned, later in ((FEW - 1, USUAL_CAP), (FEW, 2 * FEW), (70, USUAL_CAP)):
        lanes = world.lanes()
        lanes.full(learned)
        world.clock.now += FORGET_S - 1
        lanes.acquire()
        assert lanes.cap == learned
        world.clock.now += 2
        lanes.acquire()
        assert lanes.cap == later


async def test_a_day_of_bad_moments_does_not_leave_a_connection_for_each_few_streams() -> None:
    """Streams come and go; every hour the server is so slow that a lane seems full."""
    world = World()
    lanes = world.lanes()
    streams = acquire(lanes, 80)
    for step in range(24 * 60):
        world.clock.now += 60
        if step % 60 == 0:
            lanes.full(FEW)
        for _ in range(10):
            await lanes.release(streams.pop(0), answered=False)
            streams.append(lanes.acquire())
    assert len(lanes) <= 2
    assert sum(transport.closed for transport in world.made) == len(world.made) - len(lanes)


async def test_a_lane_that_carries_nothing_is_closed_where_another_is_half_empty() -> None:
    world = World()
    lanes = world.lanes()
    first = acquire(lanes, USUAL_CAP)[0]
    second = lanes.acquire()
    await lanes.release(second, answered=False)
    assert world.made[1].closed == 0, "the first is full: the next stream needs the second"
    for _ in range(USUAL_CAP // 2):
        await lanes.release(first, answered=False)
    lanes.acquire()
    second.open += 1
    await lanes.release(first, answered=False)
    await lanes.release(second, answered=False)
    assert world.made[1].closed == 1
    assert lanes.acquire() is first


async def test_a_suspect_lane_gets_nothing_new_and_closes_with_its_last_stream() -> None:
    world = World()
    lanes = world.lanes()
    old, same = acquire(lanes, 2)
    lanes.suspect(old)
    assert lanes.acquire() is not old
    await lanes.release(old, answered=False)
    assert world.made[0].closed == 0
    await lanes.release(same, answered=False)
    assert world.made[0].closed == 1
    assert len(lanes) == 1


def test_timeouts_in_a_row_make_a_lane_suspect_and_an_answer_between_them_does_not() -> None:
    lanes = World().lanes()
    lane = lanes.acquire()
    for _ in range(DEAD_AFTER - 1):
        assert not lanes.timed_out(lane)
    lane.answer(sent=999.0)
    for _ in range(DEAD_AFTER - 1):
        assert not lanes.timed_out(lane)
    assert lanes.timed_out(lane)
    assert not lanes.timed_out(lane)  # said once
    assert lane.retired


async def test_closing_closes_every_lane_once_and_hands_out_no_more() -> None:
    world = World()
    lanes = world.lanes()
    lane = acquire(lanes, USUAL_CAP + 1)[0]
    await lanes.aclose()
    await lanes.release(lane, answered=False)
    assert [transport.closed for transport in world.made] == [1, 1]
    with pytest.raises(CallFailed, match="closed"):
        lanes.acquire()
