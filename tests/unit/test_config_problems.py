"""What a user is told about a wrong configuration: every problem, where it is, what was found, what to do."""

import textwrap

import pytest

from shipper.config.load import MAX_CONFIG_SIZE, inspect, load
from shipper.errors import ConfigError, Problem, Severity

IGNITE = """\
ignite:
  endpoint: grpcs://rpc.dodil.io
  organization: acme
  auth: {type: none}
"""
SINKS = """\
sinks:
  out: {type: stdout}
"""


@pytest.fixture
def problems_of(tmp_path):
    """What is wrong with a text, as (line, column, path, message)."""

    def problems_of(text, environ=None):
        file = tmp_path / "shipper.yaml"
        file.write_text(textwrap.dedent(text), encoding="utf-8")
        file.chmod(0o600)
        settings, problems = inspect(file, environ or {})
        assert (settings is None) == any(problem.severity is Severity.ERROR for problem in problems)
        return [(p.line, p.column, p.path, p.message) for p in problems]

    return problems_of


def test_good_configuration_has_no_problems(problems_of):
    assert problems_of(IGNITE + SINKS) == []


@pytest.mark.parametrize(
    ("setting", "column", "path", "message"),
    [
        ("buffer: {max_sise: 1GiB}", 10, "buffer.max_sise", "unknown key; did you mean max_size?"),
        ("buffer: {maxSize: 1GiB}", 10, "buffer.maxSize", "unknown key; did you mean max_size?"),
        ("buffr: {}", 1, "buffr", "unknown key; did you mean buffer?"),
        ("log: {colour: 1}", 7, "log.colour", "unknown key; accepted here: format, level"),
        ("listen: x", 1, "listen", "unknown key here; did you mean telemetry.listen?"),
        ("collect: {poll_interval: 5}", 26, "collect.poll_interval",
         '"5" needs a unit; write 5s for seconds, 5m for minutes'),
        ("collect: {poll_interval: soon}", 26, "collect.poll_interval",
         '"soon" is not a duration; write a number and ms, s, m or h, for example 500ms, 5s, 10m, 1h'),
        ("collect: {poll_interval: 1ms}", 26, "collect.poll_interval", '"1ms" is out of range: 100ms to 10m'),
        ("collect: {logs: maybe}", 17, "collect.logs", '"maybe" is not true or false'),
        ("collect: {logs: [a]}", 17, "collect.logs", "the value is not true or false"),
        ("collect: {logs: off, events: off, builds: off}", 10, "collect",
         "turns logs, events and builds off, so nothing would be collected"),
        ("buffer: {max_size: 1MiB}", 20, "buffer.max_size", '"1MiB" is too small: at least 16MiB'),
        ("buffer: {max_size: 1GB}", 20, "buffer.max_size", '"1GB" is not a size: units are binary here; write 1GiB'),
        ("buffer: {max_size: null}", 20, "buffer.max_size",
         "null is not accepted here; leave the key out for its default"),
        ("buffer: {when_full: dropoldest}", 21, "buffer.when_full",
         '"dropoldest" is not one of block, drop_oldest; did you mean drop_oldest?'),
        ("buffer: {path: ~/x}", 16, "buffer.path",
         '"~/x" begins with ~, which is not expanded here; write the path in full'),
        ("buffer: {path: ''}", 16, "buffer.path", "the value is empty"),
        ("buffer: {path: [a]}", 16, "buffer.path", "the value must be a text, not a list"),
        ("buffer: text", 9, "buffer", "a mapping (key: value, indented below) belongs here, not a text"),
        ("apps: {include: []}", 17, "apps.include", "is empty; at least one entry is needed"),
        ("apps: {include: x}", 17, "apps.include", 'a list belongs here, not a text; write for example ["checkout-*"]'),
        ("apps: {include: [a, {b: c}]}", 21, "apps.include[1]", "must be a text, not a mapping"),
        ("apps: {exclude: ['*']}", 7, "apps", "excludes everything that it includes, so no app would be followed"),
        ("telemetry: {listen: 9464}", 21, "telemetry.listen",
         '"9464" is not host:port; write for example 127.0.0.1:9464, or null to turn it off'),
        ("log: {format: xml}", 15, "log.format", '"xml" is not one of text, json'),
        ("routes: []", 9, "routes", "is empty; at least one entry is needed"),
        ("routes: [{}]", 10, "routes[0]", "says neither sinks nor drop: true; write where its records go"),
        ("routes: [{sinks: [out], drop: true}]", 10, "routes[0]",
         "drops its records, so that sinks means nothing; remove one of the two"),
        ("routes: [{sinks: [out], match: {apps: x}}]", 33, "routes[0].match.apps", "unknown key; did you mean app?"),
        ("routes: [{sinks: [out], match: {level: warning}}]", 40, "routes[0].match.level",
         '"warning" is not one of trace, debug, info, warn, error, fatal, unknown; did you mean warn?'),
        ("routes: [{sinks: [out], match: {line: 'a(b'}}]", 39, "routes[0].match.line",
         '"a(b" has a parenthesis without its counterpart (character 2)'),
        ("routes: [{sinks: [out], match: {line: 'a(?=b)'}}]", 39, "routes[0].match.line",
         '"a(?=b)" looks ahead, which is not supported: an expression takes time in proportion to the line here, '
         "whatever it says; match what follows too, or use a condition under not (character 2)"),
        ("routes: [{sinks: [out], match: {not: {}}}]", 32, "routes[0].match",
         "has a not without a condition, so that it would take nothing"),
        ("routes: [{sinks: [out], sample: 1}]", 33, "routes[0].sample", '"1" is out of range: 2 to 1000000'),
        ("routes: [{sinks: [out], throttle: 100}]", 35, "routes[0].throttle", '"100" needs its unit; write 100/s'),
        ("routes: [{sinks: [out], throttle: 6/m}]", 35, "routes[0].throttle",
         '"6/m" is not a pace; write a whole number and /s, for example 100/s'),
        ("routes: [{sinks: [out], throttle: 0/s}]", 35, "routes[0].throttle",
         '"0/s" is out of range: 1/s to 10000000/s'),
        ("routes: [{sinks: [outt]}]", 19, "routes[0].sinks[0]",
         '"outt" is not the name of a sink; did you mean out?'),
        ("routes: [{sinks: archive}]", 18, "routes[0].sinks", '"archive" is not the name of a sink; there are out'),
        ("redact: [{patterns: [mail]}]", 22, "redact[0].patterns[0]",
         '"mail" is not one of bearer_token, jwt, aws_key, url_password, email, card_number, ip; did you mean email?'),
        ("redact: [{patterns: []}]", 10, "redact[0]", "has neither patterns nor custom, so it would take out nothing"),
        ("redact: [{custom: [{name: x, pattern: 'a*'}]}]", 39, "redact[0].custom[0].pattern",
         '"a*" is found where there is nothing, so it would take out nothing; write + in place of *'),
        ("redact: [{custom: [{name: X, pattern: a}]}]", 27, "redact[0].custom[0].name",
         '"X" is not a name for a pattern: up to 40 small letters, digits or _, the first a letter'),
        ("redact: [{custom: [{name: jwt, pattern: a}]}]", 20, "redact[0].custom[0]",
         "is named jwt, which is a built-in pattern; choose another name"),
        ("redact: [{custom: [{name: x, pattern: a}]}, {custom: [{name: x, pattern: b}]}]", 9, "redact",
         "the value gives the name x to two expressions; choose another one for the second"),
        ("redact: [{sinks: [outt]}]", 19, "redact[0].sinks[0]", '"outt" is not the name of a sink; did you mean out?'),
    ],
)  # fmt: skip
def test_wrong_setting_is_explained_at_its_place(problems_of, setting, column, path, message):
    assert problems_of(f"{IGNITE}{SINKS}{setting}\n") == [(7, column, path, message)]


@pytest.mark.parametrize(
    ("sink", "path", "message"),
    [
        ("{type: s4, bucket: b}", "type", '"s4" is not one of s3, directory, stdout, datadog, sentry'),
        ("{type: sentry, dsn: x}", "dsn",
         "the value is not a DSN; copy it from the project's settings in Sentry (Client Keys): "
         "https://<key>@<host>/<project number>"),
        ("{type: sentry, dsn: 'https://k@h/1', tags: {app: x}}", "tags",
         "sets the tag app, which every record has of its own; choose another name"),
        ("{type: sentry, dsn: 'https://k@h/1', release: '{version}'}", "release",
         '"{version}" has braces around something else than a name that is known here: '
         "{organization}, {app}, {cluster}"),
        ("{type: sentry, dsn: 'https://k@h/1', environment: a/b}", "environment",
         '"a/b" is no environment for Sentry: up to 64 characters, no spaces, no /, and not none'),
        ("{bucket: b}", "type", "is required, but missing; write one of s3, directory, stdout, datadog, sentry"),
        ("", "type", "is required, but missing; write one of s3, directory, stdout, datadog, sentry"),
        ("text", "", "a mapping with a type (s3, directory, stdout, datadog, sentry) belongs here, not a text"),
        ("{type: s3}", "bucket", "is required, but missing (Name of the bucket)"),
        ("{type: s3, buckte: b}", "buckte", "unknown key; did you mean bucket?"),
        ("{type: s3, bucket: s3://b/c}", "bucket",
         '"s3://b/c" is a URL; write the bucket\'s name alone, and what follows it as prefix'),
        ("{type: s3, bucket: b/c}", "bucket",
         '"b/c" has a / in it; write the bucket\'s name alone, and the folder as prefix'),
        ("{type: s3, bucket: b, prefix: a/../b}", "prefix", '"a/../b" has an empty, . or .. folder in it'),
        ("{type: s3, bucket: b, prefix: a//b}", "prefix", '"a//b" has an empty, . or .. folder in it'),
        ("{type: s3, bucket: b, compression: lz4}", "compression", '"lz4" is not one of zstd, gzip, none'),
        ("{type: s3, bucket: b, max_age: 5m}", "max_age", "unknown key here; did you mean batch.max_age?"),
        ("{type: s3, bucket: b, batch: {max_age: 5}}", "batch.max_age",
         '"5" needs a unit; write 5s for seconds, 5m for minutes'),
        ("{type: s3, bucket: b, sse: {kms_key_id: k}}", "sse",
         "has a kms_key_id but its type is none; write type: aws:kms, or remove kms_key_id"),
        ("{type: s3, bucket: b, access_key_id: k}", "",
         "has access_key_id without secret_access_key; write both, or neither to use the AWS credential chain"),
        ("{type: s3, bucket: b, session_token: k}", "",
         "has a session_token without access_key_id and secret_access_key; write all three"),
        ("{type: s3, bucket: b, access_key_id: k, secret_access_key: s, profile: p}", "",
         "has both a profile and access_key_id; only one can say who the daemon is, so remove the other"),
        ("{type: s3, bucket: b, expected_bucket_owner: me}", "expected_bucket_owner",
         '"me" is not an AWS account id (12 digits)'),
        ("{type: s3, bucket: b, endpoint_url: minio:9000}", "endpoint_url",
         '"minio:9000" is not a URL; it begins with https:// (or http://)'),
        ("{type: directory}", "path", "is required, but missing (The folder)"),
        ("{type: stdout, path: x}", "path", "unknown key; accepted here: type, on_remove"),
    ],
)  # fmt: skip
def test_wrong_sink_is_explained(problems_of, sink, path, message):
    [found] = problems_of(f"{IGNITE}sinks:\n  out: {sink}\n")
    assert found[2:] == (f"sinks.out{'.' if path else ''}{path}", message)


@pytest.mark.parametrize(
    ("ignite", "path", "message"),
    [
        ("", "ignite", "is required, but missing (Where the platform is and who the daemon is there)"),
        ("ignite: {endpoint: grpc://localhost, organization: a}\n", "ignite.auth",
         "is required, but missing (How the daemon proves who it is)"),
        ("ignite: {endpoint: grpc://localhost, organization: a, auth: {type: token}}\n", "ignite.auth.token",
         "is required, but missing (The token, without `Bearer` in front)"),
        ("ignite: {endpoint: grpc://localhost, organization: a, auth: {type: token, token: Bearer x}}\n", "ignite.auth",
         "has a token that begins with 'Bearer '; write the token alone"),
        ("ignite: {endpoint: grpc://localhost, organization: a, auth: token}\n", "ignite.auth",
         "a mapping with a type (client_credentials, token, token_file, none) belongs here, not a text"),
        ("ignite: {endpoint: https://api.dodil.io/v1, organization: a, auth: {type: none}}\n", "ignite.endpoint",
         '"https://api.dodil.io/v1" is scheme, host and port only; remove what follows the port'),
        ("ignite: {endpoint: grpc://localhost, organization: a, auth: {type: none}, headers: {Authorization: x}}\n",
         "ignite.headers", "must not set authorization; that is what auth is for"),
        ("ignite: {endpoint: grpc://localhost, organization: a, auth: {type: none}, headers: {te: x}}\n",
         "ignite.headers", "has a name that gRPC does not allow"),
        ("ignite: {endpoint: grpc://localhost, organization: a, auth: {type: none}, headers: {a: ü}}\n",
         "ignite.headers", "has a value with characters other than printable ASCII"),
        ("ignite: {endpoint: grpc://localhost, organization: a, auth: {type: none}, headers: {a: x, A: y}}\n",
         "ignite.headers", "names one header twice"),
        ("ignite: {endpoint: grpc://localhost, organization: a, auth: {type: none}, tls: {cert_file: x}}\n",
         "ignite.tls", "has cert_file without key_file; mutual TLS needs both"),
    ],
)  # fmt: skip
def test_wrong_platform_section_is_explained(problems_of, ignite, path, message):
    [found] = problems_of(ignite + SINKS)
    assert found[2] == path
    assert found[3].startswith(message)


@pytest.mark.parametrize("sinks", ["", "sinks:\n", "sinks: {}\n"])
def test_configuration_without_a_sink_is_an_error(problems_of, sinks):
    [(_, _, path, message)] = problems_of(IGNITE + sinks)
    assert path == "sinks"
    assert "required, but missing" in message or "at least one entry is needed" in message


def test_name_of_a_sink_must_fit_into_metrics(problems_of):
    [found] = problems_of(f"{IGNITE}sinks:\n  'my sink': {{type: stdout}}\n")
    assert found[:3] == (6, 3, 'sinks["my sink"]')
    assert found[3].startswith("is not a name for a sink: up to 64 letters")


def test_all_problems_are_told_at_once_in_the_order_of_the_file(problems_of):
    found = problems_of(
        """\
        sinks:
          a: {type: directory, path: x, compress: gzip}
          b: {type: nope}
        ignite:
          endpoint: rpc.dodil.io
          organization: ${ORGANIZATION}
          auth: {type: token_file, path: ''}
        collect:
          logs: x
          logs: y
        nonsense: 1
        """
    )
    assert [(line, column, path) for line, column, path, _ in found] == [
        (2, 33, "sinks.a.compress"),
        (3, 13, "sinks.b.type"),
        (5, 13, "ignite.endpoint"),
        (6, 17, "ignite.organization"),
        (7, 34, "ignite.auth.path"),
        (9, 9, "collect.logs"),
        (10, 3, "collect.logs"),
        (11, 1, "nonsense"),
    ]


def test_value_that_could_not_be_read_is_one_problem_and_not_two(problems_of):
    found = problems_of(f"{IGNITE}sinks: {{out: {{type: '${{KIND}}', path: '${{PLACE}}'}}}}\n")
    assert [(path, message[:27]) for _, _, path, message in found] == [
        ("sinks.out.type", "the environment has no KIND"),
        ("sinks.out.path", "the environment has no PLAC"),
    ]


def test_value_from_a_reference_is_not_shown_because_it_may_be_another_secret(problems_of):
    [(_, _, _, message)] = problems_of(f"{IGNITE}{SINKS}log:\n  level: ${{LEVEL}}\n", {"LEVEL": "hunter22"})
    assert message == "the value (from a ${...}) is not one of debug, info, warning, error"


def test_name_of_a_sink_from_a_reference_is_not_shown(problems_of):
    found = problems_of(
        f"{IGNITE}{SINKS}routes: [{{name: '${{A}}', sinks: out}}, {{sinks: ['${{A}}']}}]\n", {"A": "hunter22"}
    )
    assert [message for _, _, _, message in found] == [
        "never takes a record: route 1 of the list takes them all before",
        "the value (from a ${...}) is not the name of a sink; there are out",
    ]


def test_line_break_in_a_value_cannot_forge_another_problem(problems_of):
    [(_, _, _, message)] = problems_of(f'{IGNITE}{SINKS}log: {{level: "a\\nb\\u202e\\ud800"}}\n')
    assert message.startswith(r"'a\nb\u202e\ud800' is not one of")


def test_long_value_is_cut(problems_of):
    [(_, _, _, message)] = problems_of(f"{IGNITE}{SINKS}log: {{level: {'x' * 500}}}\n")
    assert len(message) < 150


@pytest.mark.parametrize("environ", [{"A": "250ms", "B": "32MiB", "C": "false", "D": "2"}])
def test_numbers_booleans_and_durations_may_come_from_the_environment(tmp_path, environ):
    file = tmp_path / "shipper.yaml"
    file.write_text(
        f"{IGNITE}{SINKS}collect: {{poll_interval: '${{A}}', events: '${{C}}'}}\nbuffer: {{max_size: '${{B}}'}}\n"
        "shutdown: {timeout: '${D}m'}\n"
    )
    settings = load(file, environ)
    assert settings.collect.poll_interval == 0.25
    assert settings.collect.events is False
    assert settings.buffer.max_size == 32 << 20
    assert settings.shutdown.timeout == 120.0


def test_empty_text_means_not_set_where_null_is_accepted(tmp_path):
    file = tmp_path / "shipper.yaml"
    file.write_text(
        f"{IGNITE}sinks: {{a: {{type: s3, bucket: b, region: '${{REGION:-}}'}}}}\ntelemetry: {{listen: ''}}\n"
    )
    settings = load(file, {})
    assert settings.sinks["a"].region is None
    assert settings.telemetry.listen is None


def test_empty_section_has_its_defaults(tmp_path):
    file = tmp_path / "shipper.yaml"
    file.write_text(f"{IGNITE}{SINKS}collect:\nbuffer:\nlog: ~\napps: {{}}\n")
    settings = load(file, {})
    assert settings.collect.poll_interval == 5.0
    assert settings.apps.include == ("*",)


def test_load_raises_all_problems_with_their_places(tmp_path):
    file = tmp_path / "shipper.yaml"
    file.write_text(f"{IGNITE}{SINKS}log: {{level: loud}}\nnonsense: 1\n")
    with pytest.raises(ConfigError) as caught:
        load(file, {})
    assert str(caught.value).splitlines() == [
        f'{file}:7:14: log.level: "loud" is not one of debug, info, warning, error',
        f"{file}:8:1: nonsense: unknown key; accepted here: ignite, apps, collect, buffer, sinks, routes, read, "
        "redact, telemetry, shutdown, log",
    ]
    assert all(isinstance(problem, Problem) for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "is not a file"),
        (lambda path: path.write_bytes(b"x" * (MAX_CONFIG_SIZE + 1)), "is larger than 1MiB"),
    ],
)
def test_file_that_cannot_be_read_is_a_problem_of_the_whole_file(tmp_path, make, message):
    file = tmp_path / "shipper.yaml"
    make(file)
    settings, [problem] = inspect(file, {})
    assert settings is None
    assert str(problem).startswith(f"{file}: {message}")


def test_file_that_is_no_text_is_reported_where_it_stops_being_one(tmp_path):
    file = tmp_path / "shipper.yaml"
    file.write_bytes(b"a: 1\nb: \xff\n")
    _, [problem] = inspect(file, {})
    assert str(problem) == f"{file}:2:4: is not UTF-8 text"


def test_byte_order_mark_does_no_harm(tmp_path):
    file = tmp_path / "shipper.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + (IGNITE + SINKS).encode())
    assert inspect(file, {})[1] == []
