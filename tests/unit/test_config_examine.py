"""Examining a configuration: which files it asks for, and what a digest of it says."""

from pathlib import Path

from shipper.config.digest import digest
from shipper.config.load import examine, load

CONFIG = """\
ignite:
  endpoint: grpcs://rpc.dodil.io
  organization: acme
  auth: {{type: token, token: "${{file:{token}}}"}}
sinks:
  debug: {{type: stdout}}
"""


def written(folder: Path, token: str = "hunter22", text: str = "") -> Path:
    (folder / "token").write_text(token)
    file = folder / "shipper.yaml"
    file.write_text(CONFIG.format(token=folder / "token") + text)
    return file


def test_files_of_references_are_told(tmp_path):
    found = examine(written(tmp_path), {})
    assert found.files == {tmp_path / "token"}
    assert found.settings is not None


def test_a_file_that_is_not_there_is_told_too(tmp_path):
    """Whoever waits for it has to know its name."""
    file = written(tmp_path)
    (tmp_path / "token").unlink()
    found = examine(file, {})
    assert found.settings is None
    assert found.files == {tmp_path / "token"}


def test_a_configuration_that_cannot_be_read_asks_for_nothing(tmp_path):
    assert examine(tmp_path / "absent.yaml", {}).files == frozenset()
    (tmp_path / "broken.yaml").write_text("{")
    assert examine(tmp_path / "broken.yaml", {}).files == frozenset()


def test_digest_follows_settings_and_not_secrets_or_spelling(tmp_path):
    """It may be shown to everybody, and two daemons with the same settings have the same."""
    first = digest(load(written(tmp_path), {}))
    assert len(first) == 64
    assert digest(load(written(tmp_path, "other"), {})) == first
    assert digest(load(written(tmp_path, text="collect: {poll_interval: 5000ms}"), {})) == first
    assert digest(load(written(tmp_path, text="collect: {poll_interval: 6s}"), {})) != first
