"""What waits for a commit becomes transactions that the buffer can take."""

from __future__ import annotations

from dataclasses import dataclass

from shipper.collect.pending import Pending
from shipper.model import CursorWrite, Kind, Partition

HOLD_AT = 8 * 1024 * 1024
HERE = Partition(Kind.LOGS, "acme", "checkout", 1)


@dataclass
class Named:
    """A cursor with so many rows of fingerprints to store."""

    key: str
    segments: int = 0

    def write(self) -> CursorWrite:
        return CursorWrite(self.key, b"{}", tuple((seq, b"x") for seq in range(self.segments)))


def keys(writes: list[CursorWrite]) -> list[str]:
    return [write.key for write in writes]


def test_cursors_that_only_changed_are_split_into_transactions_of_some_hundred_rows() -> None:
    pending = Pending()
    names = [f"k{n}" for n in range(2_000)]
    for name in names:
        pending.touch(Named(name, segments=1))
    groups = pending.close(HOLD_AT).transactions
    assert [name for group in groups for name in keys(group)] == names
    assert max(sum(1 + len(write.segments) for write in group) for group in groups) <= 700
    assert len(groups) < 10


def test_cursors_that_count_records_go_with_the_records_and_what_changed_as_far_as_there_is_room() -> None:
    pending = Pending()
    pending.touch(Named("before"))
    pending.add(HERE, b"{}\n", 1, 0, 0)
    pending.cover(Named("covers"))
    for n in range(1_000):
        pending.touch(Named(f"k{n}"))
    first, *rest = pending.close(HOLD_AT).transactions
    assert keys(first)[:2] == ["covers", "before"]
    assert len(first) > 500
    assert sum(map(len, rest)) == 1_002 - len(first)


def test_a_cursor_is_written_once_and_with_its_records_whether_it_changed_before_or_after() -> None:
    pending = Pending()
    for name in ("a", "b"):
        pending.touch(Named(name))
    pending.cover(Named("a"))
    pending.cover(Named("c"))
    pending.touch(newest := Named("c", segments=3))
    first, *rest = pending.close(1).transactions
    assert keys(first) == ["a", "c"]
    assert first[1] == newest.write()
    assert [keys(group) for group in rest] == [["b"]]


def test_what_weighs_is_what_waits_in_memory() -> None:
    pending = Pending()
    assert not pending
    pending.touch(Named("changed"))
    assert pending
    assert pending.size == 0
    pending.add(HERE, b"x" * 100, 1, 0, 0)
    pending.cover(Named("covers"))
    once = pending.size
    pending.cover(Named("covers"))
    assert 100 < once == pending.size
    pending.cover(Named("another"))
    assert pending.size - once > 1_000


def test_it_is_filled_by_some_hundred_cursors_that_cover_records_however_often_each_does() -> None:
    pending = Pending()
    for n in range(1_000):
        pending.touch(Named(f"changed {n}"))
        pending.cover(Named("covers"))
    assert not pending.filled(HOLD_AT)
    for n in range(350):
        pending.cover(Named(f"k{n}"))
    assert pending.filled(HOLD_AT)
    first, *_ = pending.close(HOLD_AT).transactions
    assert [write.key for write in first[:3]] == ["covers", "k0", "k1"]


def test_a_cursor_is_stored_as_it_was_when_what_waits_was_closed() -> None:
    """What it counts after that is in a later transaction."""
    pending = Pending()
    cursor = Named("k")
    pending.cover(cursor)
    closed = pending.close(HOLD_AT)
    cursor.segments = 1
    assert closed.transactions == [[Named("k").write()]]
