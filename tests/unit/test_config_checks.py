"""What no single setting can know: settings against each other, and the files that a configuration names."""

import os

import pytest

from shipper.config.load import inspect
from shipper.errors import Severity

PLATFORM = "ignite: {{endpoint: '{endpoint}', organization: a, auth: {auth}}}\n"
LOCAL = PLATFORM.format(endpoint="grpc://localhost:1", auth="{type: none}")
SINKS = "sinks: {out: {type: stdout}}\n"


@pytest.fixture
def findings_of(tmp_path, monkeypatch):
    """What is wrong with a text, as (severity, path, message); relative paths start in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def findings_of(text, mode=0o600, environ=None):
        file = tmp_path / "shipper.yaml"
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)
        return [(p.severity, p.path, p.message) for p in inspect(file, environ or {})[1]]

    return findings_of


def warning(path, message):
    return (Severity.WARNING, path, message)


def error(path, message):
    return (Severity.ERROR, path, message)


PLAINTEXT = "is grpc:// (plaintext), so the token crosses the network in clear text; use grpcs://"


@pytest.mark.parametrize(
    ("endpoint", "auth", "found"),
    [
        ("grpc://rpc.example:80", "{type: token, token: '${T}'}", [warning("ignite.endpoint", PLAINTEXT)]),
        ("grpc://rpc.example:80", "{type: none}", []),
        ("grpc://127.0.0.1:80", "{type: token, token: '${T}'}", []),
        ("grpc://[::1]:80", "{type: token, token: '${T}'}", []),
        ("grpcs://rpc.example", "{type: token, token: '${T}'}", []),
    ],
)
def test_token_over_plaintext_to_another_machine_is_a_warning(findings_of, endpoint, auth, found):
    assert findings_of(PLATFORM.format(endpoint=endpoint, auth=auth) + SINKS, environ={"T": "t"}) == found


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://id.example/t", True), ("https://id.example/t", False), ("http://localhost:1/t", False)],
)
def test_client_secret_over_plaintext_to_another_machine_is_a_warning(findings_of, url, warned):
    auth = f"{{type: client_credentials, token_url: '{url}', client_id: i, client_secret: '${{S}}'}}"
    found = findings_of(PLATFORM.format(endpoint="grpcs://h", auth=auth) + SINKS, environ={"S": "s"})
    message = "is http, so the client secret crosses the network in clear text; use https"
    assert found == ([warning("ignite.auth.token_url", message)] if warned else [])


def test_builds_that_are_named_and_not_collected_are_a_warning(findings_of):
    named = "build_ids: {checkout: [bld_01HZX9], search: bld_01HZXA}"
    assert findings_of(LOCAL + SINKS + f"collect: {{{named}}}\n") == []
    assert findings_of(LOCAL + SINKS + f"collect: {{builds: false, {named}}}\n") == [
        warning("collect.build_ids", "has no effect, because collect.builds is false")
    ]


@pytest.mark.parametrize(
    "sinks",
    [
        "{a: {type: directory, path: x}, b: {type: directory, path: ./x/../x}}",
        "{a: {type: s3, bucket: k, prefix: p}, b: {type: s3, bucket: k, prefix: /p/}}",
        "{a: {type: stdout}, b: {type: stdout}}",
    ],
)
def test_two_sinks_that_write_to_one_place_are_an_error(findings_of, sinks):
    [(severity, path, message)] = findings_of(f"{LOCAL}sinks: {sinks}\n")
    assert severity is Severity.ERROR
    assert path.startswith("sinks.b.")
    assert message == "the sink a writes to this place too; each needs its own"


@pytest.mark.parametrize(
    "sinks",
    [
        "{a: {type: directory, path: x}, b: {type: directory, path: x/y}}",
        "{a: {type: s3, bucket: k, prefix: p}, b: {type: s3, bucket: k, prefix: q}}",
        "{a: {type: s3, bucket: k}, b: {type: s3, bucket: k, endpoint_url: 'https://minio'}}",
    ],
)
def test_sinks_with_places_of_their_own_are_fine(findings_of, sinks):
    assert findings_of(f"{LOCAL}sinks: {sinks}\n") == []


@pytest.mark.parametrize(
    ("dsn", "warned"),
    [
        ("http://k@sentry.example/1", True),
        ("https://k@sentry.example/1", False),
        ("http://k@localhost:9/1", False),
    ],
)
def test_lines_over_plaintext_to_another_machine_are_a_warning(findings_of, dsn, warned):
    sinks = "sinks: {a: {type: sentry, dsn: '${DSN}'}, b: {type: sentry, dsn: '${DSN}'}}\n"
    message = "is http, so lines and the key cross the network in clear text; use https"
    expected = [warning(f"sinks.{name}.dsn", message) for name in "ab"] if warned else []
    assert findings_of(LOCAL + sinks, environ={"DSN": dsn}) == expected


def test_directory_that_is_the_buffers_own_is_an_error_even_through_a_link(findings_of, tmp_path):
    (tmp_path / "buffer").mkdir()
    (tmp_path / "link").symlink_to("buffer")
    found = findings_of(f"{LOCAL}buffer: {{path: buffer}}\nsinks: {{a: {{type: directory, path: link}}}}\n")
    assert found == [error("sinks.a.path", "the buffer writes to this place too; each needs its own")]


def test_one_bad_section_hides_nothing_about_the_others(findings_of):
    found = findings_of(
        "ignite: {endpoint: nope, organization: a, auth: {type: none}}\n"
        "collect: {builds: false, build_ids: {a: b}}\n"
        "sinks: {a: {type: directory, path: x}, b: {type: directory, path: x}, c: {type: s3}}\n"
    )
    assert [path for _, path, _ in found] == [
        "ignite.endpoint",
        "collect.build_ids",
        "sinks.b.path",
        "sinks.c.bucket",
    ]


def test_tls_settings_without_tls_are_a_warning(findings_of):
    found = findings_of(LOCAL.replace("organization: a", "organization: a, tls: {server_name: x}") + SINKS)
    assert found == [
        warning("ignite.tls.server_name", "has no effect, because the endpoint is grpc:// (plaintext)")
    ]


def test_certificate_files_that_are_missing_are_errors(findings_of):
    tls = "tls: {ca_file: ca.pem, cert_file: c.pem, key_file: k.pem}"
    text = PLATFORM.format(endpoint="grpcs://h", auth="{type: none}").replace(
        "organization: a", f"organization: a, {tls}"
    )
    message = "there is no such file; the daemon could not connect"
    assert findings_of(text + SINKS) == [
        error(f"ignite.tls.{name}", message) for name in ("ca_file", "cert_file", "key_file")
    ]


def test_token_file_that_is_not_there_yet_is_a_warning(findings_of):
    found = findings_of(PLATFORM.format(endpoint="grpcs://h", auth="{type: token_file, path: token}") + SINKS)
    assert found == [
        warning("ignite.auth.path", "there is no such file yet; no call will be accepted until there is")
    ]


@pytest.mark.parametrize(
    ("auth", "path"),
    [
        ("{type: token_file, path: secret}", "ignite.auth.path"),
        ("{type: token, token: '${file:secret}'}", "ignite.auth.token"),
    ],
)
@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False), (0o400, False)])
def test_secret_file_that_everyone_can_read_is_a_warning(findings_of, tmp_path, auth, path, mode, warned):
    (tmp_path / "secret").write_text("hunter22")
    (tmp_path / "secret").chmod(mode)
    found = findings_of(PLATFORM.format(endpoint="grpcs://h", auth=auth) + SINKS)
    assert [(severity, where) for severity, where, _ in found] == (
        [(Severity.WARNING, path)] if warned else []
    )
    assert all("every user of this machine can read 'secret'" in message for _, _, message in found)


def test_file_for_something_that_is_no_secret_may_be_open(findings_of, tmp_path):
    (tmp_path / "name").write_text("acme")
    (tmp_path / "name").chmod(0o644)
    assert findings_of(LOCAL.replace("organization: a", "organization: '${file:name}'") + SINKS) == []


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o600, False)])
def test_secret_in_clear_in_a_configuration_that_everyone_can_read_is_a_warning(findings_of, mode, warned):
    text = PLATFORM.format(endpoint="grpcs://h", auth="{type: token, token: hunter22}") + SINKS
    found = findings_of(text, mode)
    assert [path for _, path, _ in found] == (["ignite.auth.token"] if warned else [])


def test_configuration_that_everyone_can_read_is_fine_while_no_secret_stands_in_it(findings_of):
    text = PLATFORM.format(endpoint="grpcs://h", auth="{type: token, token: '${T}'}") + SINKS
    assert findings_of(text, 0o644, {"T": "hunter22"}) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_certificate_that_cannot_be_read_is_an_error(findings_of, tmp_path):
    (tmp_path / "ca.pem").touch(mode=0o000)
    text = PLATFORM.format(endpoint="grpcs://h", auth="{type: none}").replace(
        "organization: a", "organization: a, tls: {ca_file: ca.pem}"
    )
    [(severity, path, _)] = findings_of(text + SINKS)
    assert (severity, path) == (Severity.ERROR, "ignite.tls.ca_file")
