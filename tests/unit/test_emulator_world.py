"""Apps, replicas and events, moved by hand and by the seeded driver."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from pathlib import Path

import pytest

from shipper.emulator import building
from shipper.emulator.driver import Driver
from shipper.emulator.ledger import Ledger, Printed, compare
from shipper.emulator.scenario import Scenario, Traffic
from shipper.emulator.text import FileText, generated_lines, lines_of_files
from shipper.emulator.tokens import Tokens
from shipper.emulator.world import World


class Hands:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now


def world(**settings: object) -> tuple[World, Hands]:
    clock = Hands()
    scenario = Scenario(clock=clock, **settings)  # type: ignore[arg-type]
    return World(scenario, Ledger()), clock


def driven(traffic: Traffic, seconds: float, seed: int = 1) -> World:
    """A world after so many seconds of steps, without any waiting."""
    made, clock = world(seed=seed)
    driver = Driver(made, traffic, generated_lines(seed))
    driver.begin()
    steps = int(seconds / traffic.tick_s)
    for step in range(1, steps + 1):
        clock.now += int(traffic.tick_s * 1000)
        driver.step(step * traffic.tick_s)
    return made


def test_a_replica_prints_with_its_own_clock() -> None:
    earth, clock = world()
    pod = earth.add_app("a").start_replica(clock_offset_ms=-7_200_000)
    assert pod.print("x").timestamp_ms == clock.now - 7_200_000
    assert pod.started_ms == clock.now - 7_200_000


def test_a_restart_in_place_keeps_the_id_and_forgets_the_history() -> None:
    earth, clock = world()
    pod = earth.add_app("a").start_replica()
    pod.print("old")
    clock.now += 5
    pod.crash()
    with pytest.raises(ValueError, match="prints no more"):
        pod.print("dead")
    assert pod.container.length == 1, "between crash and restart the old history can be read"
    pod.restart()
    assert (pod.restart_count, pod.container.length, pod.started_ms) == (1, 0, clock.now)
    assert pod.replica_id in earth.apps["a"].replicas


def test_a_crash_loop_is_one_event_whose_count_rises() -> None:
    earth, _ = world()
    app = earth.add_app("a")
    pod = app.start_replica()
    for _ in range(3):
        pod.crash()
        pod.restart()
    back_offs = [event for event in app.events() if event.reason == "BackOff"]
    assert [event.count for event in back_offs] == [3]
    assert [event.count for event in earth.ledger.events if event.reason == "BackOff"] == [1, 2, 3]


def test_two_events_that_are_alike_are_two_unless_they_recur() -> None:
    earth, _ = world()
    app = earth.add_app("a")
    app.event("Unhealthy", "probe failed", "p")
    app.event("Unhealthy", "probe failed", "p")
    app.event("Unhealthy", "probe failed", "p", recurring=True)
    assert [event.count for event in app.events()] == [1, 2]


def test_events_pass_away_after_their_time_to_live() -> None:
    earth, clock = world(event_ttl_s=60)
    app = earth.add_app("a")
    app.event("Unhealthy", "old")
    clock.now += 61_000
    app.event("Unhealthy", "new")
    assert [event.message for event in app.events()] == ["new"]


def test_an_event_stream_has_no_replay() -> None:
    earth, _ = world()
    app = earth.add_app("a")
    app.event("Unhealthy", "before")
    source = app.event_source(asyncio.Event())
    app.event("Unhealthy", "after")
    assert [event.message for event in source.peek(10)] == ["after"]


def test_an_aggregate_stream_follows_replicas_that_start_later_and_ends_with_the_app() -> None:
    earth, _ = world()
    app = earth.add_app("a")
    first = app.start_replica()
    first.print("1")
    source = app.log_source(asyncio.Event(), from_start=True)
    second = app.start_replica()
    second.print("2")
    first.restart()
    first.print("3")
    found = Counter[str | bytes]()
    while batch := source.peek(1):
        found.update(line.line for line in batch)
        source.advance(len(batch))
    assert found == Counter(["1", "2", "3"])
    assert not source.finished
    earth.remove_app("a")
    assert source.finished


def test_bytes_that_are_text_are_noted_as_text() -> None:
    earth, _ = world()
    pod = earth.add_app("a").start_replica()
    pod.print("é".encode())
    pod.print(b"\xff")
    assert [line.line for line in earth.ledger.lines] == ["é", b"\xff"]
    with pytest.raises(UnicodeEncodeError):
        pod.print("\ud800")


def test_a_comparison_names_what_is_missing_and_what_is_twice() -> None:
    a, b = (Printed("app", "r", 1, "stdout", text) for text in "ab")
    result = compare(Counter([a, a, b]), [a, b, b])
    assert (result.printed, result.archived, result.equal) == (3, 3, False)
    assert (result.missing, result.surplus) == (Counter([a]), Counter([b]))
    assert compare(Counter([a, a]), [a, a]).equal


BUSY = Traffic(
    apps=3, rate=300, pod_life_s=6, least_life_s=2, sleep_every_s=12, nap_s=2, late_share=0.05, twin_share=0.05,
    rotate_every_s=7, clock_offset_s=7200,
)  # fmt: skip


def test_the_driver_prints_at_its_rate_and_lets_everything_happen() -> None:
    earth = driven(BUSY, seconds=60)
    assert 0.5 * 300 * 60 < earth.ledger.printed < 1.1 * 300 * 60
    reasons = {event.reason for event in earth.ledger.events}
    assert {
        "Scheduled",
        "Started",
        "Killing",
        "BackOff",
        "Evicted",
        "ScaledToZero",
        "ScaledFromZero",
    } <= reasons
    assert max(earth.ledger.counter().values()) > 1, "twins: identical lines of one millisecond"
    times = [line.timestamp_ms for line in earth.ledger.lines]
    assert any(later < earlier for earlier, later in itertools.pairwise(times)), "late lines"


def test_the_driver_does_the_same_from_the_same_seed() -> None:
    first, second, other = (driven(BUSY, 10, seed=seed).ledger.lines for seed in (4, 4, 5))
    assert first == second
    assert first != other


def test_a_pinned_replica_outlives_what_was_planned_for_it() -> None:
    made, clock = world()
    driver = Driver(
        made, Traffic(apps=1, replicas=2, pod_life_s=1, least_life_s=0.5, sleep_every_s=3), generated_lines(1)
    )
    driver.begin()
    pod = next(iter(made.apps["checkout"].replicas.values()))
    driver.pin(pod)
    for step in range(1, 400):
        clock.now += 50
        driver.step(step * 0.05)
    assert pod.printing
    assert pod.restart_count == 0


def test_files_are_printed_line_by_line_and_again_from_the_top(tmp_path: Path) -> None:
    file = tmp_path / "a.log"
    file.write_bytes(b"one\ntwo \xff\n\n")
    source = lines_of_files([file])
    assert [source.line("app") for _ in range(4)] == ["one", "two \ufffd", "", "one"]
    with pytest.raises(ValueError, match="no lines"):
        FileText([])


def test_tokens_are_accepted_until_they_expire_or_are_revoked() -> None:
    clock = Hands()
    tokens = Tokens(Scenario(clock=clock, token="static", token_lifetime_s=10))
    issued, other = tokens.issue(), tokens.issue()
    assert tokens.refusal("Bearer static") is None
    assert tokens.refusal(f"bearer {issued}") is None
    clock.now += 9_999
    assert tokens.refusal(f"Bearer {issued}") is None
    tokens.revoke(other)
    assert "revoked" in (tokens.refusal(f"Bearer {other}") or "")
    clock.now += 1
    assert "expired" in (tokens.refusal(f"Bearer {issued}") or "")
    assert "no authorization" in (tokens.refusal(None) or "")
    assert "not a bearer" in (tokens.refusal("Basic abc") or "")
    tokens.revoke("static")
    assert tokens.refusal("Bearer static") is not None
    assert Tokens(Scenario(token=None)).refusal(None) is None


def test_a_patient_driver_keeps_a_pod_that_nobody_has_read_but_not_for_ever() -> None:
    made, clock = world()
    traffic = Traffic(apps=1, replicas=2, rate=10, sleep_every_s=0, leave_s=1, crash_share=0, patience_s=5)
    driver = Driver(made, traffic, generated_lines(1))
    driver.begin()
    app = made.apps["checkout"]
    read, unread = app.replicas.values()
    driver.sleep(app)
    source = read.container.reader(asyncio.Event(), from_start=True)
    source.advance(len(source.peek(100)))
    source.close()
    left = {}
    for step in range(1, 200):
        clock.now += 50
        driver.step(step * 0.05)
        left |= {
            pod.replica_id: step * 0.05
            for pod in (read, unread)
            if pod.is_gone and pod.replica_id not in left
        }
    assert 0.9 < left[read.replica_id] < 1.5
    assert 5.9 < left[unread.replica_id] < 6.5


def test_apps_are_built_now_and_then_in_pieces_that_are_cut_anywhere() -> None:
    earth = driven(Traffic(apps=3, rate=0, builds_every_s=10, build_life_s=2), 120)
    builds = list(earth.builds.all.values())
    assert {build.source for build in builds} == {"build", "compile"}
    assert {build.app for build in builds} == set(earth.apps)
    ended = [build for build in builds if not build.running]
    assert len(ended) > 20
    pieces = [piece.data for build in ended for piece in build.pieces]
    assert max(map(len, pieces)) <= 60
    assert any(b"\n" in piece[:-1] for piece in pieces)
    assert not all(piece.endswith(b"\n") for piece in pieces)
    assert earth.ledger.built_lines().total() > 100


def test_builds_are_a_function_of_the_seed_and_none_begin_where_none_are_asked_for() -> None:
    asked = Traffic(apps=2, rate=0, builds_every_s=5)
    one, same, other = (
        [(build.build_id, build.log) for build in driven(asked, 60, seed).builds.all.values()]
        for seed in (1, 1, 2)
    )
    assert one == same != other
    assert not driven(Traffic(apps=2, rate=0), 60).builds.all


def test_what_is_being_built_can_be_brought_to_its_end_at_once() -> None:
    made, _ = world()
    made.add_app("a")
    builder = building.Builder(made, Traffic(builds_every_s=5, build_life_s=30))
    for step in range(60):
        builder.step(step / 10, 0.1)
    (build,) = made.builds.all.values()
    assert build.running
    builder.finish()
    assert not build.running
    assert len(build.log) > 50


def test_old_builds_are_forgotten_but_not_those_under_way_or_of_a_draft(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(building, "KEPT", 5)
    earth = driven(Traffic(apps=3, rate=0, builds_every_s=10, build_life_s=2), 300)
    assert len(earth.builds.all) <= 5 + 2 * 3
    assert set(earth.builds.drafts.values()) <= set(earth.builds.all.values())
