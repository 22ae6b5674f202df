"""The commands. Each imports what it needs when it is the one given, so that `check` starts fast and `run` stays small.

Exit status: 0 done or drained, 1 failed at run time, 2 bad usage or bad configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeVar

from shipper import __version__
from shipper.errors import Problem, ShipperError

if TYPE_CHECKING:
    from shipper.buffer import Buffer
    from shipper.config.settings import Settings

DONE: Final = 0
FAILED: Final = 1
MISUSED: Final = 2

T = TypeVar("T")


class Command(Protocol):
    """What a room offers that brings a command of its own: `shipper.emulator.demo` and `shipper.emulator.serve`."""

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Declare the command's options."""

    def main(self, arguments: argparse.Namespace, /) -> int:
        """Do it; the exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = _parse(words)
        status: int = arguments.action(arguments)
    except _Ended as ended:
        return ended.status
    except KeyboardInterrupt:
        _say("interrupted")
        return FAILED
    except ShipperError as error:
        _say(str(error))
        return FAILED
    except BaseExceptionGroup as group:
        if group.split(ShipperError)[1] is not None:
            raise
        _say(str(_first(group)))
        return FAILED
    return status


def run(arguments: argparse.Namespace) -> int:
    """The daemon, in the foreground."""
    # What is not heeded yet must not end it; the configuration is looked at once more when it is.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    from shipper import cores
    from shipper.config.apart import Examination

    cores.leave_none()  # nor of the process that examines
    with Examination(arguments.config, os.environ) as examination:
        from shipper import daemon  # while the other process examines

        examined = examination.result()
    settings = _usable(examined.settings, examined.problems, arguments.config)
    if settings is None:
        return MISUSED
    version = daemon.Version(settings, examined.contents)
    return _run_async(daemon.run(version, config_path=arguments.config, watch=arguments.watch))


def check(arguments: argparse.Namespace) -> int:
    """Say everything that is wrong with the configuration, and with `--connect` whether it works."""
    from shipper.config.load import inspect
    from shipper.config.report import summary

    settings, problems = inspect(arguments.config, os.environ)
    _print_problems(problems, arguments.config)
    if settings is None:
        return MISUSED
    _print([f"{arguments.config}: ok", *(f"  {line}" for line in summary(settings))])
    return _connect(settings) if arguments.connect else DONE


def deadletter(arguments: argparse.Namespace) -> int:
    """Look at what sinks refused for good, send it again, or forget it."""
    settings = _settings(arguments.config)
    if settings is None:
        return MISUSED
    from shipper.control import deadletter as room

    opened = partial(_open_buffer, settings)
    return _run_async(room.run(arguments, settings.buffer.path, opened, lambda line: _print([line])))


def tap(arguments: argparse.Namespace) -> int:
    """Show records as they pass the daemon."""
    settings = _settings(arguments.config)
    if settings is None:
        return MISUSED
    from shipper.control import tap as room

    return room.run(arguments, settings.buffer.path, lambda line: _print([line]), room.warn_on_stderr)


def ignite(arguments: argparse.Namespace) -> int:
    """Show what the platform has now."""
    settings = _settings(arguments.config)
    if settings is None:
        return MISUSED
    from shipper.inspect import command as room

    try:
        return _run_async(room.run(arguments, settings.ignite, _print, _say))
    except KeyboardInterrupt:
        if getattr(arguments, "follow", False):  # that is how to end it
            return DONE
        raise


def top(arguments: argparse.Namespace) -> int:
    """Show in the terminal how the daemon does."""
    from shipper.control import top as room

    url: str | None = arguments.url
    if url is None:
        settings = _settings(arguments.config)
        if settings is None:
            return MISUSED
        url = room.address_of(settings.telemetry.listen)
    return room.run(arguments, url, lambda line: _print([line]))


def schema(arguments: argparse.Namespace) -> int:
    """Print the JSON Schema of the configuration."""
    from shipper.config.schema import schema_text

    _print([schema_text().rstrip()])
    return DONE


def _connect(settings: Settings) -> int:
    from shipper.daemon.trying import connect_report
    from shipper.telemetry.lines import escape

    report = _run_async(connect_report(settings))
    _print(
        escape(f"  {'ok    ' if ok else 'FAILED'}  {what}{': ' if message else ''}{message}")
        for what, ok, message in report
    )
    return DONE if all(ok for _, ok, _ in report) else FAILED


async def _open_buffer(settings: Settings) -> Buffer:
    """As the daemon does; for commands that find no daemon to ask."""
    from shipper import daemon
    from shipper.meter import Unmetered

    return await daemon.open_buffer(settings, Unmetered())


def _settings(config: Path) -> Settings | None:
    """The settings; errors are printed, and warnings go into the daemon's log in its own format."""
    from shipper.config.load import inspect

    return _usable(*inspect(config, os.environ), config)


def _usable(settings: Settings | None, problems: Sequence[Problem], config: Path) -> Settings | None:
    if settings is None:
        _print_problems(problems, config)
    elif problems:
        _log_warnings(settings, problems)
    return settings


def _log_warnings(settings: Settings, problems: Sequence[Problem]) -> None:
    import logging

    from shipper.telemetry.log import configure

    log = configure(settings.log.format, settings.log.level)
    try:
        for problem in problems:
            logging.getLogger("shipper.config").warning("%s", problem)
    finally:
        log.close()


def _print_problems(problems: Sequence[Problem], config: Path) -> None:
    from shipper.config.report import problem_lines, tally

    if not problems:
        return
    for line in problem_lines(problems, excerpts=sys.stderr.isatty()):
        print(line, file=sys.stderr)
    print(tally(problems, str(config)), file=sys.stderr)


def _run_async(work: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        return runner.run(work)


def _new_event_loop() -> asyncio.AbstractEventLoop:
    """uvloop's, which spends half of what asyncio's own does on streams; Windows has only that one."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _parse(words: list[str]) -> argparse.Namespace:
    parser = _Parser(
        prog="shipper", description="Keeps every log line and event of Ignite apps in an archive you own."
    )
    parser.add_argument("--version", action="version", version=f"shipper {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    command = next((word for word in words if not word.startswith("-")), None)

    told = commands.add_parser("run", help="run the daemon in the foreground")
    _add_config(told)
    told.add_argument(
        "--no-watch",
        dest="watch",
        action="store_false",
        help="read the configuration again on SIGHUP alone, not when it or a file that it names has changed",
    )
    told.set_defaults(action=run)

    told = commands.add_parser("check", help="say everything that is wrong with a configuration")
    _add_config(told)
    told.add_argument(
        "--connect",
        action="store_true",
        help="also look at the buffer's volume, and try the token, one ListAppReplicas and every sink",
    )
    told.set_defaults(action=check)

    told = commands.add_parser("schema", help="print the JSON Schema of the configuration")
    told.set_defaults(action=schema)

    told = commands.add_parser(
        "ignite", help="show what the platform has now: replicas, logs, events, builds"
    )
    if command == "ignite":
        from shipper.inspect import command as room_of_looks

        room_of_looks.add_arguments(told, _add_config)
        told.set_defaults(action=ignite)

    told = commands.add_parser("deadletter", help="look at what sinks refused for good, and send it again")
    if command == "deadletter":
        from shipper.control import deadletter as room_of_letters

        room_of_letters.add_arguments(told, _add_config)
        told.set_defaults(action=deadletter)

    told = commands.add_parser("top", help="show how the daemon does, live in the terminal")
    if command == "top":
        from shipper.control import top as room_of_sight

        room_of_sight.add_arguments(told)
        told.set_defaults(action=top)

    told = commands.add_parser("tap", help="show records as they pass the daemon")
    if command == "tap":
        from shipper.control import tap as room_of_records

        room_of_records.add_arguments(told, _add_config)
        told.set_defaults(action=tap)

    helps = {
        "demo": "show it all on this machine, without an account",
        "emulator": "run only the emulated Ignite",
    }
    for name, text in helps.items():
        told = commands.add_parser(name, help=text)
        if name == command:  # only then is the room imported: it brings grpcio and rich
            room = _room(name)
            room.add_arguments(told)
            told.set_defaults(action=room.main)
    if not words:
        parser.print_help(sys.stderr)
        parser.exit(MISUSED)
    return parser.parse_args(words)


def _room(command: str) -> Command:
    if command == "demo":
        from shipper.emulator import demo

        return demo
    from shipper.emulator import serve

    return serve


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", type=Path, required=True, metavar="FILE", help="the configuration (YAML)"
    )


class _Ended(Exception):
    """What there is to say has been said; only the status remains."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _Parser(argparse.ArgumentParser):
    """Ends with a status and not with SystemExit, and says where to read on."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            self._print_message(message, sys.stderr)
        raise _Ended(status)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(MISUSED, f"{self.prog}: {message}\nTry '{self.prog} --help'.\n")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _print(lines: Iterable[str]) -> None:
    """Print to stdout at once; a reader that has left (`shipper schema | head`) ends the command quietly."""
    encoding = sys.stdout.encoding or "utf-8"
    try:
        for line in lines:
            print(line.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # Python's own flush at exit must not fail too
        raise _Ended(FAILED) from None


def _say(message: str) -> None:
    from shipper.telemetry.lines import escape  # a message may quote a server

    print(f"shipper: {escape(message)}", file=sys.stderr)
