"""Whatever a line holds, reading it raises nothing and says only what has the promised form."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.config.reading import ReadSettings
from shipper.entry import Entry, Level
from shipper.transform.fields import USUAL
from shipper.transform.reading import Reader
from tests.log_entries import entry_of

NAMES: Final = sorted(
    {part for names in USUAL.values() for name, _ in names for part in (name, name.split(".")[0])}
)
HEX: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
WORDS: Final = st.sampled_from(
    [
        *(
            "error",
            "[WARN]",
            "level=",
            "E1124 10:00:00",
            "\x1b[31m",
            "<3>",
            "10:00:00",
            "{",
            '"',
            "\ud800",
            " ",
        ),
        *("trace_id=", "dd.span_id=", HEX, HEX[:16], "traceparent: 00-", "-01", "execution_id:"),
    ]
)
TEXTS: Final = st.lists(WORDS | st.text(max_size=5), max_size=12).map("".join)
KEYS: Final = st.sampled_from(NAMES) | st.text(max_size=5)
VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=40)
    | st.sampled_from(["error", "a\nb", HEX, "Error: x\n    at f (/a.js:1:1)"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS: Final = st.dictionaries(KEYS, VALUES, max_size=8)
READER: Final = Reader.of([ReadSettings.model_validate({"level": "auto"})])


def check(entry: Entry) -> None:
    assert entry.level is None or isinstance(entry.level, Level)
    assert entry.trace_id is None or re.fullmatch(r"(?!0{32})[0-9a-f]{32}", entry.trace_id)
    assert entry.span_id is None or re.fullmatch(r"(?!0{16})[0-9a-f]{16}", entry.span_id)
    assert entry.execution_id is None or re.fullmatch(r"\S{1,128}", entry.execution_id)
    assert entry.failure is None or entry.failure.frames


@given(text=TEXTS | st.text())
@example("")
@example("{")
@settings(max_examples=300, deadline=None)
def test_any_text_can_be_read(text: str) -> None:
    entry = entry_of(text)
    READER.read("shop", entry)
    assert entry.text == entry.record["line"] == text
    check(entry)


@given(fields=OBJECTS)
@settings(max_examples=300, deadline=None)
def test_any_object_can_be_read(fields: dict[str, Any]) -> None:
    text = orjson.dumps(fields).decode("utf-8")
    entry = entry_of(text)
    READER.read("shop", entry)
    assert entry.fields == orjson.loads(text)
    assert entry.text == text
    check(entry)


@given(fields=OBJECTS)
@settings(max_examples=100, deadline=None)
def test_what_was_read_before_does_not_matter(fields: dict[str, Any]) -> None:
    text = orjson.dumps(fields).decode("utf-8")
    first, again = entry_of(text), entry_of(text)
    READER.read("shop", first)
    Reader.of([ReadSettings.model_validate({"level": "auto"})]).read("shop", again)
    assert first == again
