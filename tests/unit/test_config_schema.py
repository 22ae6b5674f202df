"""The JSON Schema and the reference page are made from the declarations, and the examples obey both."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from shipper.config.defaults import has_written_default, written_default
from shipper.config.load import inspect
from shipper.config.reference import main as write_reference
from shipper.config.reference import page
from shipper.config.schema import all_sections, schema, schema_text
from shipper.config.settings import Settings
from shipper.config.shape import as_section, unwrap, variants

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = sorted((REPOSITORY / "config").glob("*.yaml"))
ENVIRON = {
    "DODIL_TOKEN": "token",
    "DODIL_SERVICE_ACCOUNT_ID": "id",
    "DODIL_SERVICE_ACCOUNT_SECRET": "secret",
    "IGNITE_ORGANIZATION": "acme",
    "ARCHIVE_BUCKET": "logs",
    "AWS_REGION": "eu-central-1",
    "DD_API_KEY": "0123456789abcdef0123456789abcdef",
    "SENTRY_DSN": "https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/7",
}


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(schema())
    return jsonschema.Draft202012Validator(schema())


def test_committed_schema_is_what_the_declarations_make():
    assert (REPOSITORY / "config" / "shipper.schema.json").read_text(encoding="utf-8") == schema_text()


def test_committed_reference_page_is_what_the_declarations_make():
    assert (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8") == page()


def test_check_of_the_generated_files_passes_and_writes_nothing(capsys):
    assert write_reference(["--check"]) == 0
    assert capsys.readouterr().err == ""


def test_examples_are_there():
    assert [path.name for path in EXAMPLES] == [
        "datadog.yaml",
        "full.yaml",
        "gateway.yaml",
        "kubernetes.yaml",
        "minimal.yaml",
        "routing.yaml",
        "s3.yaml",
    ]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_loads_without_a_problem(example, tmp_path):
    """The mounted secrets that it names are put into a folder of the test."""
    for name in ("client_id", "client_secret"):
        (tmp_path / name).write_text("value\n")
        (tmp_path / name).chmod(0o400)
    copy = tmp_path / example.name
    copy.write_text(example.read_text(encoding="utf-8").replace("/var/run/secrets/dodil", str(tmp_path)))
    settings, problems = inspect(copy, ENVIRON)
    assert problems == []
    assert settings is not None


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_obeys_the_schema_that_its_first_line_names(example, validator):
    text = example.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=./shipper.schema.json\n")
    assert list(validator.iter_errors(yaml.safe_load(text))) == []


def test_full_example_has_every_setting():
    settings = yaml.safe_load((REPOSITORY / "config" / "full.yaml").read_text(encoding="utf-8"))
    conditions = {key for route in settings["routes"] for key in route.get("match", ())} - {"not"}
    sections = {
        "ignite": settings["ignite"], "tls": settings["ignite"]["tls"], "auth": settings["ignite"]["auth"],
        "s3": settings["sinks"]["archive"], "batch": settings["sinks"]["archive"]["batch"],
        "sse": settings["sinks"]["archive"]["sse"], "directory": settings["sinks"]["local"], **settings,
        "routes": {key for route in settings["routes"] for key in route}, "match": conditions | {"not"},
        "conditions": conditions, "read": settings["read"][0],
        "level": settings["read"][0]["level"], "id": settings["read"][0]["trace_id"],
        "redact": settings["redact"][0], "custom": settings["redact"][0]["custom"][0],
        "datadog": settings["sinks"]["search"], "join": settings["sinks"]["search"]["join"],
        "sentry": settings["sinks"]["errors"], "issues": settings["sinks"]["errors"]["issues"],
        "otlp": settings["telemetry"]["otlp"],
    }  # fmt: skip
    written = {frozenset(section) for section in sections.values()} | {frozenset(settings)}
    kinds = ("StaticToken", "TokenFile", "NoAuth", "StdoutSettings")
    declared = {
        section.__name__: frozenset(section.declared())
        for section in all_sections(Settings)
        if section.__name__ not in kinds
    }
    assert {name for name, keys in declared.items() if keys not in written} == set()


def test_full_example_shows_the_defaults():
    copy = yaml.safe_load((REPOSITORY / "config" / "full.yaml").read_text(encoding="utf-8"))
    s3 = variants(_sinks())["s3"]
    shown = {key: value for key, value in copy["sinks"]["archive"].items() if not as_section(_type(s3, key))}
    different = {key for key, value in shown.items() if key in _defaults(s3) and value != _defaults(s3)[key]}
    assert different == {"prefix", "region"}
    copy["telemetry"]["otlp"] = None  # its default; it is written out to be seen
    for name in ("collect", "buffer", "telemetry", "shutdown", "log", "apps"):
        assert copy[name] == _defaults(_type(Settings, name))


def _sinks():
    return Settings.model_fields["sinks"].annotation.__args__[1]


def _type(section, name):
    return unwrap(section.declared()[name].annotation)


def _defaults(section):
    return {
        name: written_default(section, name)
        for name in section.declared()
        if has_written_default(section, name)
    }


@pytest.mark.parametrize("section", list(all_sections(Settings)), ids=lambda section: section.__name__)
def test_every_setting_is_described_and_says_its_true_default(section):
    assert section.__doc__
    for name, field in section.declared().items():
        assert field.description, f"{section.__name__}.{name} has no description"
        if stated := re.search(r"Default (?:`([^`]*)`|(\w+))", field.description):
            default = written_default(section, name)
            shown = default if isinstance(default, str) else json.dumps(default)
            assert (stated[1] or stated[2]) == {"": "empty", "[]": "none", "{}": "none"}.get(shown, shown), (
                name
            )


GOOD = {
    "ignite": {"endpoint": "grpcs://h", "organization": "a", "auth": {"type": "none"}},
    "sinks": {"out": {"type": "stdout"}},
}


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"collect": None},
        {"collect": {"poll_interval": "${X}", "logs": "${Y:-true}"}},
        {"routes": [{"sinks": "out", "match": {"app": "a-*", "level": "warn", "not": {"line": "x"}}}]},
        {"routes": [{"sinks": ["out"], "match": None, "sample": 10, "throttle": "100/s", "continue": True}]},
        {"redact": [{"patterns": ["ip"], "custom": [{"name": "x", "pattern": "${X}"}]}]},
        {"buffer": {"max_size": "${file:/x}MiB"}},
        {"telemetry": {"listen": None}},
        {"sinks": {"a": {"type": "directory", "path": "x", "batch": None}}},
        {"ignite": {"endpoint": "https://h", "organization": "a", "auth": {"type": "none"}}},
        {"ignite": {"endpoint": "http://localhost:8080", "organization": "a", "auth": {"type": "none"}}},
    ],
)
def test_schema_accepts_what_the_parser_accepts(validator, extra):
    assert list(validator.iter_errors(GOOD | extra)) == []


@pytest.mark.parametrize(
    "extra",
    [
        {"nonsense": 1},
        {"routes": []},
        {"sinks": {}},
        {"sinks": {"my sink": {"type": "stdout"}}},
        {"sinks": {"a": {"type": "datadog"}}},
        {"sinks": {"a": {"type": "datadog", "api_key": "k", "site": "datadoghq.org"}}},
        {"sinks": {"a": {"type": "s3"}}},
        {"collect": {"poll_interval": 5}},
        {"collect": {"poll_interval": "5"}},
        {"collect": {"logs": "maybe"}},
        {"buffer": {"max_size": "10MB"}},
        {"buffer": {"when_full": "drop"}},
        {"log": {"level": "loud"}},
        {"routes": [{"sinks": ["out"], "sample": 1}]},
        {"routes": [{"sinks": ["out"], "throttle": 100}]},
        {"routes": [{"sinks": ["out"], "match": {"level": ["warning"]}}]},
        {"redact": [{"patterns": ["passwords"]}]},
        {"ignite": {"endpoint": "ftp://h", "organization": "a", "auth": {"type": "none"}}},
    ],
)
def test_schema_refuses_what_the_parser_refuses(validator, extra):
    assert list(validator.iter_errors(GOOD | extra))
