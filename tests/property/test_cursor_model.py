"""The cursor against a model: a history that is replayed again and again, cut, reordered and rotated."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.collect import window
from shipper.collect.cursor import Cursor
from shipper.collect.fingerprint import fingerprints
from shipper.collect.window import LATENESS_MS
from shipper.model import StoredCursor

START = 1_716_894_000_000


@pytest.fixture(autouse=True, scope="module", params=["as it is", "small"])
def windows(request: pytest.FixtureRequest) -> Iterator[None]:
    """Everything holds for windows of any size; small ones forget within a history of sixty lines."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "small":
            patch.setattr(window, "MIN_HELD", 4)
            patch.setattr(window, "_SEGMENT", 4)
            patch.setattr(window, "_SEGMENT_LEAST", 2)
        yield


@dataclass(frozen=True)
class Line:
    time: int
    stream: str
    text: str


class Archive:
    """Takes what the cursor lets through."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.lines: list[Line] = []
        self.gaps = 0

    def feed(self, lines: list[Line], chunk: int = 7) -> None:
        for at in range(0, len(lines), chunk):
            part = lines[at : at + chunk]
            times = [line.time for line in part]
            sifted = self.cursor.sift(times, lambda part=part: prints(part))
            self.gaps += sifted.gap is not None
            keep = range(len(part)) if sifted.keep is None else sifted.keep
            self.lines.extend(part[index] for index in keep)

    def finish(self) -> None:
        """The connection ends."""
        self.gaps += self.cursor.end() is not None


def prints(lines: list[Line]) -> array[int]:
    return fingerprints(
        [line.time for line in lines], [line.stream for line in lines], [line.text for line in lines]
    )


def reopen(cursor: Cursor) -> Cursor:
    """As a restart does: through what the buffer stores."""
    write = cursor.whole()
    return Cursor.load(StoredCursor(write.key, write.state, write.segments, 0))


# Steps of zero make identical milliseconds; few texts make identical lines; long steps leave the window behind.
histories = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 3, 400, 3_000, LATENESS_MS + 1]),
        st.sampled_from(["stdout", "stderr"]),
        st.sampled_from(["a", "b", "", "tick"]),
    ),
    max_size=60,
)


def history_of(steps: list[tuple[int, str, str]]) -> list[Line]:
    time, lines = START, []
    for step, stream, text in steps:
        time += step
        lines.append(Line(time, stream, text))
    return lines


def late(lines: list[Line], shifts: list[int]) -> list[Line]:
    """The lines in another order: each arrives up to some seconds after its time."""
    keyed = [(line.time + shifts[i % len(shifts)], i) for i, line in enumerate(lines)]
    return [lines[i] for _, i in sorted(keyed)]


cuts = st.lists(st.integers(0, 60), min_size=1, max_size=6)
shifts = st.lists(st.integers(0, LATENESS_MS // 2 - 1), min_size=1, max_size=5)


@settings(max_examples=150, deadline=None)
@given(histories, cuts, st.booleans())
def test_every_line_is_taken_once_however_often_the_replay_is_cut(
    steps: list[tuple[int, str, str]], ends: list[int], restart: bool
) -> None:
    lines = history_of(steps)
    archive = Archive(Cursor("k"))
    for end in [*ends, len(lines)]:
        archive.cursor.begin()
        archive.feed(lines[:end])
        if restart:
            archive.cursor = reopen(archive.cursor)
    archive.cursor.begin()
    archive.feed(lines)
    assert Counter(archive.lines) == Counter(lines)
    assert archive.gaps == 0


@settings(max_examples=150, deadline=None)
@given(histories, cuts, shifts, shifts)
def test_lines_that_are_late_in_one_order_live_and_in_another_replayed_are_taken_once(
    steps: list[tuple[int, str, str]], ends: list[int], live: list[int], replayed: list[int]
) -> None:
    lines = history_of(steps)
    arrived = late(lines, live)
    archive = Archive(Cursor("k"))
    for turn, end in enumerate([*ends, len(lines)]):
        archive.cursor.begin()
        # What the platform has at this moment is a prefix of the arrivals; a replay may show it in another order.
        there = arrived[:end]
        archive.feed(there if turn == 0 else late(there, replayed))
        archive.cursor = reopen(archive.cursor)
    archive.cursor.begin()
    archive.feed(late(lines, replayed))
    assert Counter(archive.lines) == Counter(lines)


moves = st.lists(
    st.tuples(st.sampled_from(["read", "read", "commit", "cut", "crash"]), st.integers(0, 20)), max_size=15
)


@settings(max_examples=200, deadline=None)
@given(histories, moves, shifts, shifts)
def test_a_crash_takes_back_lines_and_cursor_to_the_last_commit_and_the_replay_brings_the_rest_once(
    steps: list[tuple[int, str, str]], plan: list[tuple[str, int]], live: list[int], replayed: list[int]
) -> None:
    arrived, there = late(history_of(steps), live), 0
    archive = Archive(Cursor("k"))
    archive.cursor.begin()
    committed = (reopen(archive.cursor).whole(), list[Line]())
    for move, count in [*plan, ("crash", 0), ("read", len(arrived))]:
        if move == "read":
            archive.feed(arrived[there : there + count])
            there += count
        elif move == "commit":
            committed = (archive.cursor.whole(), list(archive.lines))
        else:
            if move == "crash":
                write, kept = committed
                archive.cursor = Cursor.load(StoredCursor(write.key, write.state, write.segments, 0))
                archive.lines[:] = kept
            archive.cursor.begin()
            archive.feed(late(arrived[:there], replayed))
    assert Counter(archive.lines) == Counter(arrived)
    assert archive.gaps == 0


@settings(max_examples=150, deadline=None)
@given(histories, st.integers(0, 60), st.integers(0, 60))
def test_a_rotated_history_repeats_nothing_and_loses_only_what_is_in_a_gap(
    steps: list[tuple[int, str, str]], taken: int, rotated: int
) -> None:
    # Lines differ here: of two identical ones in a millisecond nobody can tell which was rotated away.
    lines = [Line(line.time, line.stream, f"{line.text} {i}") for i, line in enumerate(history_of(steps))]
    archive = Archive(Cursor("k"))
    archive.cursor.begin()
    archive.feed(lines[:taken])
    archive.cursor.begin()
    archive.feed(lines[rotated:])
    want = Counter(lines[:taken]) + Counter(lines[max(taken, rotated) :])
    got = Counter(archive.lines)
    assert not got - Counter(lines), "a line came twice"
    assert not want - got, "a line that was offered is missing"
    lost = 0 < taken <= rotated  # nothing of what was taken is replayed; it shows with a later line
    later = any(line.time > lines[:taken][-1].time for line in lines[rotated:] if lost)
    assert archive.gaps == int(lost and later)


@settings(max_examples=200, deadline=None)
@given(histories, st.integers(1, 20), st.integers(-2, 4), shifts, cuts)
def test_a_gap_shows_as_well_where_the_process_is_killed_again_and_again_before_it_is_clear(
    steps: list[tuple[int, str, str]], taken: int, unread: int, live: list[int], ends: list[int]
) -> None:
    """Between each two commits: what a replay brought is stored, and what it may mean is not clear yet."""
    lines = [Line(line.time, line.stream, f"{line.text} {i}") for i, line in enumerate(history_of(steps))]
    arrived = late(lines, live)
    left = arrived[max(0, taken + unread) :]
    killed, spared = Archive(Cursor("k")), Archive(Cursor("k"))
    for archive in (killed, spared):
        archive.cursor.begin()
        archive.feed(arrived[:taken])
        archive.finish()
    for end in sorted(ends):
        killed.cursor.begin()
        killed.feed(left[:end])
        killed.cursor = reopen(killed.cursor)
    for archive in (killed, spared):
        archive.cursor.begin()
        archive.feed(left)
        archive.finish()
    assert Counter(killed.lines) == Counter(spared.lines)
    assert killed.gaps == spared.gaps


def test_a_kill_between_a_late_line_and_the_next_hides_no_rotation() -> None:
    """The line that the rotation left is older than the newest taken: alone it does not show a gap."""
    archive = Archive(Cursor("k"))
    archive.cursor.begin()
    archive.feed([Line(START, "stdout", "one"), Line(START + 500, "stdout", "two")])
    rotated_away_but = Line(START + 400, "stderr", "late")
    for _ in range(3):
        archive.cursor.begin()
        archive.feed([rotated_away_but])
        assert archive.gaps == 0
        archive.cursor = reopen(archive.cursor)
    archive.cursor.begin()
    archive.feed([rotated_away_but, Line(START + 900, "stdout", "five")])
    assert archive.gaps == 1
    assert len(archive.lines) == 4


def test_a_late_line_is_no_gap_where_the_replay_reaches_back_after_a_kill() -> None:
    archive = Archive(Cursor("k"))
    lines = [Line(START, "stdout", "one"), Line(START + 500, "stdout", "two")]
    archive.cursor.begin()
    archive.feed(lines)
    lines = [Line(START - 10, "stderr", "late"), *lines, Line(START + 900, "stdout", "three")]
    archive.cursor.begin()
    archive.feed(lines[:1])
    archive.cursor = reopen(archive.cursor)
    archive.cursor.begin()
    archive.feed(lines)
    archive.finish()
    assert Counter(archive.lines) == Counter(lines)
    assert archive.gaps == 0


@settings(max_examples=100, deadline=None)
@given(histories, st.integers(0, 60), st.integers(1, 12 * 3_600_000), st.integers(0, 60))
def test_a_clock_that_is_set_back_loses_nothing(
    steps: list[tuple[int, str, str]], before: int, back_ms: int, cut: int
) -> None:
    straight = history_of(steps)
    lines = straight[:before] + [
        Line(line.time - back_ms, line.stream, f"{line.text} again {i}")
        for i, line in enumerate(straight[before:])
    ]
    archive = Archive(Cursor("k"))
    for end in (cut, len(lines)):
        archive.cursor.begin()
        archive.feed(lines[:end])
        archive.cursor = reopen(archive.cursor)
    assert Counter(archive.lines) == Counter(lines)


def jumping(jumps: list[int]) -> list[Line]:
    """Lines of a clock that knows no order. All differ: who prints the same in the same millisecond of two days?"""
    time, lines = START, []
    for i, jump in enumerate(jumps):
        time = max(-(2**63), min(2**63 - 1, time + jump))
        lines.append(Line(time, "stdout", str(i)))
    return lines


hour = 3_600_000
jumps = st.lists(
    st.sampled_from([0, 1, 1, 900, 900, 30_000, hour, -hour, -5_000, 253_402_000_000_000, -(2**63)]),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(jumps, cuts)
def test_whatever_the_clock_does_a_replay_in_the_order_of_printing_is_taken_once(
    steps: list[int], ends: list[int]
) -> None:
    lines = jumping(steps)
    archive = Archive(Cursor("k"))
    for end in [*ends, len(lines)]:
        archive.cursor.begin()
        archive.feed(lines[:end], chunk=3)
        archive.cursor = reopen(archive.cursor)
    assert Counter(archive.lines) == Counter(lines)
    assert archive.gaps == 0


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 20), st.integers(2, 900), st.integers(0, 60))
def test_a_rotation_after_the_clock_was_set_back_hides_no_line(
    before: int, after: int, unread: int, back_s: int, rotated: int
) -> None:
    straight = [Line(START + i * 20_000, "stdout", f"straight {i}") for i in range(before)]
    again = START + before * 20_000 - back_s * 1000
    lines = [*straight, *(Line(again + i * 1000, "stdout", f"again {i}") for i in range(after + unread))]
    taken = before + after
    archive = Archive(Cursor("k"))
    archive.cursor.begin()
    archive.feed(lines[:taken])
    archive.cursor.begin()
    archive.feed(lines[min(rotated, taken - 1) :], chunk=3)
    assert Counter(archive.lines) == Counter(lines)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 3), st.integers(1, 900))
@example(before=40, after=3, unread=0, back_s=400)
def test_a_replay_that_is_sorted_by_time_repeats_nothing_after_the_clock_was_set_back(
    before: int, after: int, unread: int, back_s: int
) -> None:
    straight = [Line(START + i * 1000, "stdout", f"straight {i}") for i in range(before)]
    again = START - back_s * 1000
    lines = [*straight, *(Line(again + i, "stdout", f"again {i}") for i in range(after + unread))]
    archive = Archive(Cursor("k"))
    archive.cursor.begin()
    archive.feed(lines[: before + after])
    for _ in range(2):
        archive.cursor.begin()
        archive.feed(sorted(lines, key=lambda line: line.time), chunk=3)
    assert Counter(archive.lines) == Counter(lines)


@settings(max_examples=150, deadline=None)
@given(histories, histories, st.booleans(), st.integers(0, 60), st.integers(-20, 20))
def test_another_container_begins_a_history_of_its_own(
    first: list[tuple[int, str, str]],
    second: list[tuple[int, str, str]],
    cut_early: bool,
    cut: int,
    shift_h: int,
) -> None:
    old = history_of(first)
    ends = old[-1].time if old else START
    # The clock of the node may be set between the two, but not into the middle of what was forgotten.
    begins = ends + 1000 + (shift_h * hour if shift_h > 0 else 0) if shift_h >= 0 else START + shift_h * hour
    new = [Line(line.time - START + begins, line.stream, f"new {line.text}") for line in history_of(second)]
    archive = Archive(Cursor("k"))
    archive.cursor.begin()
    archive.feed(old)
    archive.cursor = reopen(archive.cursor)
    for end in (cut, len(new)) if cut_early else (len(new),):
        archive.cursor.begin(restarted=True)
        archive.feed(new[:end], chunk=3)
    assert Counter(archive.lines) == Counter(old) + Counter(new)
    assert archive.gaps == int(bool(old and new))


@settings(max_examples=100, deadline=None)
@given(histories, st.integers(0, 60), st.integers(0, 60))
def test_a_restart_of_something_else_in_the_pod_repeats_nothing(
    steps: list[tuple[int, str, str]], taken: int, rotated: int
) -> None:
    lines = [Line(line.time, line.stream, f"{line.text} {i}") for i, line in enumerate(history_of(steps))]
    archive = Archive(Cursor("k"))
    archive.cursor.begin()
    archive.feed(lines[:taken])
    archive.cursor.begin(restarted=True)
    archive.feed(lines[rotated:], chunk=3)
    assert not Counter(archive.lines) - Counter(lines)
    assert not Counter(lines[taken:]) - Counter(lines[:rotated]) - Counter(archive.lines)


@settings(max_examples=100, deadline=None)
@given(histories, st.integers(0, 60), shifts)
def test_a_check_misses_what_was_not_taken_and_nothing_else(
    steps: list[tuple[int, str, str]], taken: int, shift: list[int]
) -> None:
    lines = [Line(line.time, line.stream, f"{line.text} {i}") for i, line in enumerate(history_of(steps))]
    archive = Archive(Cursor("k"))
    archive.cursor.begin()
    archive.feed(lines[:taken])
    page = late(lines, shift)
    misses = archive.cursor.window.misses([line.time for line in page], prints(page))
    assert misses == max(0, len(lines) - taken)


def test_a_cursor_that_forgot_its_lines_takes_only_newer_ones() -> None:
    lines = [Line(START + i, "stdout", str(i)) for i in range(30)]
    archive = Archive(Cursor("k"))
    archive.cursor.begin()
    archive.feed(lines[:20])
    archive.cursor.forget_lines()
    archive.cursor = reopen(archive.cursor)
    archive.cursor.begin()
    archive.feed(lines)
    assert archive.lines == lines
    assert archive.gaps == 0


def test_no_window_outgrows_its_bound() -> None:
    cursor = Cursor("k")
    cursor.begin()
    far = 253_402_300_799_000  # the year 9999
    for start in range(0, 100_000, 1_000):
        times = [far if i == 7 else START + i for i in range(start, start + 1_000)]
        cursor.sift(times, lambda start=start: array("Q", range(start, start + 1_000)))
    assert cursor.window.held <= window.MAX_HELD
    assert sum(len(data) for _, data in cursor.whole().segments) < 9 * window.MAX_HELD


def test_a_commit_writes_only_the_segments_that_changed() -> None:
    cursor = Cursor("k")
    stored: dict[int, bytes] = {}
    cursor.begin()
    for start in range(0, 30_000, 500):
        times = [START + 100 * i for i in range(start, start + 500)]
        cursor.sift(times, lambda start=start: array("Q", range(start, start + 500)))
        write = cursor.write()
        stored |= dict(write.segments)
        stored = {seq: data for seq, data in stored.items() if seq >= write.drop_below}
        assert tuple(sorted(stored.items())) == cursor.whole().segments
        assert len(write.segments) <= 1 + 500 // window._SEGMENT_LEAST
    assert cursor.write().segments == ()


def test_a_short_text_is_not_mistaken_for_its_neighbour_a_millisecond_later() -> None:
    lines = [
        Line(START + i, stream, f"{text}")
        for i in range(50)
        for stream in ("stdout", "stderr")
        for text in range(10)
    ]
    assert len(set(prints(lines))) == len(lines)
