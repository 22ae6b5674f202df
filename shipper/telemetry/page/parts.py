"""Small pieces that the page is made of: times, states, tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shipper.telemetry.page.markup import Content, Markup, join, tag
from shipper.telemetry.words import lasting

_LOOKS: Final = {
    "live": "good",
    "healthy": "good",
    "on": "good",
    "parked": "poor",
}
NOTHING: Final = "–"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. `wide` ones are left out on a phone; `look` is `n` for numbers, `t` for texts."""

    title: str
    look: str = ""
    wide: bool = False

    @property
    def classes(self) -> str | None:
        return " ".join(filter(None, (self.look, "wide" if self.wide else ""))) or None


def section(name: str, title: str, *content: Content) -> Markup:
    """A part of the page under its heading."""
    return tag("section", tag("h2", title, id=name), *content, aria_labelledby=name)


def table(caption: str, columns: Sequence[Column], rows: Iterable[Sequence[Content]]) -> Markup:
    """A table whose rows begin with what they are about. It scrolls by itself where it is too wide."""
    head = tag("tr", *(tag("th", one.title, scope="col", class_=one.classes) for one in columns))
    body = [
        tag(
            "tr",
            tag("th", cells[0], scope="row", class_=columns[0].classes),
            *(
                tag("td", cell, class_=column.classes)
                for column, cell in zip(columns[1:], cells[1:], strict=True)
            ),
        )
        for cells in rows
    ]
    whole = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body))
    return tag("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)


def pairs(*known: tuple[str, Content], class_: str = "facts") -> Markup:
    """Names and their values."""
    if class_ == "facts":
        return tag("dl", *(join(tag("dt", name), tag("dd", value)) for name, value in known), class_=class_)
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in known), class_=class_)


def state(name: str) -> Markup:
    """A state by its word, its sign and its colour."""
    return tag("span", name, class_=f"state {_LOOKS.get(name, 'fair')}")


def dim(*content: Content) -> Markup:
    """What matters less."""
    return tag("span", *content, class_="dim")


def ago(at: str | None, now: str) -> Content:
    """A time by how long it is ago."""
    if at is None:
        return NOTHING
    seconds = _seconds(at, now)
    words = f"in {lasting(-seconds)}" if seconds < -1 else f"{lasting(seconds)} ago"
    return tag("time", words, datetime=at)


def lasted(since: str | None, now: str) -> Content:
    """How long something has been so."""
    if since is None:
        return NOTHING
    return tag("time", lasting(_seconds(since, now)), datetime=since)


def _seconds(at: str, now: str) -> float:
    return (datetime.fromisoformat(now) - datetime.fromisoformat(at)).total_seconds()


def app_name(app: str, status: Mapping[str, Any]) -> str:
    """An app's name without the organization that all of them have."""
    return app.removeprefix(f"{status['platform']['organization']}/")


def clock(at: str | None) -> Content:
    """A time by date and hour, in UTC."""
    if at is None:
        return NOTHING
    return tag("time", at[:10] + " " + at[11:19], datetime=at)


def number(value: float | None) -> str:
    """`12,345`, `0.4`."""
    if value is None:
        return NOTHING
    return f"{value:,.1f}" if 0 < value < 10 and value != int(value) else f"{value:,.0f}"


def counted(counts: Mapping[str, Any]) -> str:
    """`live 3, waiting 1`."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or NOTHING
