"""A build log of any size is found in an answer of either transport, wherever the answer is cut, and whatever it is."""

from __future__ import annotations

import base64
import contextlib
import gzip
import itertools
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.ignite.build_log import Malformed
from shipper.ignite.gateway.long_string import MOST_BESIDE, Base64, LongString
from shipper.ignite.long_field import LongField, LongMessage
from shipper.ignite.pb import ignite_compute_pb2 as pb

CUTS = st.lists(st.integers(0, 3000), max_size=20)
LOGS = st.binary(max_size=2000)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(at, len(data)) for at in cuts} | {0, len(data)})
    return [data[begin:end] for begin, end in itertools.pairwise(places)]


# ---- protobuf ----


def from_message(pieces: list[bytes]) -> tuple[bytes, dict[int, int], bool]:
    message, found, log = LongMessage(), LongField(1), b""
    for piece in pieces:
        for content in message.feed(piece):
            for part in found.feed(content):
                log += part
    return log, found.numbers, message.complete and found.complete


@given(LOGS, st.booleans(), st.binary(max_size=200), CUTS)
def test_a_field_of_bytes_comes_out_whole(log: bytes, packed: bool, more: bytes, cuts: list[int]) -> None:
    body = pb.GetBuildLogResponse(log=log, found=True).SerializeToString()
    body = b"\x1a" + bytes([len(more) & 0x7F]) + more[: len(more) & 0x7F] + body + b"\x25abcd\x29abcdefgh"
    if packed:
        body = gzip.compress(body)
    wire = struct.pack(">BI", packed, len(body)) + body
    assert from_message(pieces_of(wire, cuts)) == (log, {2: 1}, True)
    assert not from_message(pieces_of(wire[:-1], cuts))[2]


@given(st.binary(max_size=400), CUTS)
def test_bytes_of_any_kind_are_refused_or_read_and_nothing_else(data: bytes, cuts: list[int]) -> None:
    for wire in (data, struct.pack(">BI", 0, len(data)) + data, struct.pack(">BI", 1, len(data)) + data):
        with contextlib.suppress(Malformed):
            from_message(pieces_of(wire, cuts))


def test_what_is_unpacked_comes_in_pieces() -> None:
    body = gzip.compress(pb.GetBuildLogResponse(log=b"a" * 10_000_000).SerializeToString())
    message = LongMessage()
    sizes = [len(content) for content in message.feed(struct.pack(">BI", 1, len(body)) + body)]
    assert max(sizes) <= 256 * 1024
    assert sum(sizes) > 10_000_000
    assert message.complete


# ---- JSON ----

BESIDE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["log", '"log":"', "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def from_json(pieces: list[bytes]) -> tuple[bytes, Any]:
    string, decoder, log = LongString(b"log"), Base64(), b""
    for piece in pieces:
        for part in string.feed(piece):
            log += decoder.feed(part)
    return log + decoder.finish(), json.loads(bytes(string.beside))


def spelled(log: bytes, how: int) -> str:
    text = base64.b64encode(log).decode()
    match how:
        case 1:
            return text.replace("/", "\\/").replace("=", "\\u003d").replace("+", "\\u002B")
        case 2:
            return text.replace("/", "_").replace("+", "-").rstrip("=")
        case 3:
            return "\\r\\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    return text


@given(LOGS, st.integers(0, 3), st.booleans(), BESIDE.filter(lambda value: "log" not in str(value)), CUTS)
def test_a_string_comes_out_whole_and_the_rest_stays_json(
    log: bytes, how: int, wrapped: bool, more: Any, cuts: list[int]
) -> None:
    text = f'{{"more": {json.dumps(more)}, "log" :\n "{spelled(log, how)}", "found": true}}'
    if wrapped:
        text = f'{{"data": {text}, "status": "success"}}'
    read, beside = from_json(pieces_of(text.encode(), cuts))
    inner = {"more": more, "log": "", "found": True}
    assert read == log
    assert beside == ({"data": inner, "status": "success"} if wrapped else inner)


@given(BESIDE, CUTS)
def test_an_answer_without_a_log_stays_as_it_is(value: Any, cuts: list[int]) -> None:
    value = {"found": False, "log": None, "text": value} if not isinstance(value, dict) else {"found": value}
    text = json.dumps(value, ensure_ascii=False).encode()
    assert from_json(pieces_of(text, cuts)) == (b"", value)


@given(st.binary(max_size=400) | st.text('{}[]",:\\log\n a=', max_size=200).map(str.encode), CUTS)
def test_text_of_any_kind_is_refused_or_read_and_nothing_else(data: bytes, cuts: list[int]) -> None:
    string, decoder = LongString(b"log"), Base64()
    try:
        for piece in pieces_of(data, cuts):
            for part in string.feed(piece):
                decoder.feed(part)
        decoder.finish()
    except Malformed:
        pass


@pytest.mark.parametrize(
    "text", ['{"log": "a"}', '{"log": "*"}', '{"log": "YQ==YQ=="}', '{"log": "\\u00e9"}']
)
def test_a_log_that_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        from_json([text.encode()])


def test_what_stands_beside_a_log_is_bounded() -> None:
    with pytest.raises(Malformed, match="more than 65536 bytes"):
        LongString(b"log").feed(b'{"a": "' + b"x" * MOST_BESIDE)


def test_the_documented_example_is_the_first_step_of_a_build() -> None:
    text = '{ "log": "U3RlcCAxLzg6IEZST00gcHl0aG9uOjMuMTItc2xpbQo=", "found": true }'
    assert from_json([text.encode()]) == (b"Step 1/8: FROM python:3.12-slim\n", {"log": "", "found": True})
