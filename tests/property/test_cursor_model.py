"""The cursor against a model: a history that is replayed again and again, cut, reordered and rotated."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.collect.cursor import LATENESS_MS, Cursor
from shipper.collect.fingerprint import fingerprints
from shipper.model import StoredCursor

START = 1_716_894_000_000


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


@settings(max_examples=400, deadline=None)
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


@settings(max_examples=400, deadline=None)
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


@settings(max_examples=300, deadline=None)
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
    lost = (
        0 < taken <= rotated < len(lines)
    )  # nothing of what was taken is replayed; it shows with a later line
    later = lost and lines[rotated].time > lines[taken - 1].time
    assert archive.gaps == int(later)


@settings(max_examples=200, deadline=None)
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


def test_a_short_text_is_not_mistaken_for_its_neighbour_a_millisecond_later() -> None:
    lines = [
        Line(START + i, stream, f"{text}")
        for i in range(50)
        for stream in ("stdout", "stderr")
        for text in range(10)
    ]
    assert len(set(prints(lines))) == len(lines)
