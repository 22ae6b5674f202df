"""Secrets that others can read, in a file or on the wire, and a configuration that others can change are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from shipper.config.load import examine
from shipper.errors import Severity

CONFIG = """
ignite:
  endpoint: grpcs://ignite.example:443
  organization: acme
  auth: {auth}
sinks:
  local: {{type: directory, path: ./archive}}
"""


def warnings(folder: Path, auth: str, mode: int) -> list[str]:
    file = folder / "shipper.yaml"
    file.write_text(CONFIG.format(auth=auth))
    file.chmod(mode)
    examined = examine(file, {"TOKEN": "hunter22"})
    assert examined.settings is not None
    assert all(problem.severity is Severity.WARNING for problem in examined.problems)
    return [problem.message for problem in examined.problems]


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o606])
@pytest.mark.parametrize("how", ["type: token_file, path: {}", "type: token, token: '${{file:{}}}'"])
def test_a_secret_file_that_others_can_read_is_told(tmp_path: Path, mode: int, how: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter22")
    secret.chmod(mode)
    (message,) = warnings(tmp_path, f"{{{how.format(secret)}}}", 0o600)
    assert message.startswith("every user of this machine can read")
    assert "hunter22" not in message


def test_a_link_to_a_secret_is_judged_by_what_it_leads_to(tmp_path: Path) -> None:
    """Kubernetes mounts secrets as links, whose own mode says nothing."""
    (tmp_path / "data").write_text("hunter22")
    (tmp_path / "data").chmod(0o440)
    (tmp_path / "secret").symlink_to("data")
    auth = f"{{type: token_file, path: {tmp_path / 'secret'}}}"
    assert warnings(tmp_path, auth, 0o600) == []
    (tmp_path / "data").chmod(0o444)
    assert len(warnings(tmp_path, auth, 0o600)) == 1


def test_a_secret_in_a_configuration_that_others_can_read_is_told(tmp_path: Path) -> None:
    (message,) = warnings(tmp_path, "{type: token, token: hunter22}", 0o644)
    assert message.startswith("every user of this machine can read")


@pytest.mark.parametrize(("mode", "told"), [(0o602, True), (0o666, True), (0o660, False), (0o644, False)])
def test_a_configuration_that_others_can_change_is_told_even_without_a_secret(
    tmp_path: Path, mode: int, told: bool
) -> None:
    said = warnings(tmp_path, "{type: token, token: '${TOKEN}'}", mode)
    assert [message.startswith("every user of this machine can change") for message in said] == [True] * told


@pytest.mark.parametrize(
    ("address", "told"),
    [("http://relay.example:8080", True), ("https://relay.example", False), ("http://127.0.0.1:8080", False)],
)
def test_a_datadog_key_over_plaintext_to_another_machine_is_told(
    tmp_path: Path, address: str, told: bool
) -> None:
    file = tmp_path / "shipper.yaml"
    sink = f"  search: {{type: datadog, api_key: '${{TOKEN}}', endpoint_url: '{address}'}}\n"
    file.write_text(CONFIG.format(auth="{type: none}") + sink)
    file.chmod(0o600)
    problems = examine(file, {"TOKEN": "0badc0de0badc0de0badc0de0badc0de"}).problems
    assert [problem.path for problem in problems] == ["sinks.search.endpoint_url"] * told
