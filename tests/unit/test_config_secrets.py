"""A secret is shown to nobody but the one who asks for it by name."""

import copy
import json
import pickle

import pytest

from shipper.config.load import inspect, load
from shipper.config.report import problem_lines, summary
from shipper.config.secret import MASK, Secret, secrets_in

TEXT = """\
ignite:
  endpoint: grpcs://rpc.dodil.io
  organization: acme
  auth:
    type: client_credentials
    token_url: https://id.dodil.io/token
    client_id: me
    client_secret: hunter22-one
  headers: {X-Key: hunter22-two}
sinks:
  a:
    type: s3
    bucket: b
    access_key_id: hunter22-three
    secret_access_key: ${KEY}
    session_token: "${file:token}"
"""


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text("hunter22-five\n")
    (tmp_path / "shipper.yaml").write_text(TEXT)
    return load("shipper.yaml", {"KEY": "hunter22-four: # ${x}"})


def test_secret_is_revealed_only_on_request(settings):
    assert settings.ignite.auth.client_secret.reveal() == "hunter22-one"
    assert settings.ignite.headers["x-key"].reveal() == "hunter22-two"
    assert settings.sinks["a"].secret_access_key.reveal() == "hunter22-four: # ${x}"


def test_every_secret_of_the_settings_can_be_listed_for_a_redacting_log(settings):
    assert sorted(secret[9:13] for secret in secrets_in(settings)) == ["five", "four", "one", "thre", "two"]


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        lambda settings: f"{settings} {settings.ignite.auth.client_secret:>5}",
        lambda settings: settings.model_dump_json(),
        lambda settings: repr(settings.model_dump()),
        lambda settings: json.dumps(settings.model_dump(mode="json")),
        lambda settings: repr(vars(settings.ignite)),
        lambda settings: repr(copy.deepcopy(settings)),
        lambda settings: "\n".join(summary(settings)),
    ],
)
def test_no_way_of_printing_settings_shows_a_secret(settings, show):
    assert "hunter22" not in show(settings)


def test_secret_is_not_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(Secret("hunter22"))


def test_secrets_compare_by_value_and_look_alike():
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"
    assert repr(Secret("a")) == repr(Secret("bb"))
    assert str(Secret("a")) == MASK


@pytest.mark.parametrize(
    "line",
    [
        "  auth: {type: token, token: hunter22, typo: hunter22}",
        "  auth: {type: tokn, token: hunter22}",
        "  auth: {type: token, token: hunter22, token: hunter22}",
        "  auth:\n    type: token\n    token: x\n    token: hunter22",
        "  auth: {type: none}\nsinks:\n  a:\n    type: s3\n    session_token: x\n    session_token: hunter22",
        "  auth: {type: token, token: 'Bearer hunter22'}",
        "  auth: {type: token, token: [hunter22]}",
        "  auth: {type: token, token: {hunter22: hunter22}}",
        '  auth: {type: token, token: "hunter22\\n"}',
        "  auth: {type: token, token: ' hunter22'}",
        "  auth: {type: token, tokn: hunter22}",
        "  auth: {type: token, token: 'a${hunter22!}b'}",
        "  auth: {type: token, token: 'a${hunter22'}",
        "  auth: {type: token, token: *hunter22}",
        "  auth: {type: token, token: !hunter22 x}",
        "  auth: hunter22",
        "  auth: [hunter22]",
        "  auth:\n    type: token\n    token:hunter22",
        "  auth:\n    type: token\n    token:hunter22: x",
        "  auth:\n    type: token\n    token=hunter22: x",
        "  auth:\n    type: token\n    token: hunter22\n   oops: 1",
        "  auth: {type: none}\n  headers: {te: hunter22}",
        "  auth: {type: none}\n  headers: {x: hunter22ü}",
        "  auth: {type: none}\n  headers: hunter22",
        "  auth: {type: none}\n  endpoint: https://user:hunter22@host",
        "  auth: {type: none}\n  endpoint: grpcs://hunter22@host",
        "  auth: {type: client_credentials, token_url: 'https://a:hunter22@b/#x', client_id: 1, client_secret: x}",
        "  auth: {type: none}\nsinks: {a: {type: s3, bucket: b, secret_access_key: hunter22, compression: x}}",
        "  auth: {type: none}\nsinks: {a: {type: s3, endpoint_url: 'ftp://h?key=hunter22'}}",
        "  auth: {type: none}\nsinks:\n  a: {type: s3,\n  secret_access_key: hunter22, compression: x}",
        "  auth: {type: none}\nsinks:\n  a:\n    type: s34\n    secret_access_key: hunter22",
        "  auth: {type: none}\nsinks:\n  a:\n    secret_access_key: hunter22",
    ],
)
def test_no_problem_shows_a_secret_and_no_excerpt_either(tmp_path, line):
    file = tmp_path / "shipper.yaml"
    file.write_text(f"ignite:\n{line}\n")
    _, problems = inspect(file, {})
    assert problems
    shown = "\n".join([*problem_lines(problems, excerpts=True), *map(repr, problems)])
    assert "hunter22" not in shown


def test_problem_of_a_section_shows_no_line_of_it(tmp_path):
    """Its place is its first line, which may be a secret: here the one key of a pair."""
    file = tmp_path / "shipper.yaml"
    file.write_text("sinks:\n  a:\n    access_key_id: s3cr3t\n    type: s3\n    bucket: b\n")
    _, problems = inspect(file, {})
    (found,) = (problem for problem in problems if problem.path == "sinks.a")
    assert "without secret_access_key" in found.message
    assert "s3cr3t" not in repr(problems)


def test_excerpt_shows_the_line_of_an_ordinary_mistake_with_a_caret_below(tmp_path):
    file = tmp_path / "shipper.yaml"
    file.write_text("log:\n  level: loud\n")
    lines = list(problem_lines(inspect(file, {})[1], excerpts=True))
    at = next(number for number, line in enumerate(lines) if "log.level" in line)
    assert lines[at + 1 : at + 3] == ["     2 |   level: loud", "       |          ^"]
