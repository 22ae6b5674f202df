"""What a reload has to do, from one configuration to the next: exactly what is different."""

from pathlib import Path

import pytest

from shipper.config.settings import Settings
from shipper.daemon.changes import Changes, Version, at_next_start, changes
from tests.fakes.pipelines import SINKS

DATADOG = {"type": "datadog", "api_key": "0" * 32}
BOTH = {**SINKS, "search": DATADOG}
TLS = {"ignite": {"tls": {"ca_file": "/ca.pem"}}}


def version(sinks=None, contents=None, ignite=None, **sections):
    """Settings as in YAML; `ignite` adds to what is always there."""
    base = {"endpoint": "grpc://localhost:1", "organization": "acme", "auth": {"type": "none"}}
    written = {"ignite": {**base, **(ignite or {})}, "sinks": sinks or SINKS, **sections}
    return Version(
        Settings.model_validate(written), {Path(name): content for name, content in (contents or {}).items()}
    )


def test_same_configuration_changes_nothing():
    found = changes(version(), version())
    assert found == Changes()
    assert not found
    assert found.said() == "nothing"


ADDED = {**SINKS, "new": {"type": "directory", "path": "new"}}
OTHER = {**SINKS, "archive": {"type": "directory", "path": "elsewhere"}}
BATCH = {**SINKS, "archive": {"type": "directory", "path": "archive", "batch": {"max_age": "1s"}}}
GZIP = {**SINKS, "archive": {"type": "directory", "path": "archive", "compression": "gzip"}}
REMOVAL = {**SINKS, "archive": {"type": "directory", "path": "archive", "on_remove": "discard"}}
ROUTED = [{"match": {"app": "a"}, "sinks": "archive", "continue": True}, {"sinks": ["archive", "debug"]}]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"sinks": ADDED}, Changes(added=("new",), buffer=True)),
        ({"sinks": {"debug": SINKS["debug"]}}, Changes(removed=("archive",), buffer=True)),
        ({"sinks": OTHER}, Changes(changed=("archive",))),
        ({"sinks": BATCH}, Changes(changed=("archive",))),
        ({"sinks": GZIP}, Changes(changed=("archive",), buffer=True)),
        ({"sinks": REMOVAL}, Changes(others=True)),
        ({"routes": ROUTED}, Changes(transformed=("archive", "debug"), buffer=True)),
        ({"redact": [{}]}, Changes(transformed=("archive", "debug"))),
        ({"read": [{}]}, Changes()),
        ({"buffer": {"max_size": "1GiB"}}, Changes(buffer=True)),
        ({"buffer": {"when_full": "drop_oldest"}}, Changes(buffer=True)),
        ({"buffer": {"path": "x"}}, Changes()),
        ({"apps": {"include": ["a"]}}, Changes(collection=True)),
        ({"collect": {"poll_interval": "1s"}}, Changes(collection=True)),
        ({"ignite": {"organization": "other"}}, Changes(platform=True)),
        ({"ignite": {"headers": {"x": "1"}}}, Changes(platform=True)),
        ({"ignite": {"auth": {"type": "token", "token": "t"}}}, Changes(tokens=True)),
        (
            {"ignite": {"auth": {"type": "token", "token": "t"}, "organization": "b"}},
            Changes(platform=True),
        ),
        ({"telemetry": {"listen": None}}, Changes(listen=True)),
        ({"telemetry": {"otlp": {"endpoint": "http://localhost:1"}}}, Changes(export=True)),
        ({"telemetry": {"sentry_dsn": "https://key@localhost/1"}}, Changes()),
        ({"log": {"level": "debug"}}, Changes(log=True)),
        ({"shutdown": {"timeout": "1s"}}, Changes(others=True)),
    ],
)
def test_each_section_has_its_own_change(after, expected):
    found = changes(version(), version(**after))
    assert found == expected
    assert bool(found) == (expected != Changes())
    assert found.said()


def test_what_a_running_daemon_cannot_change_waits_for_the_next_start():
    began = version().settings
    for section, names in (
        ({"buffer": {"path": "x"}}, ("buffer.path",)),
        ({"telemetry": {"sentry_dsn": "https://key@localhost/1"}}, ("telemetry.sentry_dsn",)),
        ({"buffer": {"max_size": "1GiB"}}, ()),
    ):
        assert at_next_start(began, version(**section).settings) == names


def test_sinks_of_records_follow_what_is_read_and_archives_do_not():
    assert changes(version(BOTH), version(BOTH, read=[{}])) == Changes(transformed=("search",))


def test_another_sink_is_no_other_way_where_there_are_no_routes():
    more = {**BOTH, "new": {"type": "directory", "path": "new"}}
    assert changes(version(BOTH), version(more)).transformed == ()
    assert changes(version(BOTH, routes=ROUTED), version(more, routes=ROUTED)).transformed == (
        "archive",
        "debug",
        "search",
    )


def test_another_secret_is_another_setting():
    other = {**BOTH, "search": {**DATADOG, "api_key": "1" * 32}}
    assert changes(version(BOTH), version(other)) == Changes(changed=("search",))
    first, second = ({"ignite": {"auth": {"type": "token", "token": token}}} for token in "ab")
    assert changes(version(**first), version(**second)) == Changes(tokens=True)


def test_other_content_of_a_named_file_counts():
    """The setting is the same, and what it means is not."""
    assert changes(version(**TLS, contents={"/ca.pem": "a"}), version(**TLS, contents={"/ca.pem": "b"})) == (
        Changes(platform=True)
    )
    sinks = {**BOTH, "search": {**DATADOG, "ca_file": "/dd.pem"}}
    assert changes(version(sinks, {"/dd.pem": "a"}), version(sinks, {"/dd.pem": "b"})) == (
        Changes(changed=("search",))
    )
    assert changes(version(contents={"/other": "a"}), version(contents={"/other": "b"})) == Changes()


def test_everything_at_once_is_told_in_one_sentence():
    found = changes(
        version(BOTH),
        version(
            {**GZIP, "new": {"type": "stdout"}},
            routes=[{"sinks": ["archive", "debug", "new"]}],
            ignite={"organization": "other"},
            log={"level": "debug"},
            telemetry={"listen": None},
            shutdown={"timeout": "1s"},
            apps={"include": ["a"]},
        ),
    )
    assert found.said() == (
        "sinks added: new; sinks changed: archive; sinks removed: search; records go other ways to debug; "
        "the buffer and what goes into it; the platform, collection begins anew; what is collected; "
        "where telemetry listens; the log; other settings"
    )
