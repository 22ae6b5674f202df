"""The view of the buffer knows what is due and when, in which order, and survives a wall clock that jumps."""

from __future__ import annotations

from dataclasses import replace

from shipper.deliver.backlog import Backlog, BatchPolicy, waiting
from shipper.model import Batch, Codec, Kind, Partition
from tests.fakes.outbox import FakeOpenPartition

POLICY = BatchPolicy(max_age_s=300.0, max_size=1000)
NOW, NOW_MS = 5000.0, 1_700_000_000_000


def partition(app: str = "shop") -> Partition:
    return Partition(Kind.LOGS, "acme", app, 0)


def opened(app: str = "shop", *, size: int = 10, age_s: float = 0.0, records: int = 5) -> FakeOpenPartition:
    return FakeOpenPartition(partition(app), Codec.ZSTD, 1, records, size, round(NOW_MS - age_s * 1000))


def batch(number: int, app: str = "shop", *, size: int = 10, records: int = 5) -> Batch:
    return Batch(number, "archive", partition(app), f"batch-{number}", Codec.ZSTD, records, size, 0, 0)


def loaded(*partitions: FakeOpenPartition, now: float = NOW, now_ms: float = NOW_MS) -> Backlog:
    backlog = Backlog(POLICY)
    backlog.load_open(partitions, now=now, now_ms=now_ms)
    return backlog


def test_a_partition_is_due_when_its_oldest_frame_reaches_the_age() -> None:
    assert loaded(opened(age_s=120)).due() == (NOW + 180, partition())


def test_a_partition_is_due_at_once_when_it_reaches_the_size() -> None:
    assert loaded(opened(size=1000)).due() == (NOW, partition())


def test_the_partition_that_is_due_first_comes_first() -> None:
    backlog = loaded(
        opened("young"), opened("old", age_s=400), opened("full", size=5000), opened("older", age_s=200)
    )
    order = []
    for number in range(4):
        due = backlog.due()
        assert due is not None
        order.append((due[1].app, due[0] - NOW))
        backlog.took(batch(number, due[1].app, size=5000))
    assert order == [("old", 0.0), ("full", 0.0), ("older", 100.0), ("young", 300.0)]
    assert backlog.due() is None


def test_an_empty_view_is_never_due() -> None:
    assert Backlog(POLICY).due() is None
    assert loaded(opened(records=0)).due() is None


def test_a_frame_from_the_future_waits_no_longer_than_the_age() -> None:
    assert waiting(opened(age_s=-86_400), POLICY, now=NOW, now_ms=NOW_MS).due_at == NOW + 300


def test_a_wall_clock_that_is_set_back_does_not_postpone_what_was_due() -> None:
    first = waiting(opened(age_s=100), POLICY, now=NOW, now_ms=NOW_MS)
    later = waiting(opened(age_s=100), POLICY, now=NOW + 10, now_ms=NOW_MS - 3_600_000, before=first)
    assert later.due_at == first.due_at == NOW + 200


def test_a_wall_clock_that_is_set_forward_makes_old_frames_due() -> None:
    first = waiting(opened(), POLICY, now=NOW, now_ms=NOW_MS)
    later = waiting(opened(), POLICY, now=NOW + 1, now_ms=NOW_MS + 3_600_000, before=first)
    assert later.due_at == NOW + 1


def test_other_frames_than_before_get_a_time_of_their_own() -> None:
    first = waiting(opened(age_s=299), POLICY, now=NOW, now_ms=NOW_MS)
    assert waiting(opened(age_s=0), POLICY, now=NOW, now_ms=NOW_MS, before=first).due_at == NOW + 300


def test_a_partition_with_a_batch_under_way_waits_for_it() -> None:
    backlog = loaded(opened(age_s=400, records=50, size=3000))
    sealed = backlog.took(batch(1, size=900))
    assert backlog.due() is None
    backlog.settled(sealed)
    assert backlog.due() == (NOW - 0, partition())


def test_what_is_left_after_sealing_by_size_waits_for_its_age() -> None:
    backlog = loaded(opened(records=50, size=1200, age_s=100))
    backlog.settled(backlog.took(batch(1, size=900, records=40)))
    assert backlog.due() == (NOW + 200, partition())


def test_nothing_is_left_after_sealing_everything() -> None:
    backlog = loaded(opened(age_s=400))
    backlog.settled(backlog.took(batch(1)))
    assert backlog.due() is None


def test_a_partition_that_turned_out_empty_is_forgotten() -> None:
    backlog = loaded(opened(age_s=400))
    backlog.nothing_to_seal(partition())
    assert backlog.due() is None


def test_sealed_batches_of_one_partition_are_offered_one_at_a_time_in_order() -> None:
    backlog = Backlog(POLICY)
    backlog.load_sealed([batch(1), batch(2), batch(3, "cart")])
    first = list(backlog.candidates())
    assert [one.batch.batch_id for one in first] == [1, 3]
    first[0].in_flight = True
    assert [one.batch.batch_id for one in backlog.candidates()] == [3]
    backlog.settled(first[0])
    assert [one.batch.batch_id for one in backlog.candidates()] == [2, 3]
    assert backlog.sealed_count == 2


def test_reloading_keeps_what_attempts_came_to_and_takes_the_changed_batch() -> None:
    backlog = Backlog(POLICY)
    backlog.load_sealed([batch(1), batch(2, "cart")])
    next(backlog.candidates()).failures = 7
    backlog.load_sealed([replace(batch(1), records=2)])
    (one,) = backlog.candidates()
    assert (one.batch.records, one.failures, backlog.sealed_count) == (2, 7, 1)


def test_when_everything_is_due_age_does_not_matter() -> None:
    backlog = loaded(opened("young"))
    backlog.everything_is_due()
    backlog.load_open([opened("young"), opened("future", age_s=-500)], now=NOW + 1, now_ms=NOW_MS)
    due = backlog.due()
    assert due is not None
    assert due[0] <= NOW + 1


def test_five_thousand_partitions_are_taken_in_order_without_looking_at_all_of_them_each_time() -> None:
    ages = [(number * 7919) % 5000 for number in range(5000)]
    backlog = loaded(*(opened(f"app-{age}", age_s=age / 100) for age in ages))
    taken = []
    for number in range(5000):
        due = backlog.due()
        assert due is not None
        taken.append(due[0])
        backlog.settled(backlog.took(batch(number, due[1].app)))
    assert taken == sorted(taken)
