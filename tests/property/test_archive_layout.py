"""Keys: names stay in their folder and never become one, and times sort, whatever the platform sends."""

from __future__ import annotations

from datetime import date
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes

from hypothesis import example, given
from hypothesis import strategies as st

from shipper.archive.layout import batch_name, escape, hour_of, object_key, partition_path
from shipper.model import Codec, Kind, Partition

INT64 = st.integers(-(2**63), 2**63 - 1)
ANY_TEXT = st.text(st.characters(exclude_categories=())) | st.text(
    alphabet="a/.%=_~ \x00\n\\é日\ud800", max_size=12
)
NAMES = ANY_TEXT | st.tuples(ANY_TEXT, st.integers(1, 300)).map(lambda pair: (pair[0] * pair[1])[:300])
PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.%~")


@given(NAMES)
@example("")
@example(".")
@example("..")
@example("../../etc/passwd")
@example("a=b")
@example("%2E%2E")
@example("_hidden")
@example("x" * 300)
@example("日本語" * 100)
@example("\ud800")
def test_an_escaped_name_is_one_plain_short_component(name: str) -> None:
    """Whatever the name, the result is a single visible path component of at most 200 ASCII bytes."""
    result = escape(name)
    assert 0 < len(result) <= 200
    assert set(result) <= PLAIN
    assert result[0] not in "._"
    assert PurePosixPath(f"root/{result}/leaf").parts == ("root", result, "leaf")


@given(NAMES, NAMES)
@example("~", "")
@example("%7E", "~")
@example("a/b", "a%2Fb")
@example("_a", "%5Fa")
@example("x" * 200, "x" * 201)
@example("x" * 300, "x" * 299 + "y")
@example("é" * 300, "é" * 299)
def test_two_names_never_become_one(one: str, other: str) -> None:
    """Escaping is injective, also where long names are cut."""
    assert (escape(one) == escape(other)) == (one == other)


@given(NAMES)
def test_a_name_that_was_not_cut_can_be_had_back(name: str) -> None:
    """Undoing the percent-encoding, as readers do with Hive folders, gives the name."""
    result = escape(name)
    if "~" not in result:
        assert unquote_to_bytes(result) == name.encode("utf-8", "surrogatepass")


def test_a_cut_name_does_not_end_in_half_an_encoding() -> None:
    """A long name in which every character is encoded still decodes."""
    for length in range(60, 80):
        head, _, digest = escape("x" * (length % 3) + "é" * length).partition("~")
        assert len(digest) in (0, 32)
        unquote_to_bytes(head).decode("utf-8", "strict" if not digest else "ignore")
        assert head.count("%") * 3 + head.count("x") == len(head)


@given(INT64)
@example(0)
@example(-1)
@example(253_402_300_799_999)
@example(2**63 - 1)
@example(-(2**63))
def test_any_time_has_a_folder(timestamp_ms: int) -> None:
    """The hour is within the years 1 to 9999, and is the time's own wherever a date can say it."""
    partition = Partition(Kind.LOGS, "o", "a", hour_of(timestamp_ms))
    *_, day, hour = partition_path(partition).split("/")
    name, _, value = day.partition("=")
    parsed = date.fromisoformat(value)
    assert (name, len(value)) == ("dt", 10)
    assert hour in {f"hour={number:02d}" for number in range(24)}
    if -62_135_596_800_000 <= timestamp_ms <= 253_402_300_799_999:
        days = (parsed - date(1970, 1, 1)).days
        assert days * 24 + int(hour[5:]) == timestamp_ms // 3_600_000


@given(st.integers(), NAMES, NAMES, st.sampled_from(Kind), st.sampled_from(Codec))
def test_a_key_has_exactly_the_folders_of_the_layout(
    hour: int, organization: str, app: str, kind: Kind, codec: Codec
) -> None:
    """No name adds or removes a level, even with an hour that no date can say."""
    partition = Partition(kind, organization, app, hour)
    key = object_key("some/prefix/", partition, "name", codec)
    folders = key.split("/")
    assert folders[:2] == ["some", "prefix"]
    assert [folder.partition("=")[0] for folder in folders[2:-1]] == ["kind", "org", "app", "dt", "hour"]
    assert folders[-1] == "name" + {"zstd": ".ndjson.zst", "gzip": ".ndjson.gz", "none": ".ndjson"}[codec]
    assert len(key.encode()) < 1024
    assert object_key("", partition, "name", codec) == "/".join(folders[2:])


@given(INT64, INT64, st.integers(1, 10**12 - 1), st.integers(1, 10**12 - 1))
def test_batch_names_sort_as_the_times_do(one: int, other: int, first: int, second: int) -> None:
    """The earlier batch has the lesser name; within one millisecond the earlier frame has."""
    names = [batch_name(one, "0123abcd", first, first), batch_name(other, "0123abcd", second, second)]
    moments = [min(max(ms, -62_135_596_800_000), 253_402_300_799_999) for ms in (one, other)]
    ordered = sorted([(moments[0], first, names[0]), (moments[1], second, names[1])])
    assert [name for _, _, name in ordered] == sorted(names)
    assert all(name[0].isdigit() and "/" not in name for name in names)


def test_a_batch_name_reads_as_its_time() -> None:
    """The name begins with the UTC time of its first record."""
    assert batch_name(1_700_000_000_123, "0a1b2c3d", 7, 12) == (
        "20231114T221320123Z-0a1b2c3d-000000000007-000000000012"
    )
    assert batch_name(0, "0a1b2c3d", 1, 1).startswith("19700101T000000000Z-")
    assert batch_name(-1, "0a1b2c3d", 1, 1).startswith("19691231T235959999Z-")
