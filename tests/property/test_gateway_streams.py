"""A stream gives the same messages however it is written and wherever it is cut."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.ignite.gateway.envelope import unwrap_all
from shipper.ignite.gateway.protojson import LogLines
from shipper.ignite.gateway.values import ValueReader
from tests.gateway_streams import PLAIN, WRAPPINGS, Message, cut

TRICKY = [
    "", "}{", '}{"', '},{"', "{", "}", "[", "]", '"', "\\", '\\"', "\n\ndata: ", "\r", ": ", ",", "data: {}", "☃\u2028",
    "]}", '{"a":[{"b":1},{"c":2}]}{"d":"}{\\\\"}', '","status":"error"}', "\x00\x1f", "<html>",
    '{"error":{"code":5}}',
]  # fmt: skip
texts = st.sampled_from(TRICKY) | st.text(max_size=5)
lines = st.builds(
    lambda time, stream, line: {
        "timestampMs": str(time), "replicaId": "pod", "stream": f"LOG_STREAM_STD{stream}", "line": line
    },
    st.integers(0, 2**62),
    st.sampled_from(["OUT", "ERR"]),
    texts,
)  # fmt: skip
values = (
    texts
    | st.sampled_from([None, True, 0, -1.5, 2**53, [], {}, [[{}]], {"a": [1, {"b": "]"}]}])
    | st.lists(texts, max_size=2)
    | st.dictionaries(texts, texts, max_size=2)
)
objects = st.dictionaries(texts, values, max_size=3)
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=3) | st.sampled_from([[1], [2], [1, 100], [10_000]])
forms = st.sampled_from(sorted(PLAIN))
wrappings = st.sampled_from(sorted(WRAPPINGS))


def read(body: bytes, pieces: list[int], content_type: str = "") -> tuple[list[Message], int, ValueReader]:
    """Everything that a body holds, read in pieces."""
    reader = ValueReader(content_type)
    items: list[Message] = []
    bad = 0
    for piece in cut(body, pieces):
        found = reader.feed(piece)
        items += found.items
        bad += found.bad
    return items + reader.end().items, bad, reader


@pytest.mark.parametrize("form", PLAIN)
@settings(max_examples=30)
@given(messages=st.lists(lines, min_size=1, max_size=6), pieces=sizes)
def test_a_stream_cut_anywhere_gives_its_messages(
    form: str, messages: list[Message], pieces: list[int]
) -> None:
    items, bad, reader = read(PLAIN[form](messages), pieces)
    assert list(unwrap_all(items).messages) == messages
    assert (bad, reader.broken, reader.incomplete) == (0, "", False)


@settings(max_examples=250)
@given(forms, st.lists(objects, min_size=1, max_size=4), sizes)
def test_objects_of_every_kind_come_as_they_are(
    form: str, messages: list[Message], pieces: list[int]
) -> None:
    items, bad, reader = read(PLAIN[form](messages), pieces)
    if "envelope" in form:
        items = items[: len(messages)]  # its own end comes after them
    assert items == messages
    assert (bad, reader.broken, reader.incomplete) == (0, "", False)


@settings(max_examples=250)
@given(wrappings, forms, st.lists(lines, min_size=1, max_size=5), sizes)
def test_what_is_wrapped_around_messages_is_taken_off(
    wrapping: str, form: str, messages: list[Message], pieces: list[int]
) -> None:
    items, bad, _ = read(PLAIN[form]([WRAPPINGS[wrapping](message) for message in messages]), pieces)
    unwrapped = unwrap_all(items)
    assert list(unwrapped.messages) == messages
    assert (unwrapped.failure, bad) == (None, 0)


@settings(max_examples=250)
@given(forms, st.lists(lines, min_size=1, max_size=5), sizes, st.floats(0, 0.999))
def test_a_stream_that_breaks_off_gives_its_first_messages_and_shows_that_it_is_not_whole(
    form: str, messages: list[Message], pieces: list[int], share: float
) -> None:
    body = PLAIN[form](messages).rstrip()
    items, bad, reader = read(body[: int(len(body) * share)], pieces)
    found = list(unwrap_all(items).messages)
    assert found == messages[: len(found)]
    assert (bad, reader.broken) == (0, "")
    if "array" in form and share > 0.1:
        assert reader.incomplete  # its bracket is missing: what ended it was no server


@settings(max_examples=150)
@given(st.lists(lines, max_size=6), st.booleans(), st.booleans(), st.booleans())
def test_log_lines_in_every_spelling_are_the_same_lines(
    messages: list[Message], snake: bool, numbers: bool, sparse: bool
) -> None:
    def spelled(message: Message) -> Message:
        out: dict[str, Any] = dict(message)
        if numbers:
            number = ["LOG_STREAM_UNSPECIFIED", "LOG_STREAM_STDOUT", "LOG_STREAM_STDERR"].index(out["stream"])
            out |= {"timestampMs": int(out["timestampMs"]), "stream": number}
        if sparse:
            out = {name: value for name, value in out.items() if value}
        if snake:
            others = {"timestampMs": "timestamp_ms", "replicaId": "replica_id"}
            out = {others.get(name, name): value for name, value in out.items()}
        return json.loads(json.dumps(out | {"unknownField": [1, {"a": None}]}))

    chunk = LogLines("pod").chunk([spelled(message) for message in messages])
    assert chunk.times == [int(message["timestampMs"]) for message in messages]
    assert chunk.streams == [message["stream"][-6:].lower() for message in messages]
    assert list(chunk.lines) == [message["line"] for message in messages]
    assert not chunk.undecodable
    assert not chunk.others
