"""`shipper top`: the status in a terminal, again and again."""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import select
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from shipper.control.showing import safe
from shipper.errors import ShipperError

if TYPE_CHECKING:
    from rich.console import Console

    from shipper.config.endpoint import Address

DONE: Final = 0
PATIENCE_S: Final = 5.0
LARGEST: Final = 16 * 1024 * 1024
_HERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - who listens everywhere is asked here
_PIPE: Final = 160  # columns of what is no terminal
_TICK_S: Final = 0.1
_ONLY: Final = "verdict,received,gaps,drops,sinks,buffer,streams,replicas,platform,process"
_KEY: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|.", re.DOTALL)  # several may have come at once
_QUIT: Final = frozenset({"q", "Q", "\x03", "\x04"})
_STEPS: Final = {"\x1b[A": -1, "\x1b[B": 1, "k": -1, "j": 1}
_PAGES: Final = {"\x1b[5~": -1, "\x1b[6~": 1, "b": -1, " ": 1}


class Unreachable(ShipperError):
    """The daemon does not answer, or something else does; the message says which address was asked."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `shipper top`."""
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="the daemon's configuration: its telemetry.listen"
    )
    where.add_argument(
        "--url", metavar="URL", help="where the daemon's telemetry is, such as http://localhost:9464"
    )
    parser.add_argument("--app", default="", metavar="GLOB", help="only of these apps: a name or a glob")
    parser.add_argument("--replica", default="", metavar="GLOB", help="only these replicas")
    parser.add_argument("--once", action="store_true", help="print it once; as to what is no terminal")
    parser.add_argument("--interval", type=_seconds, default=2.0, metavar="SECONDS", help="default 2")


def address_of(listen: Address | None) -> str:
    """The URL of a daemon with this `telemetry.listen` on this machine. Raises Unreachable."""
    if listen is None:
        raise Unreachable("telemetry.listen is null: this daemon answers nobody")
    host = _HERE.get(listen.host, listen.host)
    return f"http://[{host}]:{listen.port}" if ":" in host else f"http://{host}:{listen.port}"


def run(arguments: argparse.Namespace, url: str, write: Callable[[str], None]) -> int:
    """Show it until it is enough; the exit status. Raises Unreachable where the first answer cannot be had."""
    from rich.console import Console

    asked = Asked(url, arguments.app, arguments.replica)
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=_PIPE)
    if arguments.once or not (console.is_terminal and sys.stdin.isatty()):
        _once(asked, console, write)
        return DONE
    with suppress(KeyboardInterrupt):
        _live(asked, console, arguments.interval)
    return DONE


@dataclass(frozen=True, slots=True)
class Asked:
    """Which daemon, and what of it."""

    url: str
    app: str = ""
    replica: str = ""

    def fetch(self, offset: int, limit: int) -> dict[str, Any]:
        """One answer. Raises Unreachable."""
        wanted = {"app": self.app, "replica": self.replica, "offset": offset, "limit": limit, "only": _ONLY}
        try:
            url = f"{_checked(self.url)}/api/status?{urlencode(wanted)}"
            # Without the environment's proxy, which knows nothing of this machine's own addresses.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(url, timeout=PATIENCE_S) as answer:
                status: dict[str, Any] = json.loads(answer.read(LARGEST))
        except urllib.error.HTTPError as error:
            said = error.read(500).decode("utf-8", "replace").strip()
            raise Unreachable(f"{self.url} answers {error.code}: {safe(said)}") from error
        except (OSError, ValueError) as error:
            what = getattr(error, "reason", error)  # without urllib's words around it
            if isinstance(what, ConnectionRefusedError):
                what = "nobody listens there; is the daemon running, and is this its telemetry.listen?"
            raise Unreachable(f"{self.url} does not answer: {safe(str(what))}") from error
        if status.get("v") != 1:
            raise Unreachable(f"{self.url} is no shipper that this version understands")
        return status


def _checked(url: str) -> str:
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("an address begins with http:// or https://")
    return url.rstrip("/")


def _once(asked: Asked, console: Console, write: Callable[[str], None]) -> None:
    from shipper.control.top_view import everything

    status = asked.fetch(0, 1000)
    with console.capture() as captured:
        console.print(everything(status))
    for line in captured.get().splitlines():
        write(line.rstrip())


def _live(asked: Asked, console: Console, interval_s: float) -> None:
    """Redraw at every answer, key and change of size. Who cannot be reached any more is told, and asked again."""
    from rich.live import Live

    from shipper.control.top_view import picture

    asking = Asking(asked, interval_s)
    asking.first(console.height)
    with (
        _keys() as pressed,
        Live(
            console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        ) as live,
    ):
        asking.start()
        drawn: object = None
        while True:
            now = (id(asking.status), asking.note, console.size)
            if now != drawn:
                shown = picture(asking.status, console.width, console.height, asking.note, asking.problem)
                live.update(shown, refresh=True)
                drawn = now
            for key in _KEY.findall(pressed()):
                if key in _QUIT:
                    return
                asking.key(key, console.height)


class Asking:
    """Asks in a thread of its own, so that keys are answered while the daemon is not."""

    def __init__(self, asked: Asked, interval_s: float) -> None:
        self.status: dict[str, Any] = {}
        self.problem = ""
        self.paused = False
        self._asked = asked
        self._interval_s = interval_s
        self._since = ""
        self._offset = 0
        self._limit = 50
        self._wake: queue.SimpleQueue[None] = queue.SimpleQueue()

    def first(self, height: int) -> None:
        """Raises Unreachable."""
        self._limit = max(10, height)
        self.status = self._asked.fetch(0, self._limit)

    def start(self) -> None:
        """From now on again and again; the thread ends with the process."""
        threading.Thread(target=self._run, name="asking", daemon=True).start()

    @property
    def note(self) -> str:
        """What is to be told beside the status."""
        if self.problem:
            return f"NO ANSWER since {self._since}"
        return "paused" if self.paused else ""

    def key(self, key: str, height: int) -> None:
        """A key that is not the end."""
        if key == "p":
            self.paused = not self.paused
        last = max(0, self.status["replicas"]["matching"] - 1)
        if key in ("g", "\x1b[H"):
            self._offset = 0
        self._offset += _STEPS.get(key, 0) + _PAGES.get(key, 0) * max(1, height // 2)
        self._offset = min(max(0, self._offset), last)
        self._limit = max(10, height)
        self._wake.put(None)

    def _run(self) -> None:
        while True:
            with suppress(queue.Empty):
                self._wake.get(timeout=self._interval_s)
            if self.paused:
                continue
            try:
                self.status = self._asked.fetch(self._offset, self._limit)
                self.problem = ""
            except Unreachable as error:
                if not self.problem:
                    self._since = time.strftime("%H:%M:%S")
                self.problem = str(error)


@contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """Keys as they are pressed, unseen; the terminal is as it was afterwards. A call waits a moment for one."""
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed() -> str:
        ready, _, _ = select.select([terminal], [], [], _TICK_S)
        return os.read(terminal, 32).decode("utf-8", "replace") or "\x04" if ready else ""

    try:
        tty.setcbreak(terminal)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.2 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.2 to 3600")
    return seconds
