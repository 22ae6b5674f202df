"""A call that the platform lacks turns off its feature: said once, shown, tried again each hour; all else goes on."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from shipper.collect.offers import Denials, Offers
from shipper.ignite.status import Code, Status
from shipper.model import App, Kind
from tests.fakes.builds import FakeBuilds
from tests.fakes.collection import Collection, collecting, wall_ms
from tests.unit.test_collect_builds import builds_of, rest
from tests.unit.test_daemon_gathering import look
from tests.virtual_time import virtual_time

NO = Status(Code.UNIMPLEMENTED, "no such method")
CALLS = {
    "StreamAppLogs": "streams of logs",
    "GetAppLogs": "recent logs",
    "StreamAppEvents": "streams of events",
    "GetAppEvents": "recent events",
    "GetDraftInfo": "new compiles",
    "StreamCompileLogs": "compiles that run",
    "ListBuilds": "image builds",
    "GetBuildLog": "logs of builds",
}


def offer(it: Collection, call: str, *, offered: bool) -> None:
    if call in ("GetDraftInfo", "StreamCompileLogs", "ListBuilds", "GetBuildLog"):
        builds_of(it).refusals = {} if offered else {call: NO}
    elif offered:
        it.platform.refusals.clear()
    else:
        it.platform.refuse(call, Code.UNIMPLEMENTED)


def calls(it: Collection, call: str) -> int:
    return it.platform.calls[call] + builds_of(it).calls[call]


async def hours(it: Collection, count: float) -> None:
    """Something of every kind happens each 20 minutes; replicas are silent in between."""
    app, builds = it.platform.app("checkout"), builds_of(it)
    for _ in range(round(count * 3)):
        number = len(builds.builds)
        app.replicas["checkout-1"].print(f"line {number}")
        app.event(f"Event{number}", "checkout-1")
        builds.build(f"bld_{number}").write(f"build {number}\n")
        builds.list(f"bld_{number}", app_name="checkout")
        compiled = builds.compile("checkout", f"dpl_{number}")
        compiled.write(f"compile {number}\n")
        await rest(it, 150)
        compiled.end()
        await rest(it, 1050)


def missing(it: Collection) -> Counter[str]:
    """Which of what was printed is in no record."""
    lines = [str(record["line"]) for record in it.durable.records(Kind.BUILDS)]
    wanted = [build.log.decode().strip() for build in builds_of(it).builds.values()]
    logs = Counter(str(line.text) for line in it.platform.printed)
    found = Counter(str(line.text) for line in it.durable.counter().elements())
    events = Counter(event.reason for event in it.platform.happened)
    return (
        Counter(wanted)
        - Counter(lines)
        + (logs - found)
        + (events - Counter(event["reason"] for event in it.durable.events()))
    )


@pytest.mark.parametrize("call", CALLS)
def test_a_call_that_is_not_offered_is_said_once_shown_and_tried_again_each_hour(
    call: str, caplog: pytest.LogCaptureFixture
) -> None:
    @virtual_time
    async def body() -> None:
        builds = FakeBuilds(wall_ms)
        async with collecting(builds=builds, events=True, include=["checkout"]) as it:
            offer(it, call, offered=False)
            it.platform.app("checkout").start("checkout-1")
            await asyncio.sleep(10)
            await hours(it, 3)
            off = {one.name: one.why for one in look(it).platform.features if not one.on}
            assert list(off) == [CALLS[call]]
            assert off[CALLS[call]].startswith(f"{call}")
            assert "no such method" in off[CALLS[call]] or "refused on request" in off[CALLS[call]]
            said = [one.message for one in caplog.records if f"{call} is not offered" in one.message]
            assert len(said) == 1
            assert 3 <= calls(it, call) <= 5
            unread = missing(it)
            if call in ("GetDraftInfo", "ListBuilds", "GetBuildLog"):
                kind = "compile" if call == "GetDraftInfo" else "build"
                assert all(line.startswith(kind) for line in unread)
            else:
                assert not unread, "another call has it"
            offer(it, call, offered=True)
            before = calls(it, call)
            await hours(it, 1.4)
            assert calls(it, call) > before
            unread = missing(it)
            await hours(it, 0.7)
            assert missing(it) <= unread, "everything is read again"
            assert all(one.on for one in look(it).platform.features)
            assert sum(f"{call} works again" in one.message for one in caplog.records) == 1

    caplog.set_level("INFO")
    body()


@virtual_time
async def test_a_compile_that_may_just_be_gone_turns_streams_of_compiles_off_for_its_app_alone() -> None:
    builds = FakeBuilds(wall_ms)
    async with collecting(builds=builds, logs=False) as it:
        it.platform.app("checkout")
        builds.refusals["StreamCompileLogs"] = Status(Code.UNIMPLEMENTED, "HTTP 404", genuine=False)
        builds.compile("checkout", "dpl_1")
        await it.until(lambda: "StreamCompileLogs" in it.collector.context.offers.refused, 60)
        assert it.collector.context.offers.refused["StreamCompileLogs"].keys() == {
            App("acme-corp", "checkout")
        }
        builds.refusals.clear()
        it.platform.app("mailer")
        builds.compile("mailer", "dpl_2").write("one\n")
        await it.until(lambda: [one["line"] for one in it.durable.records(Kind.BUILDS)] == ["one"], 120)


@virtual_time
async def test_of_many_who_would_ask_again_one_does_and_the_others_wait_for_what_it_finds() -> None:
    offers, app = Offers(), App("acme-corp", "checkout")
    assert offers.claim("X", app) == 0 == offers.claim("X", app), "nothing was refused"
    offers.refuse("X", app, NO, "nothing")
    assert offers.claim("X", app) > 3000
    await asyncio.sleep(4000)
    assert offers.claim("X", app) == 0
    assert 0 < offers.claim("X", app) <= 30
    await asyncio.sleep(31)
    assert offers.claim("X", app) == 0, "whoever wanted to ask did not"
    offers.grant("X", app)
    assert offers.claim("X", app) == 0 == offers.claim("X", app)


def test_a_denial_is_believed_if_it_is_signed_or_comes_twice_in_a_row() -> None:
    unsigned = Status(Code.UNIMPLEMENTED, genuine=False)
    denials = Denials()
    assert not denials.believe(unsigned)
    denials.answered()
    assert not denials.believe(unsigned)
    assert denials.believe(unsigned)
    assert Denials().believe(NO)
