"""References in values: what they become, that it stays text, and what is said where they lead nowhere."""

import os
from pathlib import Path

import pytest

from shipper.config.interpolation import MAX_FILE_SIZE, expand, looks_like_variable, token_offsets

ENVIRON = {"NAME": "value", "EMPTY": "", "TRICKY": "a: b # ${NAME} $$"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("${NAME}", "value"),
        ("a-${NAME}-b-${NAME}", "a-value-b-value"),
        ("${NAME:-default}", "value"),
        ("${NONE:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("${NONE:-a:-b}", "a:-b"),
        ("${NONE:-a$$b}", "a$b"),
        ("$${NAME}", "${NAME}"),
        ("$$${NAME}", "$value"),
        ("$NAME", "$NAME"),
        ("a$b", "a$b"),
        ("100$", "100$"),
        ("${TRICKY}", "a: b # ${NAME} $$"),
    ],
)
def test_references_are_replaced_once(text, expanded):
    result = expand(text, ENVIRON)
    assert (result.text, result.faults) == (expanded, ())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NONE}", "the environment has no NONE; set it, or write ${NONE:-default}"),
        ("${NAME", "'${' has no '}' after it"),
        ("${}", "holds no reference"),
        ("${1X}", "holds no reference"),
        ("${NAME-default}", "holds no reference"),
        ("${NAME:?oops}", "holds no reference"),
        ("${NONE:-${NAME}}", "a default cannot hold another ${...}"),
        ("${file:}", "names no file"),
        ("${file:/nowhere/at/all}", "there is no file '/nowhere/at/all'"),
        ("${file:/}", "is not a regular file"),
        ("${file:a\0b}", "a character that no path can have"),
    ],
)
def test_reference_that_leads_nowhere_is_explained(text, message):
    [fault] = expand(text, ENVIRON).faults
    assert message in fault.message


def test_every_fault_of_a_value_is_listed_with_its_token():
    result = expand("$$ ${NONE} ${NAME} ${OTHER}", ENVIRON)
    assert [fault.token for fault in result.faults] == [1, 3]


@pytest.mark.parametrize(
    ("content", "text"),
    [(b"secret\n", "secret"), (b"secret\r\n\r\n", "secret"), (b" a\nb ", " a\nb "), (b"", "")],
)
def test_file_loses_the_line_breaks_at_its_end_only(tmp_path, content, text):
    (tmp_path / "secret").write_bytes(content)
    result = expand(f"${{file:{tmp_path}/secret}}", {})
    assert (result.text, result.files) == (text, (f"{tmp_path}/secret",))


def test_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    [fault] = expand(f"${{file:{tmp_path}/secret}}", {}).faults
    assert "is not UTF-8 text" in fault.message


def test_file_that_is_too_large_is_refused(tmp_path):
    (tmp_path / "secret").write_bytes(b"x" * (MAX_FILE_SIZE + 1))
    [fault] = expand(f"${{file:{tmp_path}/secret}}", {}).faults
    assert "larger than 1MiB" in fault.message


def test_file_that_this_user_may_not_read_names_the_user(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    (tmp_path / "secret").write_text("x")
    monkeypatch.setattr(Path, "open", refuse)
    [fault] = expand(f"${{file:{tmp_path}/secret}}", {}).faults
    assert "cannot be read: Permission denied; give the user with the id" in fault.message


def test_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    [fault] = expand(f"${{file:{tmp_path}/pipe}}", {}).faults
    assert "is not a regular file" in fault.message


def test_what_a_password_holds_between_braces_is_not_repeated():
    [fault] = expand("pa${sw0rd!}x", {}).faults
    assert "sw0rd" not in fault.message


def test_value_is_literal_only_without_references():
    assert expand("a$$b", {}).literal
    assert not expand("${NAME}", ENVIRON).literal


def test_tokens_are_found_where_they_begin():
    assert token_offsets("a $$ ${B} ${C") == [2, 5, 10]


@pytest.mark.parametrize(
    ("text", "looks"), [("$NAME", True), ("$a_1", True), ("$NAME/x", False), ("$1", False), ("a", False)]
)
def test_bare_variable_is_recognised(text, looks):
    assert looks_like_variable(text) is looks
