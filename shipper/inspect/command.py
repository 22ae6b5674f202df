"""`shipper ignite replicas | logs | events | build-log APP`: what the platform has now, over either transport.

Nothing is stored and no daemon is needed: it is what one looks at while setting the daemon up.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from shipper.ignite.connect import connect
from shipper.ignite.status import CallFailed
from shipper.inspect import replicas
from shipper.inspect.build_log import BuildOutput
from shipper.inspect.events import Events
from shipper.inspect.logs import Logs
from shipper.inspect.showing import Screen, Warn, Write
from shipper.inspect.trouble import explained
from shipper.model import App

if TYPE_CHECKING:  # loaded where the endpoint asks for it
    from shipper.config.platform import IgniteSettings
    from shipper.ignite.gateway.platform import HttpPlatform
    from shipper.ignite.grpc import GrpcPlatform

DONE: Final = 0
_HELPS: Final = {
    "replicas": "the replicas that run",
    "logs": "what they print: recent lines, or all, or from now on",
    "events": "what the platform observes of them",
    "build-log": "what the newest build or compile printed, or the one named",
}


def add_arguments(
    parser: argparse.ArgumentParser, add_config: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Declare the options of `shipper ignite`."""
    verbs = parser.add_subparsers(title="what to show", metavar="WHAT", required=True, dest="verb")
    for verb, text in _HELPS.items():
        told = verbs.add_parser(verb, help=text, description=f"Shows {text}.")
        told.add_argument("app", metavar="APP", type=_app, help="an app, or organization/app")
        if verb == "build-log":
            told.add_argument("build_id", metavar="ID", nargs="?", help="a build_id or deploy_id")
        add_config(told)
        told.add_argument("--output", choices=("table", "json"), default="table")
        if verb in ("logs", "events"):
            told.add_argument("--replica", metavar="ID", default="", help="only of this replica")
            told.add_argument("--limit", type=_number, metavar="N", help="no more than the newest N")
            told.add_argument(
                "--from-start",
                action="store_true",
                help="all that the platform still has, also before following",
            )
        if verb == "events":
            told.add_argument("--severity", metavar="S", default="", help="only of this one: Normal, Warning")
        if verb != "replicas":
            told.add_argument("-f", "--follow", action="store_true", help="go on until interrupted")


async def run(arguments: argparse.Namespace, settings: IgniteSettings, write: Write, warn: Warn) -> int:
    """Show it; the exit status. Raises a ShipperError that says what to do."""
    organization, name = arguments.app
    app = App(organization or settings.organization, name)
    screen = Screen(arguments.output == "json", write, warn)
    platform = connect(settings)
    try:
        await _show(arguments, platform, app, screen)
    except (CallFailed, ExceptionGroup) as error:
        first = _first(error)
        if isinstance(first, CallFailed):
            raise await explained(first, platform, app, getattr(arguments, "replica", "")) from first
        raise first from None  # such as that nobody reads any more
    finally:
        await platform.aclose()
    return DONE


async def _show(
    arguments: argparse.Namespace, platform: GrpcPlatform | HttpPlatform, app: App, screen: Screen
) -> None:
    match arguments.verb:
        case "replicas":
            await replicas.show(platform, app, screen)
        case "logs":
            logs = Logs(platform, app, screen, arguments.replica)
            if arguments.follow:
                await logs.follow(from_start=arguments.from_start)
            elif arguments.from_start:
                await logs.history()
            else:
                await logs.recent(arguments.limit)
        case "events":
            events = Events(platform, app, screen, arguments.replica, arguments.severity)
            if arguments.follow:
                await events.follow(from_start=arguments.from_start)
            else:
                await events.recent(arguments.limit)
        case _:
            await BuildOutput(platform.builds, app, screen).show(arguments.build_id, follow=arguments.follow)


def _first(error: Exception) -> Exception:
    """The first error in what a group of tasks raised."""
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


def _app(text: str) -> tuple[str, str]:
    organization, _, name = text.rpartition("/")
    if not name or "/" in organization:
        raise argparse.ArgumentTypeError(f"{text!r} is neither an app nor organization/app")
    return organization, name


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)
