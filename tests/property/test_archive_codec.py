"""Bytes: what went into the archive comes out of it, whatever it was."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.archive.codec import (
    LogIdentity,
    compress,
    decode,
    decompress,
    encode_event,
    encode_gap,
    encode_logs,
    log_bytes,
    recode,
)
from shipper.errors import ArchiveDamaged
from shipper.model import App, Codec, Gap, GapReason, Kind

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=()))
NASTY = st.lists(
    st.sampled_from(
        ['"', ",", '",', '","', "\\", "\n", "\r", "\x00", "\u2028", "\ud800", "\udfff", "é", "{}", "  ", "]"]
    )
).map("".join)
LINES = TEXT | NASTY | st.binary() | NASTY.map(lambda text: text.encode("utf-8", "surrogatepass"))
WHO = LogIdentity("acme", "checkout", "checkout-0", "c1", "n1")


def exact(line: str | bytes) -> bytes:
    return line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")


@given(st.lists(st.tuples(INT64, st.sampled_from(["stdout", "stderr", None]), LINES)))
@example([(0, "stdout", "")])
@example([(-1, None, '",'), (253_402_300_799_999, "stderr", '","')])
@example([(1, None, '{"line": "a", "line_base64": "b"}')])
@example([(1, None, b"\xff\xfe"), (2, None, "plain"), (3, None, "\ufffd")])
@example([(1, None, b"\xed\xa0\x80"), (2, None, "\ud800")])
@example([(1, None, "\u2028\u2029\x85\x0b\x0c\x1b[0m\x7f\r")])
@example([(2**63 - 1, None, "a"), (-(2**63), None, "b")])
def test_log_lines_come_out_as_they_went_in(records: list[tuple[int, str | None, str | bytes]]) -> None:
    """Times, streams and the exact bytes of every line survive, in order, one NDJSON line for each record."""
    times, streams, lines = ([record[index] for record in records] for index in range(3))
    encoded = encode_logs(WHO, times, streams, lines)
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in encoded)
    decoded = list(decode(b"".join(encoded)))
    assert [record["timestamp_ms"] for record in decoded] == times
    assert [record.get("stream") for record in decoded] == streams
    assert [log_bytes(record) for record in decoded] == [exact(line) for line in lines]


@given(st.lists(LINES))
def test_other_readers_see_the_text(lines: list[str | bytes]) -> None:
    """A plain JSON reader sees each line's text, with U+FFFD only where the bytes are not Unicode."""
    encoded = encode_logs(WHO, [1] * len(lines), [None] * len(lines), lines)
    for raw, line in zip(encoded, lines, strict=True):
        assert json.loads(raw)["line"] == exact(line).decode("utf-8", "replace")


def test_log_fields_have_the_order_of_the_contract() -> None:
    """Identity and stream come between time and line; what the platform did not send is left out."""
    (full,) = encode_logs(WHO, [5], ["stderr"], ["x"])
    assert full == (
        b'{"timestamp_ms":5,"organization":"acme","app":"checkout","replica_id":"checkout-0","cluster_id":"c1",'
        b'"node_name":"n1","stream":"stderr","line":"x"}\n'
    )
    (bare,) = encode_logs(LogIdentity("acme", "checkout", "r"), [5], [None], [b"\xff"])
    assert bare == (
        b'{"timestamp_ms":5,"organization":"acme","app":"checkout","replica_id":"r","line":"\xef\xbf\xbd",'
        b'"line_base64":"/w=="}\n'
    )


def test_a_line_of_ten_mebibytes_is_kept_whole() -> None:
    """Length is no reason to cut."""
    line = "0123456789abcdé\x00" * (10 * 1024 * 1024 // 16)
    (record,) = decode(encode_logs(WHO, [1], [None], [line])[0])
    assert record["line"] == line


def test_sequences_of_different_length_are_refused() -> None:
    """Lines never get another line's time."""
    with pytest.raises(ValueError, match="2 times"):
        encode_logs(WHO, [1, 2], [None], ["a"])
    assert encode_logs(WHO, [], [], []) == []


@given(INT64, TEXT, TEXT, TEXT, st.none() | st.integers(-(2**31), 2**31 - 1))
def test_events_and_gaps_are_json_whatever_the_text(
    ms: int, name: str, reason: str, detail: str, count: int | None
) -> None:
    """Names, reasons and details of any Unicode, lone surrogates included, make one JSON line each."""
    event = encode_event(
        App(name, name), timestamp_ms=ms, kind="OOM_KILLED", reason=reason, message=detail, count=count
    )
    gap = encode_gap(Gap(ms, App(name, name), "r", Kind.LOGS, ms, ms, GapReason.ROTATED, detail, count))
    for line in (event, gap):
        (record,) = decode(line)
        assert line.count(b"\n") == 1
        assert record["timestamp_ms"] == ms
        assert record["app"] == name.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    assert next(decode(event)).get("count") == count
    assert next(decode(gap))["lost"] == count


def test_event_and_gap_fields_are_those_of_the_contract() -> None:
    """Events leave out what was not sent; gaps always say everything, an unknown loss as null."""
    app = App("acme", "checkout")
    assert encode_event(
        app, timestamp_ms=1, replica_id="r", kind="OOM_KILLED", count=2, severity="warning"
    ) == (
        b'{"timestamp_ms":1,"organization":"acme","app":"checkout","replica_id":"r","kind":"OOM_KILLED",'
        b'"count":2,"severity":"warning"}\n'
    )
    assert next(decode(encode_event(app, timestamp_ms=1, kind=77))) == {
        "timestamp_ms": 1,
        "organization": "acme",
        "app": "checkout",
        "kind": 77,
    }
    assert encode_gap(Gap(9, app, "", Kind.LOGS, 1, 2, GapReason.BUFFER_FULL)) == (
        b'{"timestamp_ms":9,"organization":"acme","app":"checkout","replica_id":"","stream_kind":"logs","from_ms":1,'
        b'"to_ms":2,"reason":"buffer_full","detail":"","lost":null}\n'
    )


# ---- compression ----


@given(st.sampled_from(Codec), st.lists(st.binary(max_size=2000), max_size=5))
@example(Codec.ZSTD, [b"", b""])
@example(Codec.GZIP, [b"", b"x"])
def test_concatenated_frames_are_the_concatenated_content(codec: Codec, parts: list[bytes]) -> None:
    """Frames of one codec end to end unpack to their contents end to end, also of nothing."""
    assert decompress(codec, b"".join(compress(codec, part) for part in parts)) == b"".join(parts)


@given(st.sampled_from(Codec), st.sampled_from(Codec), st.binary(max_size=2000))
def test_recoding_keeps_the_content_and_repeats_itself(source: Codec, target: Codec, data: bytes) -> None:
    """Recoding is a pure function whose result unpacks to the same content."""
    frame = compress(source, data)
    result = recode(frame, source, target)
    assert decompress(target, result) == data
    assert recode(frame, source, target) == result == compress(target, data)


@given(st.sampled_from([Codec.ZSTD, Codec.GZIP]), st.binary(min_size=1, max_size=300), st.data())
@settings(max_examples=50)
def test_a_cut_frame_is_damage(codec: Codec, data: bytes, draw: st.DataObject) -> None:
    """A frame that ends early is never taken for a shorter one."""
    frame = compress(codec, data)
    cut = draw.draw(st.integers(1, len(frame) - 1))
    with pytest.raises(ArchiveDamaged):
        decompress(codec, frame + frame[:cut])


@pytest.mark.parametrize("codec", [Codec.ZSTD, Codec.GZIP])
def test_foreign_bytes_are_damage(codec: Codec) -> None:
    """Bytes of something else are refused with the codec's name."""
    with pytest.raises(ArchiveDamaged, match=codec.value):
        decompress(codec, b"this was never compressed, and is long enough for a header")


@pytest.mark.parametrize("codec", list(Codec))
def test_the_size_of_the_content_is_bounded(codec: Codec) -> None:
    """Content of exactly `max_size` passes, one byte more does not, however many frames it is spread over."""
    data = bytes(200_000)
    twice = compress(codec, data) * 2
    assert decompress(codec, twice, max_size=400_000) == data * 2
    with pytest.raises(ArchiveDamaged, match="larger"):
        decompress(codec, twice, max_size=399_999)


def test_a_bomb_without_a_declared_size_is_noticed_early() -> None:
    """64 MiB of zeros in a frame that does not say its size stop at the bound."""
    import zstandard

    bomb = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(64 * 1024 * 1024))
    with pytest.raises(ArchiveDamaged, match="larger"):
        decompress(Codec.ZSTD, bomb, max_size=1000)


@pytest.mark.parametrize("data", [b"{", b"[1]\n", b'{"a":1}\nnot json\n', b'{"line_base64":"*"}\n'])
def test_lines_that_are_not_records_are_damage(data: bytes) -> None:
    """Whatever is not one JSON object a line is named with its line number."""
    with pytest.raises(ArchiveDamaged, match=r"line \d"):
        list(decode(data))
