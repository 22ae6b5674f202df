"""The oracle itself: it must see what is lost, doubled, and in a gap without need."""

from __future__ import annotations

from collections import Counter

from shipper.emulator import Printed
from tests.chaos.catalogue import FAULTS
from tests.chaos.oracle import GapSpan, Truth, as_printed, judge
from tests.chaos.plan import draw


def line(number: int, replica: str = "pod-a") -> Printed:
    return Printed("checkout", replica, 1000 + number, "stdout", f"line {number}")


def truth(
    *printed: Printed,
    twice: tuple[Printed, ...] = (),
    obtainable: tuple[Printed, ...] = (),
    unlisted: str = "",
) -> Truth:
    return Truth(Counter(printed), Counter(twice), Counter(obtainable), frozenset({unlisted} - {""}))


def gap(first: int, last: int, replica: str = "pod-a", reason: str = "rotated") -> GapSpan:
    return GapSpan("checkout", replica, 1000 + first, 1000 + last, reason, None)


def test_all_lines_once_are_good() -> None:
    lines = (line(1), line(2), line(2))
    verdict = judge("s3", truth(*lines), Counter(lines), [], once=True)
    assert verdict.good
    assert verdict.records == 3


def test_of_two_identical_lines_one_is_not_enough() -> None:
    verdict = judge("s3", truth(line(2), line(2)), Counter([line(2)]), [], once=True)
    assert verdict.lost == Counter([line(2)])
    assert not verdict.good


def test_a_missing_line_is_lost_unless_a_gap_of_its_replica_and_time_says_so() -> None:
    known, had = truth(line(1), line(2)), Counter([line(1)])
    for span in (gap(3, 9), gap(0, 1), gap(0, 9, "pod-b")):
        verdict = judge("s3", known, had, [span], once=True)
        assert verdict.lost == Counter([line(2)])
        assert verdict.empty_gaps == Counter(rotated=1)
    verdict = judge("s3", known, had, [gap(2, 2)], once=True)
    assert verdict.good
    assert (verdict.in_gaps, verdict.empty_gaps) == (1, Counter())


def test_a_line_in_a_gap_that_can_still_be_had_is_a_broken_promise_unless_the_buffer_was_full() -> None:
    known = truth(line(1), obtainable=(line(1),))
    assert not judge("s3", known, Counter(), [gap(0, 9)], once=True).good
    assert judge("s3", known, Counter(), [gap(0, 9, reason="buffer_full")], once=True).good


def test_of_identical_lines_those_that_can_still_be_had_are_told_from_those_that_are_gone() -> None:
    known, span = truth(*[line(1)] * 5, obtainable=(line(1), line(1))), gap(0, 9)
    assert judge("s3", known, Counter([line(1)] * 2), [span], once=True).good
    assert not judge("s3", known, Counter([line(1)]), [span], once=True).good


def test_a_line_twice_is_a_broken_promise_of_an_archive_and_not_of_a_record_sink() -> None:
    known, had = truth(line(1)), Counter([line(1), line(1)])
    assert judge("s3", known, had, [], once=True).doubled == Counter([line(1)])
    assert judge("datadog", known, had, [], once=False).good


def test_what_the_server_sent_twice_may_be_there_twice_and_no_more() -> None:
    known = truth(line(1), twice=(line(1),))
    assert judge("s3", known, Counter([line(1)] * 2), [], once=True).good
    assert judge("s3", known, Counter([line(1)] * 3), [], once=True).doubled == Counter([line(1)])


def test_a_replica_that_no_listing_named_is_forgiven_only_what_is_gone() -> None:
    assert judge("s3", truth(line(1), unlisted="pod-a"), Counter(), [], once=True).unlisted == 1
    known = truth(line(1), unlisted="pod-a", obtainable=(line(1),))
    assert not judge("s3", known, Counter(), [], once=True).good


def test_a_line_that_was_never_printed_is_a_surplus() -> None:
    assert judge("s3", truth(), Counter([line(1)]), [], once=True).doubled == Counter([line(1)])


def test_entries_of_an_intake_are_found_by_text_and_time() -> None:
    other = line(1)._replace(stream="stderr")
    printed = Counter([line(1), other, line(2)])
    seen = [("line 1", 1001), ("line 1", 1001), ("line 2", 1002), ("an event", 7)]
    assert as_printed(printed, seen) == printed


def test_a_seed_is_a_plan_and_consecutive_seeds_have_every_fault() -> None:
    assert draw(7) == draw(7)
    first = {draw(seed).injections[0].fault for seed in range(400)}
    assert {fault for seed in range(len(FAULTS)) for fault in draw(seed).faults} == set(FAULTS) >= first


def test_faults_that_exclude_each_other_are_never_in_one_plan() -> None:
    for seed in range(2000):
        kinds = [FAULTS[name] for name in draw(seed).faults]
        assert all(one is other or one.goes_with(other) for one in kinds for other in kinds)
