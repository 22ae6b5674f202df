"""Configurations that nobody would write by hand: nothing raises, nothing leaks, every text comes out as it went in."""

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shipper.config.interpolation import expand
from shipper.config.load import inspect
from shipper.config.report import problem_lines
from shipper.config.schema import all_sections
from shipper.config.settings import Settings
from shipper.config.units import format_duration, format_size, parse_duration, parse_size
from shipper.errors import Problem, Severity

KEYS = sorted(
    {key for section in all_sections(Settings) for key in section.model_fields} | {"routes", "archive", "<<"}
)
KINDS = ["s3", "directory", "stdout", "datadog", "token", "none", "client_credentials"]
VALUES = ["5s", "64MiB", "true", "null", "grpcs://h", "grpc://u:p@h", "https://h", "[::1]:1", "*", "!x", "&a"]
WORDS = [*KINDS, *VALUES, "${X}", "${file:/etc/hostname}", "$$"]

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(max_size=12)
)
keys = st.sampled_from(KEYS) | st.text(max_size=8)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=25,
)
documents = st.dictionaries(st.sampled_from(sorted(Settings.model_fields)) | keys, trees, max_size=6)

# Without control characters and surrounding spaces: what a setting of text accepts.
texts = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=30
).filter(lambda text: text == text.strip())

MARK = "Zq7x"
secrets = st.text(st.sampled_from("ab1:#$.{}[]'\"*!&%@,-? =\\ü"), max_size=10).map(
    lambda text: f"{MARK}{text}{MARK}"
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("config") / "shipper.yaml"


def write(file: Path, text: str) -> Path:
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    return file


def check_consistent(result):
    found, problems = result
    assert (found is None) == any(problem.severity is Severity.ERROR for problem in problems)
    assert all(isinstance(problem, Problem) and problem.message for problem in problems)
    for line in problem_lines(problems, excerpts=True):
        line.encode("utf-8")
        assert "\n" not in line


@settings(max_examples=300, deadline=None)
@given(documents, st.sampled_from([None, False, True]))
@example({"ignite": {"auth": {"type": "token", "token": "\ud800"}}, "log": {"level": "\ud800"}}, None)
@example({"sinks": {"a": {"type": "\ud800"}, "\x00": {"type": "s3"}}}, None)
def test_no_mapping_makes_inspect_raise(file, data, flow):
    try:
        text = yaml.safe_dump(data, default_flow_style=flow)
    except (UnicodeEncodeError, yaml.YAMLError):
        text = repr(data)
    check_consistent(inspect(write(file, text), {"X": "1"}))


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters() | st.sampled_from("\n :-{}[]#&*!|>'\"%@`$"), max_size=80))
def test_no_text_makes_inspect_raise(file, text):
    check_consistent(inspect(write(file, text), {}))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_no_damage_to_a_good_file_makes_inspect_raise(file, data):
    text = (Path(__file__).parents[2] / "config" / "full.yaml").read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 40)))
        text = (
            text[:start]
            + data.draw(st.text(st.sampled_from("\n\t :-{}[]#&*!|>'\"%@`$ax"), max_size=5))
            + text[end:]
        )
    check_consistent(inspect(write(file, text), {}))


def test_a_tag_on_the_whole_file_is_a_problem_like_any_other(file):
    settings, problems = inspect(write(file, "!tag\nignite: {}\n"), {})
    assert settings is None
    assert "tag" in str(problems[0])


def with_secrets(secret):
    """Two configurations with the same secret wherever a secret can stand."""
    s3 = {
        "type": "s3",
        "bucket": "b",
        "access_key_id": secret,
        "secret_access_key": secret,
        "session_token": secret,
    }
    static = {"type": "token", "token": secret}
    grant = {
        "type": "client_credentials",
        "token_url": "https://h",
        "client_id": "i",
        "client_secret": secret,
    }
    for auth in (static, grant):
        ignite = {"endpoint": "grpcs://h", "organization": "o", "auth": auth, "headers": {"x-key": secret}}
        yield {"ignite": ignite, "sinks": {"a": dict(s3), "o": {"type": "stdout"}}, "log": {"level": "info"}}


def damage(data, tree):
    """Change one place of the tree: drop it, misspell its key, or put something of another kind there."""
    at = tree
    key = data.draw(st.sampled_from(sorted(at)))
    while isinstance(at[key], dict) and at[key] and data.draw(st.booleans()):
        at = at[key]
        key = data.draw(st.sampled_from(sorted(at)))
    value = at.pop(key)
    match data.draw(st.sampled_from(["drop", "misspell", "wrap", "list", "word", "keep"])):
        case "misspell":
            at[key + data.draw(st.sampled_from("sx_:= "))] = value
        case "wrap":
            at[key] = {"inner": value}
        case "list":
            at[key] = [value]
        case "word":
            at[key] = data.draw(st.sampled_from(WORDS))
        case "keep":
            at[key] = value


@settings(max_examples=300, deadline=None)
@given(secrets, st.data())
def test_secrets_are_in_no_problem_whatever_is_wrong(file, secret, data):
    tree = data.draw(st.sampled_from(list(with_secrets(secret))))
    for _ in range(data.draw(st.integers(0, 3))):
        if tree:
            damage(data, tree)
    style = data.draw(st.sampled_from([None, "'", '"', "|", ">"]))
    width = data.draw(st.sampled_from([20, 80, 1000]))
    flow = data.draw(st.sampled_from([None, False, True]))
    text = yaml.safe_dump(tree, default_flow_style=flow, default_style=style, width=width, allow_unicode=True)
    found, problems = inspect(write(file, text), {"X": "1"})
    shown = [*problem_lines(problems, excerpts=True), repr(problems)]
    if found is not None:
        shown += [
            repr(found),
            str(found),
            found.model_dump_json(),
            repr(found.model_dump()),
            str(vars(found)),
        ]
    assert MARK not in "\n".join(shown)


@settings(max_examples=200, deadline=None)
@given(texts, st.sampled_from(["file", "literal", "environment"]), st.sampled_from([None, "'", '"']))
def test_every_text_comes_out_as_it_went_in(file, text, way, style):
    written, environ = text.replace("$", "$$"), {}
    if way == "environment":
        written, environ = "${NAME}", {"NAME": text}
    if way == "file":
        (file.parent / "name").write_text(text, encoding="utf-8")
        written = f"${{file:{file.parent}/name}}"
    tree = {
        "ignite": {
            "endpoint": "grpcs://h",
            "organization": written,
            "auth": {"type": "token", "token": written},
        },
        "sinks": {"o": {"type": "stdout"}},
    }
    found, problems = inspect(
        write(file, yaml.safe_dump(tree, default_style=style, allow_unicode=True)), environ
    )
    if text.lower().startswith("bearer "):
        return
    assert found is not None, problems
    assert found.ignite.organization == text
    assert found.ignite.auth.token.reveal() == text


@given(st.text(st.sampled_from("$${}AB:-x"), max_size=20))
def test_doubling_the_dollar_signs_makes_any_text_literal(text):
    assert expand(text.replace("$", "$$"), {}).text == text


@given(st.integers(0, 10**12))
def test_whole_milliseconds_survive_being_written(milliseconds):
    seconds = milliseconds / 1000
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.floats(0, 10**6))
def test_any_duration_survives_being_written_to_a_nanosecond(seconds):
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


@given(st.integers(0, 2**60))
def test_any_size_survives_being_written(size):
    if len(format_size(size)) <= 15:
        assert parse_size(format_size(size)) == size
