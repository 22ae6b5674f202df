"""Redaction: doing it again changes nothing, whatever the patterns and the text; and nothing is found afterwards."""

import json
from collections import Counter

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.archive.codec import decode
from shipper.expression import Expression
from shipper.model import Kind
from shipper.transform.built_in import IN_ORDER, built_in
from shipper.transform.patterns import Pattern
from shipper.transform.redaction import Redaction
from tests.fakes.pipelines import logs, passed, pipeline

BUILT_IN = [built_in(name) for name in IN_ORDER]
PIECES = [
    "a@b.example", "4111 1111 1111 1111", "4111111111111111", "10.0.0.1", "::1", "bearer ", "Authorization: ",
    "Basic dXNlcjpwYXNz", "AKIAIOSFODNN7EXAMPLE", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.abc", "https://u:p@h/", "api_key=",
    "secret_access_key=", "0123456789", "[redacted:email]", "[redacted:x]", "[redacted:", "]", "[", '"', "\\", "{", "}",
    ":", ",", " ", "\n", "@", ".", "-", "é", "\\u0040", "\\n",
]  # fmt: skip
words = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join)
texts = words.map(lambda text: text.encode("utf-8", "replace")) | st.binary(max_size=12)
OWN = [
    "a",
    "[a-z]+",
    r"\S+",
    "^x",
    "x$",
    r"\]",
    r"\[",
    "redacted",
    ":",
    "[0-9]",
    r"\b1",
    "(?P<secret>1)1",
    "(?s).+",
    "é",
    r"\\",
    '"',
]
sources = st.lists(st.sampled_from(OWN), max_size=3, unique=True)
leaves = words | st.integers() | st.booleans() | st.none() | st.just(4111111111111111)
objects = st.dictionaries(
    words,
    st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
    ),
    max_size=4,
)


def redaction_of(own, built_ins=True):
    made = [Pattern.of(f"own_{number}", source) for number, source in enumerate(own)]
    return Redaction([*made, *(BUILT_IN if built_ins or not made else ())])


@settings(deadline=None)
@given(text=texts, own=sources)
@example(text=b"12x34", own=["^[0-9]+$", "x"])
@example(text=rb'{"a":"\u0040","b":"[redacted:email]"}', own=[":"])
def test_redacting_again_changes_nothing_and_counts_nothing(text, own):
    redaction = redaction_of(own)
    once = redaction.line(text, Counter())
    again = Counter()
    assert redaction.line(once, again) == once
    assert again.total() == 0


@settings(deadline=None)
@given(text=texts, own=sources)
def test_what_does_not_change_has_nothing_and_is_not_counted(text, own):
    redaction = redaction_of(own)
    counts = Counter()
    clean = redaction.line(text, counts)
    assert (clean == text) == (counts.total() == 0)
    if clean == text and b"[redacted:" not in text:
        for source in own:
            assert not [*Expression(source).spans(text)]


@settings(deadline=None)
@given(many=st.lists(texts, max_size=6), own=sources)
def test_many_texts_at_a_time_come_out_as_one_by_one(many, own):
    redaction = redaction_of(own)
    counts, each = Counter(), Counter()
    together = redaction.texts(many, counts)
    alone = {number: redaction.text(text, each) for number, text in enumerate(many)}
    assert together == {number: text for number, text in alone.items() if text != many[number]}
    assert +counts == +each


@settings(deadline=None)
@given(data=objects, ascii_only=st.booleans())
def test_object_stays_an_object_and_no_string_of_it_has_a_secret(data, ascii_only):
    """However it is escaped: what comes out is an object in which the built-in patterns find nothing."""
    line = json.dumps(data, ensure_ascii=ascii_only).encode("utf-8", "replace")
    redaction = redaction_of(())
    clean = redaction.line(line, Counter())
    value = orjson.loads(clean)
    assert isinstance(value, dict)
    if clean != line or b"\\" in line:
        assert redaction.value(value, Counter()) is value


EVERYTHING = pipeline(redact=[{"patterns": list(IN_ORDER)}])


@settings(deadline=None)
@given(lines=st.lists(texts.filter(lambda text: b"\n" not in text), max_size=6))
def test_lines_are_redacted_on_their_way_as_they_are_by_themselves(lines):
    entries, ending = passed(EVERYTHING, logs(lines), Kind.LOGS)
    counts = Counter()
    clean = [redaction_of(()).line(line, counts) for line in lines]
    assert [_bytes(record["line"]) for record in decode(EVERYTHING.encode(entries))] == clean
    assert ending.redacted == +counts


def _bytes(line):
    return line if isinstance(line, bytes) else line.encode()
