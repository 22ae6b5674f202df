"""What is concluded from refusals: pure decisions, without a worker around them."""

from __future__ import annotations

from shipper.deliver.doubt import FEW, MANY, PATIENCE, Doubt, Trial, cuts
from shipper.deliver.leftovers import KEPT_ENTRIES, KEPT_S, Leftovers
from shipper.deliver.parcels import Parcels
from shipper.entry import Entry
from shipper.model import Kind
from shipper.sinks.port import Parcel


def refused(doubt: Doubt, *sizes: int) -> Doubt:
    for size in sizes:
        doubt = doubt.refused_parcel(size)
    return doubt


def test_refusals_in_a_row_make_suspicious_and_an_acceptance_ends_that() -> None:
    doubt = refused(Doubt(), *[100] * (PATIENCE - 1))
    assert not doubt.suspicious
    doubt = doubt.refused_parcel(1)
    assert doubt.suspicious
    assert doubt.singles == 1
    assert doubt.accepted() == Doubt(acceptances=1)


def test_doubt_stands_until_something_is_accepted() -> None:
    assert not Doubt().stands
    doubt = refused(Doubt(), 1, 1, 1).doubtful()
    assert doubt.stands
    assert refused(doubt, 5, 1).stands
    assert not doubt.accepted().stands
    assert not doubt.accepted().refused_parcel(1).stands


def test_a_batch_in_doubt_may_bury_more_each_time_that_others_were_taken_since() -> None:
    doubt, trial = Doubt(), Trial()
    allowed = []
    for _ in range(4):
        allowed.append(trial.allowed(doubt, moved=False))
        trial = trial.doubtful(doubt)
        doubt = doubt.accepted()
    assert allowed == [FEW, 4 * FEW, 16 * FEW, 64 * FEW]


def test_a_batch_in_doubt_may_bury_no_more_while_nothing_is_taken() -> None:
    doubt, trial = Doubt(acceptances=7), Trial()
    for _ in range(5):
        assert trial.allowed(doubt, moved=False) == FEW
        assert not trial.cleared(doubt)
        trial = trial.doubtful(doubt)


def test_an_attempt_in_which_something_was_taken_may_bury_more() -> None:
    assert Trial().allowed(Doubt(), moved=True) == MANY > FEW


def test_a_single_one_is_cut_out_anywhere() -> None:
    assert cuts(10, suspicious=True, draw=lambda: 0.0) == ((0, 1), (1, 10))
    assert cuts(10, suspicious=True, draw=lambda: 0.55) == ((0, 5), (5, 6), (6, 10))
    assert cuts(10, suspicious=True, draw=lambda: 0.999) == ((0, 9), (9, 10))
    assert cuts(2, suspicious=True, draw=lambda: 0.5) == ((0, 1), (1, 2))


def waiting(entries: int, since: float = 0.0) -> Parcels:
    made = [Entry({}, Kind.LOGS, 0, "")] * entries
    parcels = Parcels(0, since)
    parcels.add(0, made, Parcel(0, entries, entries, "body"))
    return parcels


def test_what_is_known_of_failed_attempts_is_bounded_in_records_and_the_oldest_goes_first() -> None:
    leftovers = Leftovers()
    for number in range(5):
        leftovers.keep(number, waiting(KEPT_ENTRIES // 3))
    assert [leftovers.take(number, 0.0) is not None for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]
    leftovers.keep(9, waiting(KEPT_ENTRIES + 1))
    assert leftovers.take(9, 0.0) is None


def test_parcels_that_were_made_long_ago_are_made_anew() -> None:
    leftovers = Leftovers()
    leftovers.keep(1, waiting(5, since=100.0))
    assert leftovers.take(1, 100.0 + KEPT_S + 1) is None
    leftovers.keep(1, waiting(5, since=100.0))
    assert leftovers.take(1, 100.0 + KEPT_S - 1) is not None
    assert leftovers.take(1, 100.0) is None, "it is handed out once"
