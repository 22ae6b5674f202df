"""Server-sent events: the `data` of each is one JSON object
(https://html.spec.whatwg.org/multipage/server-sent-events.html).

Comments (keep-alives) and fields other than `data` and `event` are skipped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from shipper.ignite.gateway.parsing import Object, objects_in_row, parsed
from shipper.ignite.transport import tidy

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_USUAL: Final = b"data: "
_BORDER: Final = b"\n\n"
_GOODBYE: Final = b"[DONE]"  # how some streams say that they end
_ENDLESS: Final = 4  # times the limit: what has not ended by then has no end
_LINE_COST: Final = 64  # bytes that a line needs beside its text: many short ones count too
_SHOWN: Final = 200


@dataclass(slots=True)
class Events:
    """Takes read after read. `bad` counts what was left out since it was last asked for: no object, or an event beyond
    `limit` bytes; `broken` says why nothing more can be understood.
    """

    limit: int
    broken: str = ""
    bad: int = 0
    _line: bytearray = field(default_factory=bytearray)
    _data: list[bytes] = field(default_factory=list)
    _name: bytes = b""
    _size: int = 0
    _after_return: bool = False

    @property
    def incomplete(self) -> bool:
        """Whether an event has begun and not ended."""
        return bool(self._line or self._data or self._name)

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return len(self._line) + sum(map(len, self._data)) + len(self._name)

    def feed(self, data: bytes) -> list[Object]:
        """The objects of the events that `data` completes, in order."""
        if self._after_return and data[:1] == b"\n":  # a line end that was cut in two
            data = data[1:]
        self._after_return = data.endswith(b"\r")
        items: list[Object] = []
        at = 0
        if self.incomplete:
            at = data.find(_BORDER) + len(_BORDER)
            if at < len(_BORDER):
                at = len(data)
            self._one_by_one(data[:at], items)
        if not self.incomplete:
            at = self._many(data, at, items)
        self._one_by_one(data[at:], items)
        return items

    def end(self) -> list[Object]:
        """The object of an event that only lacks its blank line: some servers forget the last."""
        items: list[Object] = []
        if self._line:
            self._line_ended(items)
        bad = self.bad
        kept = list(self._data)
        self._event_ended(items)
        if self.bad > bad:
            self.bad, self._data = bad, kept  # it was cut in its middle
        return items

    def _many(self, data: bytes, at: int, items: list[Object]) -> int:
        """As many whole events of one line each from `at` on as can be had at once; where they end. A line end cannot
        be in a text of JSON, so that as many objects came as events shows that this was right.
        """
        end = data.rfind(_BORDER, at) + len(_BORDER)
        if end < len(_BORDER) or not data.startswith(_USUAL, at):
            return at
        text = data[at + len(_USUAL) : end].rstrip(b"\n")
        border = _BORDER + _USUAL
        values = objects_in_row(text.replace(border, b","))
        if values is None or len(values) != text.count(border) + 1:
            return at
        items += values
        return end

    def _one_by_one(self, data: bytes, items: list[Object]) -> None:
        """Line by line to the end of data; of the last one that may be only the beginning."""
        *lines, rest = _LINE_END.split(data)
        for line in lines:
            self._keep(line)
            self._line_ended(items)
        self._keep(rest)

    def _keep(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self.limit:
            # Enough is kept to tell a line that is blank from one that is not.
            self._data.clear()
            part = part[:1] if not self._line else b""
            del self._line[1:]
        self._line += part
        if self._size > _ENDLESS * self.limit:
            self.broken = "an event does not end"

    def _line_ended(self, items: list[Object]) -> None:
        line = bytes(self._line)
        self._line.clear()
        if not line:
            self._event_ended(items)
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._size += _LINE_COST
            if self._size <= self.limit:
                self._data.append(value)
        elif name == b"event":
            self._name = value
        else:
            self._size -= len(line)  # comments may come for days before the next event

    def _event_ended(self, items: list[Object]) -> None:
        raw = b"\n".join(self._data)
        name, too_large = self._name, self._size > self.limit
        self._data, self._name, self._size = [], b"", 0
        if too_large:
            self.bad += 1
        if not raw or raw.strip() == _GOODBYE:
            return
        value = parsed(raw)
        if type(value) is dict:
            items.append(value)
        elif name == b"error":
            items.append({"error": tidy(raw[:_SHOWN].decode("utf-8", "replace"))})
        else:
            self.bad += 1
