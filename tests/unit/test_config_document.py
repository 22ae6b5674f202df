"""From YAML text to plain data with places: what is kept, what is refused, and where it is said to be."""

import pytest

from shipper.config.document import Place, read_document

ENVIRON = {"NAME": "value", "TRICKY": "a: b\n- c # ${NAME}"}


def places(document):
    """(line, column, message) of what was found."""
    return [
        (place.line, place.column, finding.message)
        for finding in document.findings
        for place in [finding.place or document.place_of(finding.path)]
    ]


def test_scalars_stay_text_whatever_yaml_would_make_of_them():
    document = read_document(
        "a: no\nb: 0o17\nc: 1_000\nd: 2024-01-01\ne: 12:30\nf: 1.0\ng: 'null'\nh: =\n", {}
    )
    assert document.data == {
        "a": "no", "b": "0o17", "c": "1_000", "d": "2024-01-01", "e": "12:30", "f": "1.0", "g": "null", "h": "=",
    }  # fmt: skip
    assert document.findings == []


def test_null_is_null_however_it_is_written():
    assert read_document("a:\nb: null\nc: ~\nd: [~]\n", {}).data == {
        "a": None,
        "b": None,
        "c": None,
        "d": [None],
    }


def test_keys_stay_text_too():
    assert read_document("on: a\n5: b\n", {}).data == {"on": "a", "5": "b"}


def test_every_key_and_value_has_its_place():
    document = read_document("a:\n  b: [x, y]\n", {})
    assert document.place_of(("a", "b")) == Place(2, 6)
    assert document.place_of(("a", "b"), at_key=True) == Place(2, 3)
    assert document.place_of(("a", "b", 1)) == Place(2, 10)


def test_what_is_not_written_is_at_the_key_of_the_section_around_it():
    document = read_document("a:\n  b: {c: d}\n", {})
    assert document.place_of(("a", "b", "missing")) == Place(2, 3)
    assert document.place_of(("missing",)) == Place(1, 1)


def test_interpolated_value_is_never_read_as_yaml():
    assert read_document('a: ${TRICKY}\nb: ["${TRICKY}"]\n', ENVIRON).data == {
        "a": ENVIRON["TRICKY"],
        "b": [ENVIRON["TRICKY"]],
    }


def test_keys_are_not_interpolated():
    assert read_document("${NAME}: a\n", ENVIRON).data == {"${NAME}": "a"}


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: ${NONE}\n", 1, 4),
        ("a: x-${NONE}\n", 1, 6),
        ("a: '$$ ${NAME} ${NONE}'\n", 1, 16),
        ("a: |\n  one\n  two ${NONE}\n", 3, 7),
        ('a: "\\u0024 x ${NONE}"\n', 1, 14),
        ('a: "\\u0024{NONE}"\n', 1, 4),
        ("a:\n  - b\n  - ${NONE}\n", 3, 5),
    ],
)
def test_missing_variable_is_reported_where_the_reference_stands(text, line, column):
    [found] = places(read_document(text, ENVIRON))
    assert found == (line, column, "the environment has no NONE; set it, or write ${NONE:-default}")


def test_all_missing_variables_are_reported():
    assert [(line, column) for line, column, _ in places(read_document("a: ${X}${Y}\nb: ${Z}\n", {}))] == [
        (1, 4),
        (1, 8),
        (2, 4),
    ]


def test_key_that_is_written_twice_is_an_error_that_names_the_first():
    document = read_document("a: 1\nb:\n  c: 2\n  c: 3\na: 4\n", {})
    assert places(document) == [
        (4, 3, "this key stands here twice; it was set in line 3 already"),
        (5, 1, "this key stands here twice; it was set in line 1 already"),
    ]
    assert document.data == {"a": "1", "b": {"c": "2"}}


def test_aliases_and_merges_are_followed_and_keys_of_their_own_win():
    document = read_document("a: &x {p: 1, q: 2}\nb: &y {<<: *x, q: 3}\nc: {<<: [*y, *x], r: *x}\n", {})
    assert document.data == {
        "a": {"p": "1", "q": "2"},
        "b": {"p": "1", "q": "3"},
        "c": {"p": "1", "q": "3", "r": {"p": "1", "q": "2"}},
    }
    assert document.findings == []


def test_merge_of_something_else_is_an_error():
    [(line, column, message)] = places(read_document("a:\n  <<: text\n", {}))
    assert (line, column) == (2, 7)
    assert "'<<' merges a mapping" in message


@pytest.mark.parametrize("text", ["a: &x [*x]\n", "a: &x {b: *x}\n", "a: &x\n  <<: *x\n"])
def test_alias_of_itself_is_an_error_and_no_endless_loop(text):
    document = read_document(text, {})
    assert document.data is None
    assert "too deeply nested" in document.findings[-1].message


def test_aliases_that_multiply_are_stopped():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    document = read_document(bomb, {})
    assert document.data is None
    assert "too large" in document.findings[-1].message


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n"])
def test_empty_file_is_an_error(text):
    [(_, _, message)] = places(read_document(text, {}))
    assert "begins with a section such as 'ignite:'" in message


@pytest.mark.parametrize("text", ["just a text\n", "- a\n- b\n", "5\n"])
def test_file_without_sections_is_an_error(text):
    [(_, _, message)] = places(read_document(text, {}))
    assert "is not a mapping of sections" in message


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("a: 1\n---\nb: 2\n", 2, 1, "there is a second document"),
        ("a:\n\tb: 1\n", 2, 1, "a tab cannot indent YAML"),
        ("a: b: c\n", 1, 5, "': ' is not expected here"),
        ("a: @x\n", 1, 4, "put the value in quotes"),
        ("a: [1, 2\nb: 3\n", 2, 2, "is not closed"),
        ("a: 'x\n", 2, 1, "a quote is opened and not closed"),
        ("a: 1\n b: 2\n", 2, 3, "': ' is not expected here"),
        ("a:\n  b: 1\n c: 2\n", 3, 2, "the indentation does not fit"),
        ("a: {b: ${X}}\n", 1, 9, "put ${NAME} in quotes"),
        ("a: *nothing\n", 1, 4, "has no anchor"),
        ("a: \x01\n", 1, 4, "a character that YAML does not allow"),
        ('a: "\\q"\n', 1, 6, "an unknown escape"),
        ('a: "\\Uffffffff"\n', 1, 1, "an escape that is no character"),
    ],
)
def test_what_is_no_yaml_is_explained_in_plain_words(text, line, column, message):
    [found] = places(read_document(text, {}))
    assert found[:2] == (line, column)
    assert message in found[2]


def test_nesting_beyond_all_reason_is_an_error():
    [(_, _, message)] = places(read_document("a: " + "[" * 5000, {}))
    assert "too deeply nested" in message


@pytest.mark.parametrize(
    "secret", ["*hunter22", "!hunter22", "!!hunter22", "!h!hunter22", "&x *hunter22", "%hunter22"]
)
def test_secret_that_yaml_misunderstands_is_not_repeated(secret):
    document = read_document(f"a: {secret}\n", {})
    assert document.findings
    assert all("hunter22" not in finding.message for finding in document.findings)


@pytest.mark.parametrize("text", ["a: !foo b\n", "a: !!binary aGk=\n", "a: !!set {b}\n", "a: !foo [b]\n"])
def test_tags_are_refused(text):
    [(line, _, message)] = places(read_document(text, {}))
    assert line == 1
    assert "has a YAML tag" in message


def test_key_that_is_no_word_is_an_error():
    [(line, column, message)] = places(read_document("a:\n  ? [b]\n  : c\n", {}))
    assert (line, column, message) == (2, 5, "a key must be a plain word")


def test_dollar_name_is_a_warning_because_other_programs_would_expand_it():
    [(line, column, message)] = places(read_document("a: $NAME\n", ENVIRON))
    assert (line, column) == (1, 4)
    assert "write ${NAME} to read the environment" in message
