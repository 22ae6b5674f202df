"""What the demo shows: one frame from one snapshot, as a live picture or as plain lines."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_PODS_SHOWN: Final = 6
_FEED_LINES: Final = 9
_FEED_LINES_LEAST: Final = 3
_WIDE: Final = 100  # columns from which pods are shown with their names
_NUMBERS_WIDTH: Final = 48
_NUMBERS_HEIGHT: Final = 11
_STATES: Final = {
    "running": ("●", "green"),
    "crashed": ("↻", "yellow"),
    "leaving": ("◌", "bright_black"),
    "stalled": ("●", "red"),
}


@dataclass(frozen=True, slots=True)
class Pod:
    """A replica as the view shows it. `state` is one of running, crashed, leaving, stalled."""

    name: str
    state: str
    restarts: int


@dataclass(frozen=True, slots=True)
class AppRow:
    """One app: its pods and how much it printed."""

    name: str
    pods: tuple[Pod, ...]
    printed: int
    rate: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that one frame shows."""

    phase: str
    elapsed_s: float
    duration_s: float
    apps: tuple[AppRow, ...] = ()
    printed: int = 0
    printed_rate: float = 0.0
    taken: int = 0
    taken_rate: float = 0.0
    delivered: int = 0
    backlog: int = 0  # records
    buffer_bytes: int = 0
    objects: int = 0
    object_bytes: int = 0
    streams: int = 0
    reconnects: int = 0
    duplicates: int = 0
    gaps: int = 0
    daemon_up: bool = False
    feed: tuple[tuple[int, str], ...] = ()  # (Unix ms, text), oldest first


class View(Protocol):
    """Shows snapshots for as long as a block runs; `say` writes lines that stay."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, snapshot: Snapshot) -> None:
        """Replace the picture."""


class LiveView:
    """A picture that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        frame = picture(snapshot, self._console.width, self._console.height)
        self._live.update(frame, refresh=True)


class PlainView:
    """One line every two seconds, and what happened in between; for logs and pipes."""

    _EVERY_S: Final = 2.0

    def __init__(self) -> None:
        self._next = 0.0
        self._told: set[tuple[int, str]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return

    def show(self, snapshot: Snapshot) -> None:
        for item in snapshot.feed:
            if item not in self._told:
                self._told.add(item)
                _write(f"{snapshot.elapsed_s:6.1f} s  {item[1]}")
        if snapshot.elapsed_s >= self._next:
            self._next = snapshot.elapsed_s + self._EVERY_S
            _write(
                f"{snapshot.elapsed_s:6.1f} s  {snapshot.phase}: printed {snapshot.printed:,} "
                f"({snapshot.printed_rate:,.0f}/s), taken {snapshot.taken:,}, archived {snapshot.delivered:,} in "
                f"{snapshot.objects} objects, {snapshot.backlog:,} in the buffer, {snapshot.streams} streams, "
                f"{snapshot.reconnects} reconnects"
            )


def picture(snapshot: Snapshot, width: int, height: int) -> RenderableType:
    """The whole frame; where there is little room, pods lose their names and the feed its older lines."""
    wide = width >= _WIDE
    body = Table.grid(padding=(0, 1), expand=True)
    body.add_column(ratio=1)
    body.add_column(width=_NUMBERS_WIDTH if wide else _NUMBERS_WIDTH - 4)
    body.add_row(_apps(snapshot, names=wide), _numbers(snapshot))
    rows = max(_NUMBERS_HEIGHT, len(snapshot.apps) + 4)
    lines = min(_FEED_LINES, max(_FEED_LINES_LEAST, height - rows - 4))
    return Group(_headline(snapshot), body, _feed(snapshot, lines))


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}" if unit == "B" else f"{count:,.1f} {unit}"
        count /= 1024
    return f"{count:,.1f} GiB"


def _headline(snapshot: Snapshot) -> RenderableType:
    done = min(1.0, snapshot.elapsed_s / snapshot.duration_s)
    width = 24
    filled = int(done * width)
    return Text.assemble(
        (" shipper demo ", "bold reverse"),
        "  ",
        ("━" * filled, "cyan"),
        ("─" * (width - filled), "bright_black"),
        f"  {snapshot.elapsed_s:.0f} s of {snapshot.duration_s:.0f} s   ",
        (snapshot.phase, "bold"),
    )


def _apps(snapshot: Snapshot, *, names: bool) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 1))
    table.add_column("app", no_wrap=True)
    table.add_column("replicas" if names else "pods", ratio=1, min_width=5)
    table.add_column("lines/s", justify="right", no_wrap=True)
    if names:
        table.add_column("printed", justify="right", no_wrap=True)
    for app in snapshot.apps:
        cells = [f"{app.rate:,.0f}", f"{app.printed:,}"]
        table.add_row(app.name, _pods(app.pods, names=names), *(cells if names else cells[:1]))
    legend = Text(" ", style="bright_black")
    for state, (sign, style) in _STATES.items():
        legend.append(sign, style=style)
        legend.append(f" {state}  ")
    return Panel(
        Group(table, legend) if names else table,
        title="Ignite (emulated)",
        title_align="left",
        border_style="blue",
    )


def _pods(pods: tuple[Pod, ...], *, names: bool) -> Text:
    if not pods:
        return Text("scaled to zero" if names else "zero", style="bright_black italic")
    if not names:
        return Text(" ").join(Text(*_STATES[pod.state]) for pod in pods)
    text = Text()
    for pod in pods[:_PODS_SHOWN]:
        sign, style = _STATES[pod.state]
        text.append(f"{sign}\N{NO-BREAK SPACE}{pod.name}", style=style)
        text.append(f"×{pod.restarts} " if pod.restarts else " ", style="yellow")
    if len(pods) > _PODS_SHOWN:
        text.append(f"+{len(pods) - _PODS_SHOWN}")
    return text


def _numbers(snapshot: Snapshot) -> RenderableType:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True, style="bright_black")
    table.add_row("lines printed", f"{snapshot.printed:,}", f"{snapshot.printed_rate:,.0f}/s")
    table.add_row("taken by shipper", f"{snapshot.taken:,}", f"{snapshot.taken_rate:,.0f}/s")
    table.add_row("in the archive", f"[bold green]{snapshot.delivered:,}[/]", "")
    table.add_row("objects written", f"{snapshot.objects:,}", size(snapshot.object_bytes))
    table.add_row("waiting in the buffer", f"{snapshot.backlog:,}", size(snapshot.buffer_bytes))
    table.add_row("streams open", f"{snapshot.streams}", "")
    table.add_row("reconnects", f"[yellow]{snapshot.reconnects}[/]", "")
    table.add_row("replayed, not repeated", f"{snapshot.duplicates:,}", "")
    table.add_row("gaps", f"[red]{snapshot.gaps}[/]" if snapshot.gaps else "0", "")
    title = "shipper" if snapshot.daemon_up else "shipper (starting)"
    return Panel(table, title=title, title_align="left", border_style="green")


def _feed(snapshot: Snapshot, count: int) -> RenderableType:
    lines = [
        Text.assemble(
            (_clock(at), "bright_black"), "  ", (text, _mood(text)), no_wrap=True, overflow="ellipsis"
        )
        for at, text in snapshot.feed[-count:]
    ]
    lines += [Text("")] * (count - len(lines))
    return Panel(Group(*lines), title="what happens", title_align="left", border_style="magenta")


def _clock(ms: int) -> str:
    return time.strftime("%H:%M:%S", time.localtime(ms / 1000))


def _mood(text: str) -> str:
    if any(word in text for word in ("crashed", "OOM", "evicted")):
        return "red"
    if any(word in text for word in ("cut", "stalled", "broken", "expired", "refused", "rotated")):
        return "yellow"
    return ""


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
