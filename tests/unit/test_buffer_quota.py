"""The quota's arithmetic: shares that add up, and estimates that are never below what SQLite really takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipper.buffer import MINIMUM_SIZE
from shipper.buffer.cursors import CursorTable
from shipper.buffer.database import Database
from shipper.buffer.index import FrameRow
from shipper.buffer.quota import (
    DISK_MARGIN,
    LARGEST_STATE,
    PAGE_SIZE,
    Pages,
    Quota,
    log_bytes,
    pages_for,
    piece_sizes,
)
from shipper.buffer.writing import Plan
from shipper.model import Codec, CursorWrite
from tests.buffer_files import MIB, partition

SIZES = st.lists(
    st.integers(0, 20_000) | st.sampled_from([8100, 8128, 8129, 8192, MIB, MIB + 1]), max_size=40
)


@given(st.integers(MINIMUM_SIZE, 2**45))
def test_the_shares_add_up(max_size: int) -> None:
    """Database and log together never exceed max_size, whatever it is, and each can hold something."""
    quota = Quota(max_size)
    assert quota.max_pages * PAGE_SIZE + quota.wal_size <= max_size
    assert log_bytes(quota.wal_pages) <= quota.wal_size
    assert quota.checkpoint_at < quota.wal_size
    assert 0 < quota.reserve_pages < quota.max_pages // 4
    assert max_size // 4 < quota.largest_commit < max_size
    assert log_bytes(quota.stage_pages) < quota.wal_size
    assert quota.rows_per_deletion() >= 8


def test_the_smallest_buffer_is_named() -> None:
    """One byte less is refused with the number that is needed."""
    Quota(MINIMUM_SIZE)
    with pytest.raises(ValueError, match=str(MINIMUM_SIZE)):
        Quota(MINIMUM_SIZE - 1)


@given(st.integers(0, 50 * MIB))
def test_pieces_make_up_the_frame(size: int) -> None:
    """A frame's pieces have its size together, and there is at least one."""
    assert sum(piece_sizes(size)) == size
    assert len(piece_sizes(size)) >= 1


@given(SIZES)
def test_pages_are_never_fewer_than_the_bytes_need(sizes: list[int]) -> None:
    """The estimate holds at least the bytes."""
    assert pages_for(sizes) * PAGE_SIZE >= sum(sizes)


@pytest.mark.parametrize(
    ("count", "free", "short", "gives_back"),
    [
        (100_000, 90_000, False, True),  # an outage is over
        (100_000, 40_000, False, False),  # less than half
        (5_000, 4_000, False, False),  # not worth it
        (5_000, 4_000, True, True),  # the disk needs it
        (5_000, 0, True, False),
    ],
)
def test_disk_is_given_back_when_it_is_worth_it(count: int, free: int, short: bool, gives_back: bool) -> None:
    """A mostly empty large file shrinks; any file shrinks on a disk that is short."""
    step = Quota(1024 * MIB).vacuum_step(Pages(count, free), disk_is_short=short)
    assert (step > 0) is gives_back
    assert step <= free


def test_a_file_beyond_a_smaller_bound_shrinks() -> None:
    """After max_size was lowered, whatever is free is given back."""
    quota = Quota(MINIMUM_SIZE)
    assert quota.vacuum_step(Pages(quota.max_pages + 1, 3), disk_is_short=False) == 3
    assert DISK_MARGIN < MINIMUM_SIZE


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SIZES, st.integers(1, 30), st.lists(st.integers(0, 9000), max_size=60))
def test_estimates_are_upper_bounds(tmp_path: Path, sizes: list[int], apps: int, states: list[int]) -> None:
    """A transaction makes the file and the log grow by no more than was estimated for it."""
    path = tmp_path / "file"
    quota = Quota(256 * MIB)
    database = Database.create(path, quota, {})
    try:
        cursors = CursorTable(database)
        for turn in range(2):
            plan = Plan()
            for number, size in enumerate(sizes):
                frame_id, where = turn * 1000 + number + 1, number % apps + 1
                row = FrameRow(frame_id, where, Codec.NONE, 1, 0, 0, size, 0, 1, 0)
                plan.rows.append(row)
                plan.data.append(bytes(size))
                if turn == 0 and where not in plan.partitions:
                    plan.partitions[where] = partition("x" * 50 * where)
            writes = [CursorWrite(f"key-{number}", bytes(size)) for number, size in enumerate(states)]
            before, log_before = database.pages(), database.log_size
            need = plan.need(before).plus(cursors.need(writes, before))
            with database.transaction(need):
                from shipper.buffer.writing import pieces, write_pieces, write_rows

                write_pieces(database, pieces(plan))
                write_rows(database, plan)
                change = cursors.write(writes, 0)
            cursors.took(change)
            assert database.pages().used - before.used <= need.new
            assert database.log_size - log_before <= log_bytes(need.dirty)
    finally:
        database.close()
        path.unlink()


@given(st.integers(MINIMUM_SIZE, 2**45))
def test_shares_leave_the_most_to_frames(max_size: int) -> None:
    """What is kept free for letters and carried state takes a full buffer's settling, and little of its room."""
    quota = Quota(max_size)
    for share in (quota.letters, quota.carried):
        assert 0 < share.least <= share.most <= max(64 * MIB, share.least)
        assert share.pages_aside(0) * PAGE_SIZE >= share.least
        assert share.pages_aside(share.least) == share.pages_aside(share.most) == 0
    assert pages_for([LARGEST_STATE + 1000]) < quota.carried.pages_aside(0)
    assert quota.carried.pages_aside(0) + quota.letters.pages_aside(0) < quota.max_pages // 8
    assert quota.letters.most <= max(max_size // 16, MIB)


@given(st.integers(0, 3 * MIB), st.integers(0, 3000), st.integers(0, 1280))
def test_what_is_allowed_lies_between_least_and_most(stored: int, used: int, aside: int) -> None:
    """It grows with the room that frames leave, and never falls below its own share."""
    quota = Quota(MINIMUM_SIZE)
    for share in (quota.letters, quota.carried):
        allowed = quota.allowed(share, stored, Pages(used, 0, 0, aside))
        assert share.least <= allowed <= share.most
        assert allowed <= quota.allowed(share, stored, Pages(max(0, used - 10), 0, 0, aside))
