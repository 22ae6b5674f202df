"""The picture of `shipper top`: one answer of /api/status as lines for a terminal of a given size. Pure.

What comes from others is written out, and is text to rich and never its markup: no terminal is to obey it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from shipper.control.showing import safe

Json = Mapping[str, Any]

_LEVELS: Final = {"ok": "bold green", "warning": "bold yellow", "critical": "bold red", "note": "cyan"}
_STATES: Final = {"live": "green", "healthy": "green", "parked": "bold red"}
_MARKS: Final = {"live": "●", "healthy": "●", "parked": "■"}
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))
_DIM: Final = "bright_black"
_NOTHING: Final = "–"
_WIDE: Final = 110  # columns from which there is room for what matters less
_INDENT: Final = 9  # of what is said, behind how grave it is
_SHARES: Final = {"LAST ERROR": 1, "REPLICA": 3, "LAST END": 2}
KEYS: Final = "q quit   ↑ ↓ PgUp PgDn replicas   g first   p pause"


def picture(status: Json, width: int, height: int, note: str = "", problem: str = "") -> RenderableType:
    """The whole of it, `height` lines at the most. `note` stands at the top, `problem` in place of the keys."""
    sinks = status["sinks"][: max(1, (height - 8) // 4)]
    findings = _findings(status, max(1, (height - 8) // 5))
    used = len(findings) + len(sinks) + len(status["replicas"]["items"]) + 9
    findings = _whole(status, findings, width, max(height - used, height // 8))
    rows = max(1, height - len(findings) - len(sinks) - 9)
    return Group(
        _title(status, note),
        _line(_verdict(status)),
        *findings,
        _numbers(status),
        _more(status),
        Text(""),
        _sinks(sinks, status["at"], wide=width >= _WIDE),
        _place(status, rows),
        _replicas(status, rows, wide=width >= _WIDE),
        _text(problem, "bold yellow") if problem else _text(KEYS, _DIM),
    )


def everything(status: Json) -> RenderableType:
    """All of it, however many lines that takes: for a pipe."""
    return Group(
        _title(status, ""),
        _verdict(status),
        *_findings(status, len(status["verdict"]["findings"]), todo=True),
        _numbers(status),
        _more(status),
        Text(""),
        _sinks(status["sinks"], status["at"], wide=True),
        _place(status, len(status["replicas"]["items"])),
        _replicas(status, len(status["replicas"]["items"]), wide=True),
    )


def _title(status: Json, note: str) -> Text:
    process = status["process"]
    said = Text.assemble(
        (" shipper ", "bold reverse"),
        f" {safe(status['platform']['organization'])}  ",
        (
            f"{process['version']}, up {lasting(process['uptime_seconds'])}, as of {status['at'][11:19]} UTC",
            _DIM,
        ),
    )
    if note:
        said.append(f"  {safe(note)}", style="bold yellow")
    return _line(said)


def _verdict(status: Json) -> Text:
    verdict = status["verdict"]
    return Text(safe(verdict["text"]), style=_LEVELS.get(verdict["level"], ""))


def _findings(status: Json, most: int, *, todo: bool = False) -> list[Text]:
    found = status["verdict"]["findings"]
    lines = []
    for one in found[:most]:
        line = Text.assemble((f"{one['level']:<{_INDENT}}", _LEVELS.get(one["level"], "")), safe(one["text"]))
        if todo and one["todo"]:
            line.append(f" {safe(one['todo'])}", style=_DIM)
        lines.append(line if todo else _line(line))
    if len(found) > most:
        lines[-1] = _line(
            Text(f"{'':<{_INDENT}}and {len(found) - most + 1} more: see the status page", style=_DIM)
        )
    return lines


def _whole(status: Json, lines: Sequence[Text], width: int, spare: int) -> list[Text]:
    """The lines of the findings, each over as many as it needs, with what to do, as long as there are spare ones."""
    shown: list[Text] = []
    for line, one in zip(lines, status["verdict"]["findings"], strict=False):
        whole = [line]
        for said in (
            (f"{one['text']} {one['todo']}", one["text"]) if line.plain.startswith(one["level"]) else ()
        ):
            parts = wrap(safe(said), max(20, width - _INDENT))
            if len(parts) <= 1 + spare:
                level = (f"{one['level']:<{_INDENT}}", _LEVELS.get(one["level"], ""))
                whole = [Text.assemble(" " * _INDENT if n else level, part) for n, part in enumerate(parts)]
                break
        spare -= len(whole) - 1
        shown += map(_line, whole)
    return shown


def _numbers(status: Json) -> Text:
    gaps, drops = status["gaps"], status["drops"]
    streams = status["streams"].get("logs", {})
    lost = [gaps[one]["total"] for one in ("last_15_minutes", "last_24_hours")]
    style = "bold red" if lost[0] else ""
    return _line(
        Text.assemble(
            f"in {number(status['received']['records_per_second'])}/s   ",
            (f"gaps {lost[0]:,} in 15m, {lost[1]:,} in 24h   ", style),
            f"lost {drops['last_15_minutes']['total']:,} in 15m   ",
            f"streams {streams.get('live', 0):,} of {sum(streams.values()):,} live",
        )
    )


def _more(status: Json) -> Text:
    buffer, process = status["buffer"], status["process"]
    share = buffer["bytes"] / buffer["limit_bytes"] if buffer["limit_bytes"] else 0.0
    held = "  HOLDS STREAMS BACK" if buffer["holding_streams_back"] else ""
    memory = process["resident_bytes"]
    return _line(
        Text.assemble(
            f"buffer {share:.1%} of {size(buffer['limit_bytes'])}",
            (held, "bold red"),
            f"   memory {_NOTHING if memory is None else size(memory)}",
            f"   CPU {_NOTHING if process['cpu_share'] is None else format(process['cpu_share'], '.1%')}",
            f"   loop lag {process['event_loop_lag_seconds'] * 1000:,.0f} ms",
        )
    )


def _sinks(sinks: Sequence[Json], at: str, *, wide: bool) -> Table:
    titles = ["SINK", "STATE", "WAITING", "OLDEST", *(["DELIVERED", "LETTERS"] if wide else []), "LAST ERROR"]
    table = _table(titles, right={"WAITING", "OLDEST", "DELIVERED", "LETTERS"})
    for sink in sinks:
        oldest, error = sink["oldest_unacknowledged_seconds"], sink["last_error"]
        more = [_ago(sink["last_delivery_at"], at), f"{sink['dead_letters']:,}"] if wide else []
        said = _NOTHING if error is None else f"{error['text']} ({_ago(error['at'], at)} ago)"
        table.add_row(
            _text(sink["name"]),
            _state(sink["state"]),
            f"{sink['backlog_records']:,}",
            _NOTHING if oldest is None else lasting(oldest),
            *more,
            _text(said, style="" if sink["state"] != "healthy" else _DIM),
        )
    return table


def _replicas(status: Json, rows: int, *, wide: bool) -> Table:
    known, at = status["replicas"], status["at"]
    shown = known["items"][:rows]
    titles = ["REPLICA", "APP", "STATE", "LAG", "/S", *(["FOR", "RECONNECTS", "LAST END"] if wide else [])]
    table = _table(titles, right={"LAG", "/S", "FOR", "RECONNECTS"})
    for replica in shown:
        for stream in replica["subscriptions"][:1]:
            more: list[str | Text] = []
            if wide:
                more = [
                    _ago(stream["since"], at),
                    f"{stream['reconnects']:,}",
                    _text(stream["last_end"], _DIM),
                ]
            table.add_row(
                _text(replica["replica"]),
                _text(replica["app"].partition("/")[2]),
                _state(stream["state"]),
                _NOTHING if stream["lag_seconds"] is None else lasting(stream["lag_seconds"]),
                number(stream["records_per_second"]),
                *more,
            )
    return table


def _place(status: Json, rows: int) -> Text:
    known = status["replicas"]
    first, shown = known["offset"], min(rows, len(known["items"]))
    if not shown:
        return Text("no replica", style=_DIM)
    return Text(f"{first + 1:,} to {first + shown:,} of {known['matching']:,} replicas", style=_DIM)


def _table(titles: Iterable[str], right: set[str]) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1, 0, 0), header_style="bold", show_edge=False)
    for title in titles:
        table.add_column(
            title,
            justify="right" if title in right else "left",
            no_wrap=True,
            overflow="ellipsis",
            ratio=_SHARES.get(title),
            max_width=24 if title in ("SINK", "APP") else None,
        )
    return table


def _state(name: str) -> Text:
    return Text(f"{_MARKS.get(name, '▲')} {safe(name)}", style=_STATES.get(name, "yellow"))


def _text(value: str, style: str = "") -> Text:
    return Text(safe(value), style=style, no_wrap=True, overflow="ellipsis")


def _line(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _ago(at: str | None, now: str) -> str:
    if at is None:
        return _NOTHING
    return lasting((datetime.fromisoformat(now) - datetime.fromisoformat(at)).total_seconds())


def lasting(seconds: float) -> str:
    """`45s`, `2m`, `3h20m`."""
    whole = round(max(seconds, 0.0))
    for index, (length, unit) in enumerate(_UNITS):
        if whole >= length:
            count, rest = divmod(whole, length)
            smaller = rest // _UNITS[index + 1][0] if length > 60 else 0
            return f"{count}{unit}" + (f"{smaller}{_UNITS[index + 1][1]}" if smaller else "")
    return "0s"


def number(value: float | None) -> str:
    """`12,345`, `0.4`."""
    if value is None:
        return _NOTHING
    return f"{value:,.1f}" if 0 < value < 10 and value != int(value) else f"{value:,.0f}"


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.0f} {unit}"
        count /= 1024
    return f"{count:,.0f} TiB"
