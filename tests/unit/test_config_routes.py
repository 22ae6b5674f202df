"""What a user is told about routes that are valid one by one and do not fit together."""

import pytest

from shipper.config.load import inspect
from shipper.errors import Severity

HEAD = "ignite: {endpoint: 'grpc://localhost:1', organization: a, auth: {type: none}}\n"
SINKS = "sinks: {archive: {type: directory, path: x}, out: {type: stdout}}\n"
ALL = "{sinks: [archive, out]}"


@pytest.fixture
def warnings_of(tmp_path, monkeypatch):
    """The warnings about a list of routes, as (path, message); errors fail the test."""
    monkeypatch.chdir(tmp_path)

    def warnings_of(routes, extra="read: [{level: auto}]\n"):
        file = tmp_path / "shipper.yaml"
        file.write_text(f"{HEAD}{SINKS}{extra}routes: [{', '.join(routes)}]\n")
        settings, problems = inspect(file, {})
        assert all(problem.severity is Severity.WARNING for problem in problems), problems
        assert settings is not None
        return [(problem.path, problem.message) for problem in problems]

    return warnings_of


def test_routes_that_fit_have_no_warning(warnings_of):
    assert warnings_of(["{match: {kind: logs, level: debug}, drop: true}", ALL]) == []


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("{}", "{kind: [logs]}"),
        ("{app: '*'}", "{app: checkout}"),
        ("{app: ['checkout-*']}", "{app: [checkout-api, checkout-web]}"),
        ("{kind: [logs, events]}", "{kind: logs, app: x}"),
        ("{kind: logs}", "{stream: stderr}"),
        ("{kind: events}", "{severity: warning}"),
        ("{level: [warn, error]}", "{level: error, line: x}"),
        ("{severity: WARNING}", "{severity: Warning}"),
        ("{line: x, not: {app: y}}", "{line: x, app: z, not: {app: y}}"),
    ],
)
def test_route_below_one_that_takes_all_of_its_records_is_a_warning(warnings_of, wide, narrow):
    routes = [f"{{name: first, match: {wide}, sinks: out}}", f"{{match: {narrow}, sinks: out}}", ALL]
    assert (
        "routes[1]",
        'never takes a record: the route "first" takes them all before',
    ) in warnings_of(routes)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("{app: checkout}", "{app: '*'}"),
        ("{app: 'checkout-*'}", "{app: 'check*'}"),
        ("{kind: [logs]}", "{kind: [logs, events]}"),
        ("{kind: [logs]}", "{}"),
        ("{level: error}", "{kind: logs}"),
        ("{stream: stderr}", "{level: error}"),
        ("{line: x}", "{line: y}"),
        ("{not: {app: y}}", "{app: z}"),
    ],
)
def test_route_that_may_still_take_something_is_no_warning(warnings_of, wide, narrow):
    routes = [f"{{match: {wide}, sinks: out}}", f"{{match: {narrow}, sinks: archive}}", ALL]
    assert "routes[1]" not in dict(warnings_of(routes))


def test_route_below_one_that_goes_on_is_no_warning(warnings_of):
    assert warnings_of(["{sinks: out, continue: true}", "{sinks: archive}"]) == []


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("{kind: events, stream: stderr}", "never matches: stream is a condition on logs, and kind says events"),
        ("{kind: [gaps, builds], level: error}",
         "never matches: level is a condition on logs, and kind says gaps, builds"),
        ("{level: error, event: OOM_KILLED}",
         "never matches: level is a condition on logs, and another condition is of another kind"),
    ],
)  # fmt: skip
def test_conditions_of_different_kinds_in_one_route_are_a_warning(warnings_of, match, message):
    assert ("routes[0].match", message) in warnings_of([f"{{match: {match}, sinks: out}}", ALL])


def test_level_without_reading_is_a_warning(warnings_of):
    message = "needs the section read: without it no line's level is known, and all are unknown"
    routes = ["{match: {level: error}, sinks: out}", "{match: {not: {level: debug}}, sinks: out}", ALL]
    assert warnings_of(routes, "") == [("routes[0].match", message), ("routes[1].match", message)]


def test_gaps_that_nobody_takes_are_a_warning(warnings_of):
    message = (
        "no route takes gaps, so that the archive would not say what was lost; add one with kind: [gaps]"
    )
    assert warnings_of(["{match: {kind: [logs, events, builds]}, sinks: [archive, out]}"]) == [
        ("routes", message)
    ]
    assert warnings_of(["{match: {stream: stdout}, sinks: [archive, out]}"]) == [("routes", message)]


def test_routes_to_no_sink_are_a_warning(warnings_of):
    assert warnings_of(["{drop: true}"]) == [("routes", "lead to no sink, so that nothing is delivered")]


def test_sink_that_no_route_names_is_a_warning_at_its_name(warnings_of):
    assert warnings_of(["{sinks: archive}"]) == [
        ("sinks.out", "no route names this sink, so nothing reaches it")
    ]


def test_sentry_logs_without_a_sentry_sink_is_a_warning(warnings_of):
    message = "means nothing here, as none of the route's sinks is of type sentry"
    assert warnings_of(["{sinks: [archive, out], sentry_logs: true}"]) == [("routes[0].sentry_logs", message)]
