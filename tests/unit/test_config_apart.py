"""A configuration examined in another process: what comes back is what would have been found here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shipper.config import apart
from shipper.config.answering import answered
from shipper.config.apart import Examination, examine
from shipper.config.digest import digest
from shipper.config.examined import Examined
from shipper.config.load import examine_as_held
from shipper.config.secret import Secret, secrets_in
from shipper.config.section import Section
from shipper.config.snapshot import Snapshot

ROOT = Path(__file__).parents[2]
ENVIRON = {
    "IGNITE_CLIENT_ID": "id",
    "IGNITE_CLIENT_SECRET": "of-the-client",
    "DD_API_KEY": "0123456789abcdef0123456789abcdef",
    "SENTRY_DSN": "https://0123456789abcdef0123456789abcdef@sentry.example/1",
    "TOKEN": "hunter22",
}
SHORT = """\
ignite:
  endpoint: grpcs://rpc.dodil.io
  organization: acme
  auth: {type: token, token: "${TOKEN}"}
sinks:
  local: {type: directory, path: out}
"""


def here_and_there(file: Path, environ: Mapping[str, str] = ENVIRON) -> tuple[Examined, Examined]:
    return examine_as_held(file, environ), examine(file, environ)


def same(here: Any, there: Any) -> int:
    """Compare value by value, everything that is not a section by its type as well; how many sections there are."""
    if isinstance(here, Section):
        assert isinstance(there, Snapshot)
        assert here.as_data() == there.as_data()
        assert [name for name, _ in here] == [name for name, _ in there]
        return 1 + sum(same(value, getattr(there, name)) for name, value in here)
    assert type(here) is type(there)
    if isinstance(here, Mapping):
        assert list(here) == list(there)
        return sum(same(value, there[key]) for key, value in here.items())
    if isinstance(here, (tuple, list)):
        return sum(same(*pair) for pair in zip(here, there, strict=True))
    assert here == there
    return 0


@pytest.mark.parametrize("name", ["full", "datadog", "routing", "s3", "minimal"])
def test_every_value_of_the_examples_is_the_same(name: str, tmp_path: Path) -> None:
    text = (ROOT / f"config/{name}.yaml").read_text()
    file = tmp_path / "shipper.yaml"
    file.write_text(text)
    environ = {
        **ENVIRON,
        **dict.fromkeys(_variables(text) - set(ENVIRON), "0123456789abcdef0123456789abcdef"),
    }
    here, there = here_and_there(file, environ)
    assert here.problems == there.problems
    assert here.settings is not None, here.problems
    assert there.settings is not None
    assert same(here.settings, there.settings) > 8
    assert digest(here.settings) == digest(there.settings)
    assert set(secrets_in(here.settings)) == set(secrets_in(there.settings)) != set()
    assert (here.files, here.contents) == (there.files, there.contents)


def _variables(text: str) -> set[str]:
    return {
        part.partition("}")[0].partition(":")[0]
        for part in text.split("${")[1:]
        if not part.startswith("file:")
    }


def test_problems_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "shipper.yaml"
    file.write_text(SHORT + "nonsense: 1\nlog: {level: loud}\n")
    here, there = here_and_there(file)
    assert there.settings is None
    assert len(there.problems) == 2
    assert here.problems == there.problems


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    examined = examine(tmp_path / "none.yaml", {})
    assert "No such file" in str(examined.problems[0])


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may look everywhere")
def test_a_folder_that_cannot_be_looked_into_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    examined = examine(tmp_path / "closed" / "shipper.yaml", {})
    assert "Permission denied" in str(examined.problems[0])


def test_a_path_that_no_process_can_be_given_is_a_problem_as_well() -> None:
    assert "not a path" in str(examine("a\0b", {}).problems[0])


def test_where_no_process_can_be_started_it_is_examined_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "shipper.yaml"
    file.write_text(SHORT)
    elsewhere = examine(file, ENVIRON)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    examined = examine(file, ENVIRON)
    assert isinstance(examined.settings, Snapshot)
    assert examined == elsewhere


def test_a_process_that_ends_without_an_answer_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "_PROGRAM", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    examined = examine(tmp_path / "shipper.yaml", ENVIRON)
    assert examined.settings is None
    assert f"ended with status -{signal.SIGKILL.value}" in str(examined.problems[0])


def test_it_does_not_outlive_who_asked_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_PROGRAM", "import signal; signal.pause()")
    examination = Examination(tmp_path / "shipper.yaml", ENVIRON)
    with pytest.raises(KeyboardInterrupt), examination:
        raise KeyboardInterrupt
    assert examination._process is not None
    assert examination._process.returncode == -signal.SIGKILL


def test_a_configuration_that_comes_through_an_inherited_pipe_is_read(tmp_path: Path) -> None:
    """`shipper run --config <(...)`, and once only."""
    out, into = os.pipe()
    os.write(into, (SHORT + "# ${file:/nowhere}\n").encode())
    os.close(into)
    os.set_inheritable(out, True)
    try:
        examined = examine(f"/dev/fd/{out}", ENVIRON)
    finally:
        os.close(out)
    assert examined.settings is not None, examined.problems


def test_modules_where_the_daemon_was_started_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "shipper.yaml"
    file.write_text(SHORT)
    (tmp_path / "yaml.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert examine(file, ENVIRON).settings is not None


def test_the_files_that_a_configuration_names_are_looked_at_before_they_are_read(tmp_path: Path) -> None:
    secret, other = tmp_path / "token", tmp_path / "other"
    secret.write_text("hunter22")
    secret.chmod(0o600)
    other.write_text("o")
    file = tmp_path / "shipper.yaml"
    file.write_text(SHORT.replace("${TOKEN}", f"${{file:{secret}}}"))
    examined = examine(file, {}, [other])
    assert set(examined.contents) == {file, secret, other}
    assert all(examined.contents.values())
    assert examined.files == {secret}


# ---- snapshots ----


def test_a_snapshot_is_equal_to_one_that_says_the_same() -> None:
    one, same_, other = (Snapshot("Tls", {"ca_file": name}, {}) for name in ("a", "a", "b"))
    assert one == same_ != other
    assert one != Snapshot("Other", {"ca_file": "a"}, {})
    assert one != "a"
    assert len({one, same_, other}) == 2


def test_a_snapshot_is_frozen_and_says_what_it_has_not() -> None:
    one = Snapshot("Tls", {"ca_file": None}, {})
    with pytest.raises(AttributeError, match="frozen"):
        one.ca_file = "b"
    with pytest.raises(AttributeError, match="frozen"):
        del one.ca_file
    with pytest.raises(AttributeError, match="Tls has no setting 'cafile'"):
        _ = one.cafile
    with pytest.raises(AttributeError):
        _ = one._nothing


def test_a_snapshot_shows_no_secret() -> None:
    one = Snapshot("Auth", {"type": "token", "token": Secret("hunter22")}, {"type": "token", "token": "***"})
    assert "hunter22" not in f"{one} {one!r} {one.as_data()}"
    assert one.as_data("token") == {"type": "token"}


def test_only_the_process_that_asked_is_told_secrets(tmp_path: Path) -> None:
    file = tmp_path / "shipper.yaml"
    file.write_text(SHORT)
    assert b"hunter22" in answered(file, ENVIRON, [])
    run = subprocess.run(
        [sys.executable, "-c", "from shipper.config.answering import main; main()", "none.yaml"],
        capture_output=True,
        env=ENVIRON,
        cwd=ROOT,
        check=True,
    )
    assert run.stderr == b""
    assert b"hunter22" not in run.stdout
