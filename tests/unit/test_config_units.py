"""Durations and sizes: what is accepted, and what the message says where it is not."""

import pytest

from shipper.config.units import UnitError, format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("5s", 5.0),
        ("10m", 600.0),
        ("1h", 3600.0),
        ("0s", 0.0),
        ("1.5s", 1.5),
        ("0.25m", 15.0),
    ],
)
def test_duration_is_read_as_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "5", "5 s", "s", "-5s", "+5s", "5S", "5sec", "1h30m", "1e3s", "٥s", "5s\n", "inf", ".5s", "5.s"],
)
def test_anything_else_is_no_duration(text):
    with pytest.raises(UnitError):
        parse_duration(text)


def test_duration_without_a_unit_is_told_which_units_there_are():
    with pytest.raises(UnitError, match="write 5s for seconds, 5m for minutes"):
        parse_duration("5")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "500ms"),
        (5.0, "5s"),
        (90.0, "90s"),
        (300.0, "5m"),
        (7200.0, "2h"),
        (0.0, "0s"),
        (0.0005, "0.0005s"),
    ],
)
def test_duration_is_written_in_the_largest_unit_that_fits(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("1B", 1), ("64KiB", 65536), ("10MiB", 10 << 20), ("10GiB", 10 << 30), ("2TiB", 2 << 40)],
)
def test_size_is_read_as_bytes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "1.5MiB", "-1B", "5 MiB", "5mib", "MiB", "5XiB", "５MiB"])
def test_anything_else_is_no_size(text):
    with pytest.raises(UnitError):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("10MB", "10MiB"),
        ("10 MiB", "10MiB"),
        ("64k", "64KiB"),
        ("3gb", "3GiB"),
        ("7b", "7B"),
        ("10", "10MiB or 10B"),
    ],
)
def test_size_in_another_notation_is_told_the_right_one(text, instead):
    with pytest.raises(UnitError, match=f"write {instead}"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0B"), (1, "1B"), (1024, "1KiB"), (1536, "1536B"), (10 << 30, "10GiB")]
)
def test_size_is_written_in_the_largest_unit_that_fits(size, text):
    assert format_size(size) == text
