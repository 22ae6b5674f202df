"""The commands: what they print where, their exit status, and what they leave unimported."""

import json
import os
import signal
import subprocess
import sys
import types

import pytest

import shipper
from shipper import cli, cores
from shipper.errors import BufferLocked

WITH_A_WARNING = (
    '  dd: {type: datadog, site: datadoghq.eu, api_key: "${TOKEN}", endpoint_url: http://proxy.example}\n'
)
GOOD = """\
ignite:
  endpoint: grpcs://rpc.dodil.io
  organization: acme
  auth: {type: token, token: "${TOKEN}"}
sinks:
  archive: {type: s3, bucket: logs, prefix: p}
  local: {type: directory, path: out}
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("TOKEN", "hunter22")
    file = tmp_path / "shipper.yaml"
    file.write_text(GOOD)
    return file


@pytest.fixture
def daemon(monkeypatch):
    """A daemon that does nothing but note how it was called."""
    fake = types.SimpleNamespace(called=[], status=0, report=[], error=None)

    async def run(version, *, config_path, watch):
        fake.called.append((version.settings.ignite.organization, config_path))
        fake.watches = watch
        if fake.error is not None:
            raise fake.error
        return fake.status

    async def connect_report(settings):
        fake.called.append(settings.ignite.organization)
        return fake.report

    fake.run, fake.connect_report = run, connect_report
    monkeypatch.setattr(cores, "leave_none", lambda: None)
    fake.Version = lambda settings, contents: types.SimpleNamespace(settings=settings, contents=contents)
    monkeypatch.setitem(sys.modules, "shipper.daemon", fake)
    monkeypatch.setitem(sys.modules, "shipper.daemon.trying", fake)
    monkeypatch.setattr(shipper, "daemon", fake, raising=False)
    return fake


@pytest.mark.parametrize(("words", "watches"), [([], True), (["--no-watch"], False)])
def test_run_watches_its_files_unless_told_otherwise(config, daemon, words, watches):
    assert cli.main(["run", "--config", str(config), *words]) == 0
    assert daemon.watches is watches


def test_check_of_a_good_configuration_says_what_it_does(config, capsys):
    assert cli.main(["check", "--config", str(config)]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[0] == f"{config}: ok"
    for part in (
        "grpcs://rpc.dodil.io:443 (token)",
        "acme",
        "archive: s3://logs/p, zstd",
        "local: directory out",
    ):
        assert part in out
    assert "hunter22" not in out


def test_check_prints_every_problem_and_their_number_to_stderr(config, capsys):
    config.write_text(GOOD + "collect: {builds: true, nope: 1}\nlog: {level: loud, format: xml}\n")
    assert cli.main(["check", "--config", str(config)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"{config}:8:25: collect.nope: unknown key; accepted here: poll_interval, logs, events, builds, "
        "build_ids",
        f'{config}:9:14: log.level: "loud" is not one of debug, info, warning, error',
        f'{config}:9:28: log.format: "xml" is not one of text, json',
        f"3 errors in {config}",
    ]


def test_check_with_warnings_alone_is_good_and_shows_them(config, capsys):
    config.write_text(GOOD + WITH_A_WARNING)
    assert cli.main(["check", "-c", str(config)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{config}: ok\n")
    assert err.splitlines() == [
        f"{config}:8:78: sinks.dd.endpoint_url: warning: is http, so lines and the key cross the network in clear "
        "text; use https",
        f"1 warning in {config}",
    ]


def test_check_of_a_missing_file_says_so(tmp_path, capsys):
    assert cli.main(["check", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: cannot be read: No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(("ok", "status"), [(True, 0), (False, 1)])
def test_check_connect_tries_and_reports_each_thing(config, daemon, capsys, ok, status):
    daemon.report = [("token", True, ""), ("sink archive", ok, "no such bucket")]
    assert cli.main(["check", "--config", str(config), "--connect"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [
        "  ok      token",
        f"  {'ok    ' if ok else 'FAILED'}  sink archive: no such bucket",
    ]


def test_check_connect_tries_nothing_with_a_bad_configuration(config, daemon):
    config.write_text(GOOD + "nope: 1\n")
    assert cli.main(["check", "--config", str(config), "--connect"]) == 2
    assert daemon.called == []


@pytest.mark.parametrize("status", [0, 1])
def test_run_ends_with_the_daemons_status(config, daemon, status):
    daemon.status = status
    assert cli.main(["run", "--config", str(config)]) == status
    assert daemon.called == [("acme", config)]


def test_run_with_a_bad_configuration_prints_its_problems_and_starts_nothing(config, daemon, capsys):
    config.write_text(GOOD.replace("acme", "''"))
    assert cli.main(["run", "--config", str(config)]) == 2
    assert daemon.called == []
    assert capsys.readouterr().err.splitlines() == [
        f"{config}:3:17: ignite.organization: the value is empty",
        f"1 error in {config}",
    ]


def test_run_puts_warnings_into_the_log_in_its_own_format(config, daemon, capsys):
    config.write_text(GOOD + WITH_A_WARNING + "log: {format: json}\n")
    assert cli.main(["run", "--config", str(config)]) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert "cross the network in clear text" in json.loads(line)["message"]


@pytest.mark.parametrize(
    "error",
    [
        BufferLocked("the buffer is held by process 4711"),
        ExceptionGroup(
            "tasks", [ExceptionGroup("inner", [BufferLocked("the buffer is held by process 4711")])]
        ),
    ],
)
def test_known_error_is_a_message_and_no_traceback(config, daemon, capsys, error):
    daemon.error = error
    assert cli.main(["run", "--config", str(config)]) == 1
    assert capsys.readouterr().err == "shipper: the buffer is held by process 4711\n"


def test_name_that_the_terminal_cannot_show_is_escaped(config):
    config.write_text(GOOD.replace("acme", "\u0430cme"), encoding="utf-8")
    code = "import sys; from shipper.cli import main; sys.exit(main(sys.argv[1:]))"
    done = python(code, "check", "-c", str(config), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "\\u0430cme" in done.stdout


def test_unknown_error_keeps_its_traceback(config, daemon):
    daemon.error = ExceptionGroup("tasks", [BufferLocked("held"), ValueError("a bug")])
    with pytest.raises(ExceptionGroup):
        cli.main(["run", "--config", str(config)])


def test_ctrl_c_prints_no_traceback(config, daemon, capsys):
    daemon.error = KeyboardInterrupt()
    assert cli.main(["run", "--config", str(config)]) == 1
    assert capsys.readouterr().err == "shipper: interrupted\n"


def test_schema_is_printed_whole(capsys):
    assert cli.main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"shipper {shipper.__version__}\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([], "usage: shipper"),
        (["rnu"], "invalid choice: 'rnu'"),
        (["run"], "the following arguments are required: -c/--config"),
        (["check", "--config"], "expected one argument"),
        (["check", "--config", "x", "--frob"], "unrecognized arguments: --frob"),
        (["demo", "--frob"], "unrecognized arguments: --frob"),
    ],
)
def test_wrong_usage_says_what_to_do(words, hint, capsys):
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert hint in err
    assert "--help" in err or "COMMAND" in err


def test_help_names_all_commands_without_importing_their_rooms(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(
        f"\n  {command} " in out or f"\n    {command} " in out
        for command in ("run", "check", "demo", "schema")
    )


@pytest.mark.parametrize(("command", "room"), [("demo", "demo"), ("emulator", "serve")])
def test_commands_of_the_emulator_bring_their_own_arguments(monkeypatch, command, room):
    seen = []
    fake = types.SimpleNamespace(
        add_arguments=lambda parser: parser.add_argument("--listen"),
        main=lambda arguments: seen.append(arguments.listen) or 1,
    )
    emulator = pytest.importorskip("shipper.emulator")
    monkeypatch.setitem(sys.modules, f"shipper.emulator.{room}", fake)
    monkeypatch.setattr(emulator, room, fake, raising=False)
    assert cli.main([command, "--listen", "127.0.0.1:0"]) == 1
    assert seen == ["127.0.0.1:0"]


def python(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        **options,
    )


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["--help"], ["pydantic", "yaml", "grpc", "rich", "aiobotocore", "uvloop", "aiohttp"]),
        (["schema"], ["grpc", "rich", "aiobotocore", "uvloop", "aiohttp", "hpack", "sqlite3"]),
        (["check", "--config"], ["grpc", "rich", "aiobotocore", "uvloop", "aiohttp", "hpack", "sqlite3"]),
    ],
)
def test_command_imports_only_what_it_needs(config, words, absent):
    code = (
        "import sys; from shipper.cli import main; status = main(sys.argv[2:]);"
        "print(sorted(set(sys.argv[1].split()) & set(sys.modules)), file=sys.stderr); sys.exit(status)"
    )
    config_word = [str(config)] if words[-1] == "--config" else []
    done = python(code, " ".join(absent), *words, *config_word)
    assert (done.returncode, done.stderr) == (0, "[]\n")


def test_daemon_needs_neither_grpcio_nor_rich():
    done = python(
        "import sys, shipper.daemon; print(sorted({'grpc', 'rich', 'aiobotocore'} & set(sys.modules)))"
    )
    assert done.stdout == "[]\n", done.stderr


def test_output_that_nobody_reads_is_no_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as nobody:
        done = subprocess.run(
            [sys.executable, "-m", "shipper", "schema"],
            stdout=nobody,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_real_ctrl_c_ends_a_command_quietly(config):
    """The configuration is a pipe that nobody writes to, so the command waits until it is interrupted."""
    os.mkfifo(config.with_name("pipe"))
    process = subprocess.Popen(
        [sys.executable, "-m", "shipper", "check", "--config", str(config.with_name("pipe"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        writer = os.open(
            config.with_name("pipe"), os.O_WRONLY
        )  # returns when the command has opened it to read
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        os.close(writer)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert err.decode() == "shipper: interrupted\n"
