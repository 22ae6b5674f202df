"""Reading many texts at once finds what reading each of them finds."""

from hypothesis import example, given
from hypothesis import strategies as st

from shipper.expression import Expression, Texts

SOURCES = [
    "a", "^a", "a$", "^$", r"\ba\b", r"\Ba", "[^b]*b", "a+|b", r"\s", "(?s)a.b", "(?i)A", "a|", r"\Aa", r"a\z",
    "(?-m:^a)",
    "a\\nb", r"[^a]+$", "é", ".", r"\W", "(?s).+", "a.*b", r"^\s*$", "[[:^alpha:]]a",
]  # fmt: skip
texts = st.lists(st.text("ab \né.\x00", max_size=8).map(str.encode) | st.binary(max_size=4), max_size=8)


@given(source=st.sampled_from(SOURCES), texts=texts)
@example(source=r"\ba\b", texts=[b"a", b"", b"a", b"\xc3", b"\xa9a"])
@example(source="[^b]*b", texts=[b"a", b"b"])
def test_texts_in_which_it_is_found_are_those_in_which_each_search_finds_it(source, texts):
    expression = Expression(source)
    each = [number for number, text in enumerate(texts) if expression.found_in(text)]
    assert expression.among(Texts.of(texts)) == each


@given(source=st.sampled_from(SOURCES), text=st.text("ab \né.", max_size=30).map(str.encode))
def test_spans_are_in_order_apart_not_empty_and_between_characters(source, text):
    end = 0
    for begin, stop in Expression(source).spans(text):
        assert end <= begin < stop <= len(text)
        text[begin:stop].decode()
        end = stop
