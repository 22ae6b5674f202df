"""The byte budget of uploads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shipper.sinks.budget import ByteBudget


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(5):
        await asyncio.sleep(0)


Start = Callable[[int], asyncio.Task[None]]


@pytest.fixture
def release() -> asyncio.Event:
    return asyncio.Event()


def holder(budget: ByteBudget, size: int, until: asyncio.Event, log: list[int]) -> Awaitable[None]:
    async def hold() -> None:
        async with budget.hold(size):
            log.append(size)
            await until.wait()

    return asyncio.create_task(hold(), name=f"hold-{size}")


async def test_what_fits_is_held_at_once_and_the_rest_waits(release: asyncio.Event) -> None:
    budget, log = ByteBudget(100), []
    tasks = [holder(budget, size, release, log) for size in (60, 40, 30)]
    await settle()
    assert log == [60, 40]
    assert budget.held == 100
    release.set()
    await asyncio.gather(*tasks)
    assert log == [60, 40, 30]
    assert budget.held == 0


async def test_what_is_larger_than_the_limit_is_held_alone(release: asyncio.Event) -> None:
    budget, log = ByteBudget(100), []
    tasks = [holder(budget, size, release, log) for size in (1, 5000, 1)]
    await settle()
    assert log == [1]
    release.set()
    await asyncio.gather(*tasks)
    assert log == [1, 5000, 1]
    assert budget.held == 0


async def test_small_ones_do_not_overtake_a_large_one(release: asyncio.Event) -> None:
    budget, log = ByteBudget(100), []
    tasks = [holder(budget, size, release, log) for size in (50, 80, 10)]
    await settle()
    assert log == [50]
    release.set()
    await asyncio.gather(*tasks)
    assert log == [50, 80, 10]


async def test_one_that_is_cancelled_while_waiting_leaves_the_queue(release: asyncio.Event) -> None:
    budget, log = ByteBudget(100), []
    first, second, third = (
        asyncio.ensure_future(holder(budget, size, release, log)) for size in (50, 80, 10)
    )
    await settle()
    second.cancel()
    await settle()
    assert log == [50, 10]
    release.set()
    await asyncio.gather(first, third)
    assert budget.held == 0


async def test_all_that_wait_are_cancelled_at_once_with_the_one_that_holds() -> None:
    """As an aborted worker does: nobody gets a turn that is not there any more."""
    budget, log, never = ByteBudget(100), [], asyncio.Event()
    holders = [asyncio.ensure_future(holder(budget, size, never, log)) for size in (100, 60, 70, 80)]
    await settle()
    for each in holders:
        each.cancel()
    ends = await asyncio.gather(*holders, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError] * 4
    assert budget.held == 0
    async with budget.hold(100):
        assert log == [100]


async def test_one_that_is_cancelled_just_when_it_is_its_turn_gives_the_room_back() -> None:
    budget, log = ByteBudget(100), []
    first_release, never = asyncio.Event(), asyncio.Event()
    first = asyncio.ensure_future(holder(budget, 100, first_release, log))
    second = asyncio.ensure_future(holder(budget, 70, never, log))
    third = asyncio.ensure_future(holder(budget, 60, first_release, log))
    await settle()
    first_release.set()
    while budget.held == 100:  # until the first lets go, which makes it the second's turn in the same step
        await asyncio.sleep(0)
    second.cancel()
    await asyncio.gather(first, third)
    assert log[0] == 100
    assert 60 in log
    assert budget.held == 0


async def test_an_error_while_holding_gives_the_room_back() -> None:
    budget = ByteBudget(100)
    with pytest.raises(RuntimeError):
        async with budget.hold(70):
            raise RuntimeError
    assert budget.held == 0
