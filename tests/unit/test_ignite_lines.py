"""Output cut anywhere becomes the same lines."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from shipper.ignite.lines import LineCutter

PARTS = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\r",
        b"\x1b[32mok\x1b[0m",
        "größer".encode(),
        b"\xff\xfe",
        b"a",
        b"b" * 40,
        "…".encode(),
    ]
)


def cut(pieces: list[bytes], longest: int = 64) -> tuple[list[bytes], list[int]]:
    """The lines, and which piece each began in."""
    cutter = LineCutter(longest)
    lines: list[bytes] = []
    times: list[int] = []
    for number, piece in enumerate(pieces):
        found = cutter.feed(piece, number)
        lines += found.lines
        times += found.times
    found = cutter.finish()
    return lines + found.lines, times + found.times


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(at, len(data)) for at in cuts} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(places)]


@given(st.lists(PARTS, max_size=40).map(b"".join), st.lists(st.integers(0, 400), max_size=30))
@example(b"a\r\nb", [2])
@example(b"\r\r\n", [1, 2])
@example("…".encode() * 22 + b"\n", [1, 65])
def test_any_cutting_gives_the_same_lines(data: bytes, cuts: list[int]) -> None:
    lines, times = cut(pieces_of(data, cuts))
    assert lines == cut([data])[0]
    assert times == sorted(times)


@given(st.lists(PARTS, max_size=40).map(b"".join))
def test_lines_that_are_not_too_long_are_what_lies_between_line_ends(data: bytes) -> None:
    expected = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if data.endswith(b"\n") or not data:
        expected.pop()
    assert cut([data], longest=10_000)[0] == expected


@given(st.lists(PARTS, max_size=40).map(b"".join), st.lists(st.integers(0, 400), max_size=30))
def test_nothing_but_line_ends_is_lost_and_no_line_is_longer_than_it_may_be(
    data: bytes, cuts: list[int]
) -> None:
    lines, _ = cut(pieces_of(data, cuts))
    assert b"".join(lines) == b"".join(line.removesuffix(b"\r") for line in data.split(b"\n"))
    assert all(len(line) <= 64 for line in lines)


def test_a_line_has_the_time_of_the_piece_that_began_it() -> None:
    assert cut([b"a", b"b\nc", b"\n", b"d\n", b"\n", b"e"]) == (
        [b"ab", b"c", b"d", b"", b"e"],
        [0, 1, 3, 4, 5],
    )


def test_a_progress_bar_is_one_line_with_all_its_states() -> None:
    assert cut([b" 10%\r 50%\r", b"100%\r\nnext\n"])[0] == [b" 10%\r 50%\r100%", b"next"]


def test_a_line_that_is_too_long_is_cut_between_characters() -> None:
    text = ("ä" * 40).encode()
    assert cut([text + b"\n"], longest=33)[0] == [text[:32], text[32:64], text[64:]]


def test_bytes_that_are_no_text_are_cut_where_they_must() -> None:
    assert cut([b"\x80" * 10 + b"\n"], longest=8)[0] == [b"\x80" * 8, b"\x80" * 2]
