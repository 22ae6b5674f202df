"""What builds and compiles print is taken once, whatever happens to their streams, logs and to us."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from shipper.collect.build_cursor import BuildCursor, Source
from shipper.collect.builds import KEPT_MS
from shipper.collect.states import State
from shipper.ignite.status import Code, Status
from shipper.model import GapReason, Kind, StoredCursor
from tests.fakes import collection
from tests.fakes.builds import FakeBuilds
from tests.fakes.collection import Collection, collecting, wall_ms
from tests.virtual_time import virtual_time

KEPT_DAYS = KEPT_MS // (24 * 3_600_000)
GONE, CHANGED = GapReason.BUILD_GONE, GapReason.BUILD_CHANGED


def building(**settings: Any) -> Any:
    """A collection of builds alone."""
    return collecting(builds=FakeBuilds(wall_ms), logs=False, include=["checkout"], **settings)


def builds_of(it: Collection) -> FakeBuilds:
    assert it.builds is not None
    return it.builds


def lines(it: Collection, build_id: str | None = None) -> list[str | bytes]:
    return [
        record["line"]
        for record in it.durable.records(Kind.BUILDS)
        if build_id in (None, record.get("build_id"), record.get("deploy_id"))
    ]


async def closed(it: Collection, build_id: str = "dpl_1", within_s: float = 600.0) -> None:
    """Wait until a build is read to its end and this is stored."""

    def done() -> bool:
        cursors = it.durable.cursors()
        return any(build_id in one.key and b'"closed":true' in one.state for one in cursors)

    await it.until(done, within_s)


async def rest(it: Collection, seconds: float) -> None:
    """Let a long time pass, in which listings are rare."""
    listing = it.collector._build_list
    assert listing is not None
    seldom = max(60.0, seconds / 200)
    listing.every_s = seldom
    for watch in it.collector.watches.values():
        watch.poll_interval_s = seldom
    await asyncio.sleep(seconds)
    listing.every_s = 15.0


@virtual_time
async def test_a_compile_is_followed_while_it_runs_and_its_records_are_the_contracts() -> None:
    async with building() as it:
        compiled = builds_of(it).compile("checkout")
        compiled.write("Compiling checkout\n   Fini", 1_716_894_000_001)
        await it.until(lambda: len(lines(it)) == 1)
        compiled.write("shed\r\n", 1_716_894_000_500)
        await it.until(lambda: len(lines(it)) == 2)
        compiled.write(b"not \xff text")
        compiled.end()
        await closed(it)
        records = it.durable.records(Kind.BUILDS)
        assert records[:2] == [
            {
                "timestamp_ms": 1_716_894_000_001,
                "organization": "acme-corp",
                "app": "checkout",
                "deploy_id": "dpl_1",
                "source": "compile",
                "line": line,
            }
            for line in ("Compiling checkout", "   Finished")
        ]
        assert records[2]["line"] == b"not \xff text"
        assert list(records[0]) == ["timestamp_ms", "organization", "app", "deploy_id", "source", "line"]
        assert it.meter.counts["records_received_total", "builds"] == 3


@virtual_time
async def test_exact_bytes_of_a_line_lie_beside_what_can_be_shown() -> None:
    async with building() as it:
        builds_of(it).compile("checkout").write(b"\xff\n")
        await it.until(lambda: bool(lines(it)))
        (frame,) = [frame for frame in it.durable.frames if frame.partition.kind is Kind.BUILDS]
        assert b'"line":"\xef\xbf\xbd","line_base64":"%b"' % base64.b64encode(b"\xff") in frame.data


@virtual_time
async def test_a_cut_stream_is_replayed_and_nothing_is_taken_twice() -> None:
    async with building() as it:
        compiled = builds_of(it).compile("checkout")
        for turn in range(20):
            compiled.write(f"line {turn}\nthe same line\nhalf of ")
            await it.until(lambda turn=turn: len(lines(it)) == 2 * (turn + 1))
            compiled.cut()
        compiled.end()
        await closed(it)
        assert lines(it) == compiled.log.decode().split("\n")
        assert not it.durable.gaps()


@virtual_time
async def test_a_stream_that_ends_in_order_too_early_is_opened_again() -> None:
    async with building() as it:
        compiled = builds_of(it).compile("checkout")
        compiled.write("one\ntw")
        await it.until(lambda: lines(it) == ["one"])
        compiled.end_streams()
        await asyncio.sleep(1.0)
        compiled.write("o\nthree")
        await it.until(lambda: lines(it) == ["one", "two"])
        compiled.end()
        await closed(it)
        assert lines(it) == ["one", "two", "three"]


@virtual_time
async def test_a_stream_that_is_open_and_dead_is_replaced() -> None:
    async with building() as it:
        compiled = builds_of(it).compile("checkout")
        compiled.write("one\n")
        await it.until(lambda: lines(it) == ["one"])
        compiled.stall()
        compiled.write("two\n")
        took = await it.until(lambda: lines(it) == ["one", "two"], 300)
        assert took < 130
        assert it.reconnects("stalled", "builds") == 1


@virtual_time
async def test_a_build_is_read_once_even_if_we_are_killed_at_any_moment() -> None:
    async with building() as it:
        builds = builds_of(it)
        built = builds.build("bld_01HZX9")
        built.write("".join(f"step {number}\n" for number in range(300)))
        builds.list("bld_01HZX9", app_name="checkout")
        for turn in range(30):
            await asyncio.sleep(0.02 * turn)
            await it.restart()
        await closed(it, "bld_01HZX9")
        await it.restart()
        await asyncio.sleep(60)
        assert lines(it) == [f"step {number}" for number in range(300)]
        assert not it.durable.gaps()
        assert {record["source"] for record in it.durable.records(Kind.BUILDS)} == {"build"}


@virtual_time
async def test_a_compile_goes_on_after_a_restart_although_another_is_the_draft() -> None:
    async with building() as it:
        first = builds_of(it).compile("checkout", "dpl_1")
        first.write("one\n")
        await it.until(lambda: lines(it) == ["one"])
        second = builds_of(it).compile("checkout", "dpl_2")
        await it.kill()
        first.write("two\n")
        first.end()
        second.write("other\n")
        second.end()
        it.start()
        await closed(it, "dpl_1")
        await closed(it, "dpl_2")
        assert lines(it, "dpl_1") == ["one", "two"]
        assert lines(it, "dpl_2") == ["other"]


@virtual_time
async def test_a_log_that_breaks_off_is_read_again_from_where_it_was() -> None:
    async with building() as it:
        builds = builds_of(it)
        builds.breaks = [3, 9, 0]
        builds.build("bld_1").write("".join(f"step {number}\n" for number in range(30)))
        builds.list("bld_1", app_name="acme-corp/checkout")
        await closed(it, "bld_1")
        assert lines(it) == [f"step {number}" for number in range(30)]
        assert builds.calls["GetBuildLog"] == 4


@virtual_time
async def test_a_build_is_read_when_it_has_ended() -> None:
    async with building() as it:
        builds = builds_of(it)
        built = builds.build("bld_1", running=True)
        builds.list("bld_1", "RUNNING", app_name="checkout")
        built.write("one\n")
        await asyncio.sleep(100)
        assert not builds.calls["GetBuildLog"]
        built.end()
        builds.list("bld_1", "FAILED", app_name="checkout", created_ms=5)
        await asyncio.sleep(60)
        assert lines(it) == []  # it was made before the platform's days


@virtual_time
async def test_lines_without_a_time_have_the_builds() -> None:
    async with building() as it:
        builds = builds_of(it)
        created = wall_ms() - 60_000
        builds.build("bld_1").write("one\ntwo\n")
        builds.list("bld_1", app_name="checkout", created_ms=created)
        await closed(it, "bld_1")
        assert [record["timestamp_ms"] for record in it.durable.records(Kind.BUILDS)] == [created] * 2


@pytest.mark.parametrize("time_ms", [1, -5, 2**63 - 1, -(2**63)])
@virtual_time
async def test_absurd_times_are_kept_as_they_are(time_ms: int) -> None:
    async with building() as it:
        builds_of(it).compile("checkout").write("one\n", time_ms)
        await it.until(lambda: bool(lines(it)))
        assert it.durable.records(Kind.BUILDS)[0]["timestamp_ms"] == time_ms


# ---- what cannot be had ----


@virtual_time
async def test_a_build_whose_log_is_gone_is_one_gap_and_no_error() -> None:
    async with building() as it:
        builds = builds_of(it)
        builds.build("bld_1").kept = False
        builds.list("bld_1", app_name="checkout", created_ms=wall_ms() - 3_600_000)
        await closed(it, "bld_1")
        await it.restart()
        await rest(it, 600)
        (gap,) = it.durable.gaps()
        assert (gap["reason"], gap["stream_kind"], gap["lost"]) == (GONE, "builds", None)
        assert gap["detail"] == "build bld_1: the platform has no log of it (any more)"
        assert not lines(it)


@virtual_time
async def test_a_log_that_is_stored_a_little_late_is_no_gap() -> None:
    async with building() as it:
        builds = builds_of(it)
        built = builds.build("bld_1")
        built.write("one\n")
        built.kept = False
        builds.list("bld_1", app_name="checkout")
        await it.until(lambda: builds.calls["GetBuildLog"] == 2)
        built.kept = True
        await closed(it, "bld_1")
        assert lines(it) == ["one"]
        assert not it.durable.gaps()


@virtual_time
async def test_a_compile_that_ended_before_anyone_looked_is_read_from_its_log() -> None:
    async with building() as it:
        compiled = builds_of(it).compile("checkout")
        compiled.write("one\n")
        compiled.end()
        compiled.streamed = False
        await closed(it)
        assert lines(it) == ["one"]
        assert it.durable.records(Kind.BUILDS)[0]["source"] == "compile"


@virtual_time
async def test_the_end_of_a_compile_whose_stream_is_gone_comes_from_its_log() -> None:
    async with building() as it:
        compiled = builds_of(it).compile("checkout")
        compiled.write("one\n")
        await it.until(lambda: lines(it) == ["one"])
        compiled.cut()
        compiled.streamed = False
        compiled.write("two\nthr")
        compiled.end()
        await closed(it)
        assert lines(it) == ["one", "two", "thr"]
        assert not it.durable.gaps()


@virtual_time
async def test_a_compile_that_was_cut_and_left_no_log_is_a_gap() -> None:
    async with building() as it:
        compiled = builds_of(it).compile("checkout")
        compiled.write("one\n")
        await it.until(lambda: lines(it) == ["one"])
        compiled.cut()
        compiled.streamed = compiled.kept = False
        compiled.end()
        await closed(it)
        assert it.durable.reasons() == [GONE]
        assert lines(it) == ["one"]


@virtual_time
async def test_a_compile_whose_stream_came_to_its_end_once_needs_no_log() -> None:
    async with building() as it:
        compiled = builds_of(it).compile("checkout")
        compiled.kept = False
        compiled.write("one\nlast")
        await it.until(lambda: lines(it) == ["one"])
        compiled.end()
        compiled.streamed = False
        await closed(it)
        assert lines(it) == ["one", "last"]
        assert not it.durable.gaps()


@virtual_time
async def test_a_draft_that_is_an_image_has_no_compile_to_miss() -> None:
    async with building() as it:
        builds_of(it).compile("checkout", image_ref="registry/checkout:1").streamed = False
        builds_of(it).builds["dpl_1"].end()
        builds_of(it).builds["dpl_1"].kept = False
        await closed(it)
        assert not it.durable.gaps()


@virtual_time
async def test_a_log_that_is_not_what_was_taken_is_a_gap_and_what_is_new_is_kept() -> None:
    async with building() as it:
        compiled = builds_of(it).compile("checkout")
        compiled.write("one\ntwo\n")
        await it.until(lambda: len(lines(it)) == 2)
        compiled.stored = b"ONE\nTWO\nthree\nfour\n"
        compiled.end()
        compiled.streamed = False
        await closed(it)
        assert lines(it) == ["one", "two", "three", "four"]
        assert it.durable.reasons() == [CHANGED]


@virtual_time
async def test_messages_that_cannot_be_decoded_are_one_gap_although_each_replay_brings_them() -> None:
    from shipper.ignite.port import Output

    async with building() as it:
        compiled = builds_of(it).compile("checkout")
        await it.until(lambda: bool(compiled.streams))
        for _ in range(2):
            compiled.streams[0].feed(Output([], [], undecodable=1))
            compiled.streams[0].feed(Output([1_716_894_000_000], [b"one\n"]))
            await it.until(lambda: lines(it) == ["one"])
            compiled.cut()
            await it.until(lambda: bool(compiled.streams))
        assert it.durable.reasons() == [GapReason.UNDECODABLE]


# ---- which builds there are ----


@virtual_time
async def test_builds_that_name_no_app_are_tried_where_they_have_the_apps_name() -> None:
    async with building() as it:
        builds = builds_of(it)
        builds.build("bld_1").write("one\n")
        builds.build("bld_2").write("two\n")
        builds.list("bld_1", name="checkout")
        builds.list("bld_2", name="something else")
        builds.list("bld_3", name="checkout")  # of which there is no log for this app
        await closed(it, "bld_1")
        await closed(it, "bld_3")
        assert lines(it) == ["one"]
        assert not it.durable.gaps()


@virtual_time
async def test_builds_of_other_apps_are_left_alone() -> None:
    async with building() as it:
        builds_of(it).build("bld_1").write("one\n")
        builds_of(it).list("bld_1", name="checkout", app_name="search")
        await asyncio.sleep(120)
        assert not builds_of(it).calls["GetBuildLog"]


@virtual_time
async def test_builds_that_the_configuration_names_are_read_also_without_a_list() -> None:
    async with building(named_builds={"checkout": ["bld_1"]}) as it:
        builds_of(it).refusals["ListBuilds"] = Status(Code.UNIMPLEMENTED, "no")
        builds_of(it).build("bld_1").write("one\n")
        await closed(it, "bld_1")
        assert lines(it) == ["one"]


@virtual_time
async def test_builds_that_events_name_are_read() -> None:
    async with building(events=True) as it:
        builds_of(it).build("bld_01HZX9").write("one\n")
        app = it.platform.app("checkout")
        for text in (
            "Pulling image registry/bld_01HZX9:latest",
            "xbld_01HZXA",
            "bld_ilou00",
            "bld_01HZXB-1_",
        ):
            app.event("Pulling")
            app.events[-1] = app.events[-1].__class__(wall_ms(), "P", "Pulling", text, "", 1, "Normal")
            for pipe in app.event_streams:
                pipe.cut()
            await asyncio.sleep(30)
        await closed(it, "bld_01HZX9")
        assert lines(it) == ["one"]
        known = {key for key in it.durable.cursor_keys() if "builds" in key}
        assert {key.split('"')[-2] for key in known} == {"bld_01HZX9", "bld_01HZXB"}


@virtual_time
async def test_cursors_of_builds_that_nothing_names_any_more_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with building() as it:
        builds = builds_of(it)
        builds.compile("checkout", "dpl_1").end()
        builds.build("bld_1").write("one\n")
        builds.list("bld_1", app_name="checkout")
        await closed(it, "bld_1")
        await closed(it, "dpl_1")
        builds.rows = []
        for _ in range(KEPT_DAYS + 2):
            later(monkeypatch, 1)
            await asyncio.sleep(40)
        assert not any("bld_1" in key for key in it.durable.cursor_keys())
        assert any("dpl_1" in key for key in it.durable.cursor_keys())  # it still is the draft


@virtual_time
async def test_a_build_that_was_asked_for_in_vain_is_asked_for_again_when_the_platform_names_it() -> None:
    async with building(named_builds={}) as it:
        builds = builds_of(it)
        built = builds.build("bld_1", running=True)
        builds.list("bld_1", status="", name="checkout")
        await rest(it, 8000)
        await closed(it, "bld_1")
        built.write("one\n")
        built.end()
        builds.list("bld_1", app_name="checkout")
        await it.until(lambda: lines(it) == ["one"], 600)


# ---- what is not offered ----


@virtual_time
async def test_what_is_not_offered_is_said_once_asked_for_each_hour_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with building() as it:
        builds = builds_of(it)
        no = Status(Code.UNIMPLEMENTED, "no such method")
        for method in ("GetDraftInfo", "ListBuilds"):
            builds.refusals[method] = no
        await rest(it, 6.5 * 3600)
        assert 6 <= builds.calls["GetDraftInfo"] <= 8
        assert 6 <= builds.calls["ListBuilds"] <= 8
        said = [record.message for record in caplog.records if "asked for again each hour" in record.message]
        assert len(said) == 2
        assert it.platform.calls["ListAppReplicas"] > 100
        builds.refusals.clear()
        builds.compile("checkout").write("one\n")
        await rest(it, 4000)
        assert lines(it) == ["one"]
        assert not it.collector.context.offers.refused


@virtual_time
async def test_logs_that_may_not_be_read_park_their_builds_until_they_may_or_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with building() as it:
        builds = builds_of(it)
        builds.refusals["GetBuildLog"] = Status(Code.PERMISSION_DENIED, "no")
        builds.build("bld_1").write("one\n")
        builds.build("bld_2").write("two\n")
        builds.list("bld_1", app_name="checkout")
        builds.list("bld_2", app_name="checkout")
        await it.until(lambda: it.states.count(Kind.BUILDS, State.PARKED) == 2)
        calls = builds.calls["GetBuildLog"]
        await rest(it, 1800)
        assert builds.calls["GetBuildLog"] == calls
        del builds.refusals["GetBuildLog"]
        await rest(it, 4000)
        assert sorted(lines(it)) == ["one", "two"]
        builds.refusals["GetBuildLog"] = Status(Code.PERMISSION_DENIED, "no")
        builds.list("bld_3", app_name="checkout")
        await asyncio.sleep(120)
        later(monkeypatch, 3)
        await rest(it, 4000)
        assert it.durable.reasons() == [GONE]
        assert "bld_3" in it.durable.gaps()[0]["detail"]


@virtual_time
async def test_compiles_without_streams_are_read_from_their_logs() -> None:
    async with building() as it:
        builds = builds_of(it)
        builds.refusals["StreamCompileLogs"] = Status(Code.UNIMPLEMENTED, "no")
        compiled = builds.compile("checkout")
        compiled.write("one\n")
        await rest(it, 600)
        compiled.end()
        await closed(it)
        assert lines(it) == ["one"]
        assert builds.calls["StreamCompileLogs"] == 1
        assert not it.durable.gaps()


@virtual_time
async def test_a_platform_without_logs_of_builds_has_no_gaps_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with building() as it:
        builds = builds_of(it)
        for method in ("StreamCompileLogs", "GetBuildLog"):
            builds.refusals[method] = Status(Code.UNIMPLEMENTED, "no")
        builds.compile("checkout")
        await asyncio.sleep(120)
        later(monkeypatch, 3)
        await rest(it, 4000)
        await closed(it)
        assert not it.durable.gaps()


@virtual_time
async def test_a_full_buffer_holds_the_reading_of_logs() -> None:
    async with building() as it:
        builds = builds_of(it)
        it.intake.hold_at = 20_000
        built = builds.build("bld_1")
        built.chunk = 500
        built.write("".join(f"a line of some length {number:05}\n" for number in range(3000)))
        builds.list("bld_1", app_name="checkout")
        it.durable.commit_s = 10.0
        await it.until(lambda: it.intake.holding)
        await asyncio.sleep(5)
        assert it.meter.counts["records_received_total", "builds"] < 1000
        it.durable.commit_s = 0.005
        await closed(it, "bld_1")
        assert len(lines(it)) == 3000


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Only the calendar moves."""
    monkeypatch.setattr(collection, "EPOCH_S", collection.EPOCH_S + days * 24 * 3600)


# ---- the cursor by itself ----


def cursor(**fields: Any) -> BuildCursor:
    return BuildCursor("k", "bld_1", Source.BUILD, 1, 2, 3, **fields)


def test_a_cursor_comes_back_as_it_was_stored() -> None:
    one = cursor(certain=False)
    one.begin()
    one.take([b"a", b"b"])
    write = one.write()
    again = BuildCursor.load(StoredCursor(write.key, write.state, (), 0), "bld_1")
    again.begin()
    assert again.take([b"a"]) == (1, False)
    assert again.behind
    assert again.take([b"b", b"c"]) == (1, False)
    assert (again.lines, again.certain, again.known_ms, again.seen_ms) == (3, False, 2, 3)


def test_a_replay_that_is_something_else_shows_where_what_was_taken_ends() -> None:
    one = cursor()
    one.begin()
    one.take([b"a", b"b"])
    one.begin()
    assert one.take([b"a"]) == (1, False)
    assert one.take([b"x", b"c"]) == (1, True)
    one.begin()
    assert one.take([b"a", b"x", b"c"]) == (3, False)


def test_a_cursor_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="version 2"):
        BuildCursor.load(StoredCursor("k", b'{"v":2}', (), 0), "bld_1")
