"""Expressions of users: what is found, what is refused and where, and that none can run away."""

import subprocess
import sys
import time

import pytest

from shipper.expression import MAX_LENGTH, BadExpression, Expression, Texts


def spans(source, text, **bounds):
    return [text[begin:end] for begin, end in Expression(source).spans(text, **bounds)]


def test_it_is_found_anywhere_in_a_text():
    assert Expression("fail(ed|ure)").found_in("the job failed twice")
    assert Expression("fail(ed|ure)").found_in(b"\xff failure \xff")
    assert not Expression("fail(ed|ure)").found_in("the job passed")


def test_upper_and_lower_case_differ_unless_the_expression_says_otherwise():
    assert not Expression("error").found_in("ERROR")
    assert Expression("(?i)error").found_in("ERROR")


def test_ends_are_those_of_each_line():
    assert Expression("^Caused by").found_in("a\nCaused by: b")
    assert Expression("first$").found_in("first\nsecond")


def test_characters_are_characters_and_not_bytes():
    assert Expression("^.{4}$").found_in("größ")
    assert spans("ö", "größö".encode()) == ["ö".encode()] * 2


def test_named_group_is_what_is_meant_of_a_match():
    assert spans(r"password=(?P<secret>\S+)", b"password=hunter2 password=x") == [b"hunter2", b"x"]


def test_matches_of_nothing_are_none():
    assert spans("a*", b"baab") == [b"aa"]
    assert spans("(?P<secret>a*)b", b"bab") == [b"a"]


@pytest.mark.parametrize("source", ["", "a*", "^", r"\b", "a?", "(x|)", r"\B", "$"])
def test_expression_that_is_found_where_nothing_is_is_known(source):
    assert Expression(source).can_be_empty()
    assert not Expression(f"(?:{source})x").can_be_empty()


@pytest.mark.parametrize(
    ("source", "text", "captured"),
    [
        ("level=(?P<level>[a-z]+)", "a level=warn b", "warn"),
        ("<([A-Z]+)>", "<INFO>", "INFO"),
        ("[A-Z]+", "a WARN b", "WARN"),
        ("(a)?b", "b", None),
        ("x", "y", None),
        ("(ü)", "ü", "ü"),
    ],
)
def test_named_group_is_captured_or_else_the_first_or_else_all(source, text, captured):
    assert Expression(source).capture(text, "level") == captured


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("(abc", "has a parenthesis without its counterpart (character 1)"),
        ("[(]a(b", "has a parenthesis without its counterpart (character 5)"),
        ("a)(b", "has a parenthesis without its counterpart (character 2)"),
        ("ab[c", "has a [ without its ] (character 3)"),
        ("*a", "has a repetition with nothing before it; write \\ before it if it is meant (character 1)"),
        ("a**", "has a repetition of a repetition; put the first in (?:...) (character 2)"),
        ("a{1001}",
         "has a repetition that is not possible: at most {1000} in all, the smaller number first (character 2)"),
        (r"x\h", "has an escape that is not known here (character 2)"),
        ("[z-a]", "has a range or class that does not exist (character 2)"),
        ("a\\", "has a backslash that escapes nothing (character 2)"),
        ("(?P<a-b>x)", "has a name of a group that is not made of letters, digits and _ (character 1)"),
        (r"a\C", "has \\C, a byte, which could cut a character in two; write . for a character (character 2)"),
        ("a++", "has a possessive repetition; leave the + out, as nothing is tried twice here (character 2)"),
        ("(?>a)", "has an atomic group (?>...); write (?:...), as nothing is tried twice here (character 1)"),
        (r"a\Z", r"has \Z, which is written \z here (character 2)"),
        ("(?x) a", "has a flag that is not known here; there are i, m, s and U, as in (?i) (character 1)"),
        ("\ud800", "has a character that is not Unicode (a lone surrogate)"),
        ("a" * (MAX_LENGTH + 1), "is longer than 4096 characters"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(source, message):
    with pytest.raises(BadExpression) as caught:
        Expression(source)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (r"foo(?=bar)", "looks ahead"),
        (r"foo(?!bar)", "looks ahead"),
        (r"(?<=foo)bar", "looks behind"),
        (r"(?<!foo)bar", "looks behind"),
        (r"(a)\1", "refers back to a group"),
        (r"(?P<n>a)(?P=n)", "refers back to a group"),
        (r"(a)?(?(1)b|c)", "depends on another group"),
    ],
)
def test_construct_that_would_need_trying_is_refused_and_explained(source, what):
    with pytest.raises(BadExpression) as caught:
        Expression(source)
    assert str(caught.value).startswith(
        f"{what}, which is not supported: an expression takes time in proportion"
    )


def test_escaped_construct_is_none():
    assert Expression(r"\(?=[(?=]").found_in("==")
    with pytest.raises(BadExpression, match=r"looks ahead.*\(character 9\)"):
        Expression(r"\(?=[(?](?=x)")


CATASTROPHIC = [
    r"(a+)+$",
    r"(a|a)*$",
    r"(a|aa)+$",
    r"^(([a-z])+.)+[A-Z]([a-z])+$",
    r"(.*a){20}b",
    r"(x+x+)+y",
]


@pytest.mark.parametrize("source", CATASTROPHIC)
def test_expression_that_runs_away_elsewhere_takes_its_time_in_proportion(source):
    """The standard library's engine needs longer than the test run lasts for forty letters of these."""
    text = b"a" * 500_000 + b"!" if "x" not in source else b"x" * 500_000 + b"!"
    began = time.process_time()
    Expression(source).found_in(text)
    list(Expression(source).spans(text[:50_000]))
    assert time.process_time() - began < 10


def test_finding_all_matches_is_bounded_where_each_would_read_the_rest_again():
    """`x[^y]*y|x` finds every x by itself after looking for a y to the end of the text."""
    text = b"x" * 3_000_000
    began = time.process_time()
    found = list(Expression("x[^y]*y|x").spans(text))
    assert time.process_time() - began < 20
    assert found[-1][1] == len(text)
    assert len(found) <= 8 << 10


def test_match_across_the_pieces_of_a_long_text_is_found():
    text = b"-" * 65_530 + b"secret-0123456789" + b"-" * 200_000 + b"secret-1"
    assert spans("secret-[0-9]+", text) == [b"secret-0123456789", b"secret-1"]


def test_match_longer_than_a_piece_goes_on():
    text = b"-" * 100 + b"x" * 200_000 + b"-"
    assert b"".join(spans("x+", text)) == b"x" * 200_000


def test_texts_of_several_lines_are_read_one_by_one():
    texts = Texts.of([b"a", b"b\na", b"", b"c\nd", b"xa"])
    assert Expression("a").among(texts) == [0, 1, 4]
    assert Expression("b\na|d").among(texts) == [1, 3]
    assert Expression("^$").among(texts) == [2]
    assert [texts.have(literal) for literal in (b"xa", b"d", b"b\na", b"nothing")] == [
        True,
        True,
        True,
        False,
    ]


def test_nothing_is_found_among_no_texts():
    assert Expression("").among(Texts.of([])) == []


def test_engine_is_loaded_with_the_first_expression_and_not_before():
    code = (
        "import sys, shipper.expression as e, shipper.config.load, shipper.transform.building\n"
        "assert 're2' not in sys.modules\n"
        "e.Expression('a')\n"
        "assert 're2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
