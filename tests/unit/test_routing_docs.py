"""What docs/routing.md shows is a configuration, and what it lists is all there is."""

import re
from pathlib import Path

import pytest
import yaml

from shipper.config.load import inspect
from shipper.config.routes import Match, RouteSettings
from shipper.transform import decisions, pipeline
from shipper.transform.built_in import IN_ORDER

PAGE = Path("docs/routing.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
HEAD = """\
ignite: {endpoint: 'grpc://localhost:1', organization: acme, auth: {type: none}}
sinks:
  archive: {type: directory, path: archive}
  search: {type: datadog, api_key: "${KEY}"}
  errors: {type: sentry, dsn: "${DSN}"}
"""
ENVIRON = {"KEY": "0" * 32, "DSN": "https://key@localhost/1"}


def first_column(heading):
    """The first column of the table below a heading."""
    section = PAGE.partition(f"{heading}\n")[2].partition("\n#")[0]
    rows = [row for row in section.splitlines() if row.startswith("| ")]
    return [name for row in rows for name in re.findall(r"`(\w+)", row.split("|")[1])]


def test_examples_are_there():
    assert [list(yaml.safe_load(block)) for block in BLOCKS] == [["routes", "read"], ["redact"]]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.partition(":")[0])
def test_example_has_no_problem(block, tmp_path):
    file = tmp_path / "shipper.yaml"
    file.write_text(HEAD + block)
    settings, problems = inspect(file, ENVIRON)
    assert problems == []
    assert settings is not None


def test_every_condition_is_listed():
    assert set(first_column("### What a route matches")) == set(Match.declared())


def test_every_thing_that_a_route_does_is_listed():
    assert set(first_column("### What a route does")) == set(RouteSettings.declared()) - {"name", "match"}


def test_every_reason_is_listed():
    reasons = {
        decisions.FILTERED,
        decisions.SAMPLED,
        decisions.THROTTLED,
        decisions.NO_ROUTE,
        pipeline.UNDECODABLE,
    }
    assert set(first_column("### What is dropped is counted")) == reasons


def test_built_in_patterns_are_listed_in_their_order():
    assert first_column("## Redaction") == list(IN_ORDER)
