"""HTML that cannot be broken by what is put into it: whatever is not markup already is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import Final

from shipper.telemetry.lines import escape as written_out

_PLAIN: Final = re.compile(r"[A-Za-z0-9 .,:;/_()%+#=?-]*")  # most of what is shown, quickly
_ALONE: Final = frozenset({"meta", "link", "input", "br"})


class Markup(str):
    """Text that is HTML. Only this module makes it of other text."""

    __slots__ = ()


Content = str | Iterable["Content"] | None


def tag(name: str, /, *content: Content, **attributes: str | int | float | bool | None) -> Markup:
    """An element. `class_` and `for_` are the attributes without the underscore, other underscores are hyphens; an
    attribute that is None or False is left out, one that is True has no value.
    """
    opening = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Markup(opening if name in _ALONE else f"{opening}{join(*content)}</{name}>")


def join(*content: Content) -> Markup:
    """Pieces one after the other."""
    return Markup("".join(map(_piece, content)))


def text(value: str) -> Markup:
    """Text of others: what a terminal or a reader of the page could be fooled with is written out."""
    if _PLAIN.fullmatch(value):
        return Markup(value)
    return Markup(escape(written_out(value)))


def _piece(content: Content) -> str:
    if content is None:
        return ""
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return text(content)
    return "".join(map(_piece, content))


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{text(str(value))}"'
