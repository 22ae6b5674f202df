"""What is remembered of a replica before a failure: its last lines, and of few enough replicas."""

from __future__ import annotations

from dataclasses import replace

from shipper.entry import Entry, Failure
from shipper.model import Kind
from shipper.transform.recent import MAX_LENGTH, Recent
from tests.log_entries import entry_of


def failing(text: str, at_ms: int, replica: str = "r-1") -> Entry:
    return replace(entry_of(text, at_ms, replica), failure=Failure("python", "ValueError", ""))


def event(at_ms: int, replica: str = "r-1", kind: Kind = Kind.EVENTS) -> Entry:
    record = {"timestamp_ms": at_ms, "app": "shop", "replica_id": replica, "message": "killed"}
    return Entry(record, kind, at_ms, "killed")


def test_a_failure_and_an_event_have_the_lines_of_their_replica_before_them() -> None:
    recent = Recent()
    failure, killed = failing("trace", 1_003), event(1_005)
    lines = [entry_of("one", 1_001), entry_of("other", 1_001, "r-2"), entry_of("two", 1_002, stream="stdout")]
    recent.follow([*lines, failure, entry_of("three", 1_004)])
    recent.follow([killed])
    assert failure.before == ((1_001, "one"), (1_002, "two"))
    assert killed.before == ((1_001, "one"), (1_002, "two"), (1_003, "trace"), (1_004, "three"))
    assert all(line.before == () for line in lines)


def test_lines_that_came_later_are_not_before() -> None:
    recent = Recent()
    failure = failing("trace", 1_002)
    recent.follow([entry_of("two", 1_003, stream="stdout"), entry_of("one", 1_001, stream="stdout"), failure])
    assert failure.before == ((1_001, "one"),)


def test_only_the_last_lines_are_kept_and_cut() -> None:
    recent = Recent(lines=3)
    failure = failing("trace", 5_000)
    recent.follow([entry_of(f"{at} {'x' * 10_000}", at) for at in range(1_000, 1_010)] + [failure])
    assert [at for at, _ in failure.before] == [1_007, 1_008, 1_009]
    assert all(len(text) == MAX_LENGTH for _, text in failure.before)


def test_replicas_that_were_silent_longest_are_forgotten() -> None:
    recent = Recent(replicas=2)
    recent.follow([entry_of("one", 1_000, "r-1"), entry_of("two", 1_000, "r-2")])
    recent.follow([entry_of("more", 1_001, "r-1"), entry_of("three", 1_000, "r-3")])
    killed = [event(2_000, replica) for replica in ("r-1", "r-2", "r-3")]
    recent.follow(killed)
    assert [len(entry.before) for entry in killed] == [2, 0, 1]


def test_entries_that_come_a_second_time_are_remembered_once() -> None:
    recent = Recent()
    entries = [entry_of("one", 1_000), entry_of("two", 1_000), failing("trace", 1_001)]
    recent.follow(entries)
    first = entries[2].before
    recent.follow(entries)
    assert entries[2].before == first == ((1_000, "one"), (1_000, "two"))


def test_gaps_and_records_without_a_replica_have_nothing_before_them() -> None:
    recent = Recent()
    recent.follow([entry_of("one", 1_000, "")])
    others = [event(2_000, ""), event(2_000, "r-1", Kind.GAPS)]
    recent.follow(others)
    assert [entry.before for entry in others] == [(), ()]
