"""The verdict says whether anything is being lost, why, and what to do: one fact after the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shipper.model import GapReason
from shipper.telemetry.advice import LOSSES, WHAT_TO_DO
from shipper.telemetry.facts import AppFacts, BufferFacts, ConfigFacts, Feature, ReloadFacts
from shipper.telemetry.metrics import LOSS_REASON
from shipper.telemetry.recent import Counts, Recent
from shipper.telemetry.verdict import Level, Verdict, verdict
from tests.fakes.facts import NOW_MS, collect, facts, replica, sink, stream


def said(found: Verdict) -> str:
    return "\n".join(f"{one.level} {one.about}: {one.text} {one.todo}" for one in found.findings)


def test_a_daemon_that_is_well_says_that_nothing_is_being_lost_and_no_more() -> None:
    found = verdict(facts())
    assert (found.level, found.text, found.findings) == (Level.OK, "Nothing is being lost.", [])


@pytest.mark.parametrize("reason", list(GapReason))
def test_each_reason_of_a_gap_is_a_loss_that_says_what_to_do(reason: GapReason) -> None:
    counts = Counts()
    counts.gaps(3, (reason.value,))
    found = verdict(facts(counts=counts))
    assert found.level is Level.CRITICAL
    assert found.text == "Records were lost in the last 15 minutes."
    assert f"3 gaps in the last 15 minutes: {reason.value}." in said(found)
    assert found.findings[0].todo == WHAT_TO_DO[reason]


def test_the_reasons_of_losses_are_those_of_the_metrics() -> None:
    assert set(LOSS_REASON.values) == LOSSES


def test_dropped_records_are_a_loss_and_records_that_routes_leave_out_are_none() -> None:
    counts = Counts()
    counts.drops(50, ("search", "sampled"))
    assert verdict(facts(counts=counts)).level is Level.OK
    counts.drops(1_200, ("search", "buffer_full"))
    found = verdict(facts(counts=counts))
    assert found.level is Level.CRITICAL
    assert "1,200 records of the last 15 minutes will never reach the sink search: buffer_full." in said(
        found
    )
    assert found.findings[0].todo == WHAT_TO_DO[GapReason.BUFFER_FULL]


def test_a_selection_of_nothing_needs_a_look_once_the_platform_has_answered() -> None:
    found = verdict(facts(collect=collect(())))
    assert found.level is Level.WARNING
    assert "No app is selected, so nothing is collected." in said(found)
    waiting = facts(collect=collect(()), unready={"platform": "no answer from the platform yet"})
    assert "No app is selected" not in said(verdict(waiting))


def test_what_was_lost_earlier_is_a_note_and_the_answer_is_still_that_nothing_is_being_lost() -> None:
    now = 100_000.0
    counts = replace(Counts(), gaps=Recent(lambda: now))
    counts.gaps(2, ("rotated",))
    now += 3_600
    found = verdict(facts(counts=counts))
    assert (found.level, found.text) == (Level.OK, "Nothing is being lost.")
    assert "note gaps: 2 gaps earlier, in the last 24 hours: rotated 2." in said(found)


def test_a_parked_sink_loses_nothing_but_needs_someone_and_says_why() -> None:
    parked = sink("search", "parked", error="403 Forbidden: wrong key", backlog=1_204_331)
    found = verdict(facts(sinks=(sink(), parked)))
    assert (found.level, found.text) == (Level.WARNING, "Nothing is being lost, but something needs a look.")
    assert (
        "The sink search takes nothing until someone acts: 403 Forbidden: wrong key. "
        "1,204,331 records wait for it, the oldest for 2 min." in said(found)
    )


def test_a_failing_sink_is_tried_again_by_itself() -> None:
    found = verdict(facts(sinks=(sink(state="failing", error="503", backlog=0, oldest_ms=None),)))
    assert found.level is Level.WARNING
    assert "fails and is tried again by itself: 503. Nothing waits for it." in said(found)


def test_a_sink_is_behind_when_its_oldest_record_is_much_older_than_a_batch_gets() -> None:
    on_time = sink(oldest_ms=NOW_MS - 600_000, max_age_s=300.0)
    assert verdict(facts(sinks=(on_time,))).level is Level.OK
    behind = sink(oldest_ms=NOW_MS - 720_000, max_age_s=300.0)
    assert "The sink archive is behind." in said(verdict(facts(sinks=(behind,))))


def test_dead_letters_and_stuck_batches_are_told() -> None:
    found = verdict(facts(sinks=(sink(dead_letters=1, stuck=2, error="500"),)))
    assert "2 batches of the sink archive keep failing while others pass: 500." in said(found)
    assert "1 record that the sink archive refused for good is kept as dead letters." in said(found)
    assert "shipper deadletter list --sink archive" in said(found)
    assert verdict(facts(sinks=(sink(dead_letters=12),))).level is Level.OK


@pytest.mark.parametrize(
    ("when_full", "then"),
    [("block", "streams are held back"), ("drop_oldest", "the oldest records are dropped")],
)
def test_a_buffer_that_fills_up_says_what_happens_when_it_is_full(when_full: str, then: str) -> None:
    found = verdict(facts(buffer=BufferFacts(850, 1000, 900, 5, when_full)))
    assert found.level is Level.WARNING
    assert f"85% full (850 B of 1,000 B); when it is full, {then}." in said(found)


def test_a_buffer_that_takes_no_more_is_about_to_lose_records() -> None:
    found = verdict(facts(buffer=BufferFacts(990, 1000, 1000, 5, "block", holding=True)))
    assert (found.level, found.text) == (Level.CRITICAL, "Nothing is lost yet, but it soon may be.")


def test_a_buffer_without_a_limit_is_no_division_by_zero() -> None:
    assert verdict(facts(buffer=BufferFacts(0, 0, 0, 0, "block"))).level is Level.OK


def test_streams_that_are_refused_or_cannot_be_opened_collect_nothing() -> None:
    refused = collect([replica(0), replica(1, "checkout", stream("parked"))])
    platform = replace(facts().platform, error="PERMISSION_DENIED: no role")
    found = verdict(facts(collect=refused, platform=platform))
    assert found.level is Level.CRITICAL
    assert "The platform refuses 1 stream" in said(found)
    assert "Last answer: PERMISSION_DENIED: no role." in said(found)
    found = verdict(facts(collect=collect(overdue=7)))
    assert found.level is Level.CRITICAL
    assert "7 streams could not be opened for 5 min or longer" in said(found)


def test_apps_that_cannot_be_listed_are_named_and_many_are_summed_up() -> None:
    unlisted = [AppFacts(f"acme/app-{n}", 0, {}, problem="UNAVAILABLE") for n in range(8)]
    found = verdict(facts(collect=collect(unlisted=unlisted)))
    assert found.level is Level.WARNING
    assert "The replicas of acme/app-0 cannot be listed: UNAVAILABLE." in said(found)
    assert "The replicas of 3 further apps cannot be listed either." in said(found)
    refused = [AppFacts("acme/app", 0, {}, problem="PERMISSION_DENIED", refused=True)]
    assert verdict(facts(collect=collect(unlisted=refused))).level is Level.CRITICAL


def test_a_refused_listing_of_apps_says_how_to_do_without_it() -> None:
    found = verdict(facts(collect=collect(problem="PERMISSION_DENIED", refused=True)))
    assert found.level is Level.CRITICAL
    assert "apps.include with exact names works without" in said(found)


def test_no_valid_token_is_told() -> None:
    found = verdict(facts(platform=replace(facts().platform, token_problem="401 from the token endpoint")))
    assert found.level is Level.CRITICAL
    assert "There is no valid token: 401 from the token endpoint." in said(found)


def test_what_the_platform_does_not_offer_is_a_note_and_what_is_switched_off_is_none() -> None:
    off = (
        Feature("builds", False, "collect.builds is false"),
        Feature("events", False, "the server has no events"),
    )
    found = verdict(facts(platform=replace(facts().platform, features=off)))
    assert said(found) == "note events: Events are not collected: the server has no events. "
    assert found.level is Level.OK


def test_a_daemon_that_is_not_ready_does_not_claim_that_all_is_well() -> None:
    found = verdict(facts(unready={"platform": "no answer from the platform yet"}))
    assert found.level is Level.WARNING
    assert found.text == "Nothing is known to be lost; shipper is not ready yet."


def test_a_reload_that_was_refused_and_a_slow_event_loop_need_a_look() -> None:
    config = ConfigFacts("f", 0, {}, ReloadFacts(NOW_MS, "line 12: unknown key; did you mean bucket?"))
    process = replace(facts().process, loop_lag_seconds=2.5)
    found = verdict(facts(config=config, process=process))
    assert "unknown key; did you mean bucket? shipper check" in said(found)
    assert "late by 2.5 s" in said(found)
    assert found.level is Level.WARNING


def test_the_worst_comes_first() -> None:
    counts = Counts()
    counts.gaps(1, ("rotated",))
    found = verdict(facts(counts=counts, sinks=(sink(dead_letters=1), sink("b", "parked", error="x"))))
    levels = [one.level for one in found.findings]
    assert levels == sorted(levels, key=lambda level: -list(Level).index(level))
    assert levels[0] is Level.CRITICAL
