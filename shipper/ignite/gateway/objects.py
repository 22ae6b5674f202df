"""JSON objects out of a stream: one a line, one right after the other, or the elements of an array that grows.

Nearly always a read is many whole objects, so they go to the parser all at once. That is exact, and no guess: text that
the parser takes from its beginning to its end was cut where objects end. What a read cuts, and all that is laid out in
another way, goes through the scanner.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from shipper.ignite.gateway.parsing import Object, objects, objects_in_row, parsed
from shipper.ignite.gateway.scanner import Scanner
from shipper.ignite.transport import tidy

BLANK: Final = b" \t\r\n"
_BETWEEN: Final = BLANK + b","
_OPENING: Final = re.compile(rb"[{\[]")
_OPENING_OR_END: Final = re.compile(rb"[{\[\]]")
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class _Layout:
    """How objects may follow each other. `border` lies between two, the first byte of it belonging to the first;
    `glue` becomes `glued`, and then there are commas between all of them.

    A line end cannot be in a text of JSON, and `}{` only in its texts or between objects; so that as many objects came
    as were glued shows that no text was touched.
    """

    border: bytes
    glue: bytes = b""
    glued: bytes = b""


_LINES: Final = _Layout(b"\n", b"\n", b",")
_OBJECTS: Final = (_LINES, _Layout(b'}{"', b"}{", b"},{"))
_ELEMENTS: Final = (_Layout(b'},{"'), _Layout(b"\n"))


@dataclass(slots=True)
class Objects:
    """Takes read after read. With `array` the objects are elements, and `rest` is what followed the array's end, None
    before that. `bad` counts what was left out since it was last asked for; `broken` says why nothing more can be
    understood.
    """

    limit: int
    array: bool = False
    rest: bytes | None = None
    broken: str = ""
    bad: int = 0
    _scanner: Scanner = field(init=False)
    _layouts: tuple[_Layout, ...] = field(init=False)
    _layout: _Layout | None = None  # in which whole objects came before

    def __post_init__(self) -> None:
        self._scanner = Scanner(self.limit)
        self._layouts = _ELEMENTS if self.array else _OBJECTS

    @property
    def incomplete(self) -> bool:
        """Whether an object, or the array, has begun and not ended."""
        return self._scanner.began or (self.array and self.rest is None)

    @property
    def held(self) -> int:
        """Bytes that are kept."""
        return self._scanner.held

    def feed(self, data: bytes) -> list[Object]:
        """The objects that `data` completes, in order."""
        raws: list[bytes] = []
        at = self._go_on(data, raws) if self._scanner.began else 0
        items = self._objects(raws)
        if not self._scanner.began:
            at = self._many(data, at, items)
            self._rest(data, at, items)
        self.bad += self._scanner.bad
        self._scanner.bad = 0
        if self._scanner.endless:
            self.broken = "a message does not end"
        return items

    def _go_on(self, data: bytes, raws: list[bytes]) -> int:
        """The object that the last read began; where it ends. Where each has a line, one is no longer than it."""
        end = data.find(b"\n") if self._layout is _LINES else -1
        if end < 0:
            return self._scanner.take(data, 0, raws)
        at = self._scanner.take(data[:end], 0, raws)
        self._scanner.give_up()
        return at

    def _many(self, data: bytes, at: int, items: list[Object]) -> int:
        """As many whole objects from `at` on as can be had at once; where they end."""
        layouts = self._layouts
        if self._layout is not None and self._layout is not layouts[0]:
            layouts = (self._layout, *layouts)
        for layout in layouts:
            end = data.rfind(layout.border, at) + 1
            if end <= 0:
                continue
            text = data[at:end].strip(_BETWEEN)
            if not text:
                return end
            count = text.count(layout.glue) if layout.glue else 0
            values = objects_in_row(text.replace(layout.glue, layout.glued) if count else text)
            if values is not None and (not layout.glue or len(values) == count + 1):
                if any(values):  # an empty object has one line however others are laid out
                    self._layout = layout
                items += values
                return end
        if self._layout is None and not self.array and _is_object(data[at:].lstrip().partition(b"\n")[0]):
            self._layout = _LINES
        return self._lines(data, at, items) if self._layout is _LINES else at

    def _lines(self, data: bytes, at: int, items: list[Object]) -> int:
        """Lines of which some are blank, bad, or hold more than one object; where the last of them ends."""
        end = data.rfind(b"\n", at) + 1
        if end <= 0:
            return at
        lines = [line for part in data[at:end].split(b"\n") if (line := part.strip(_BETWEEN))]
        values = objects_in_row(b",".join(lines))
        if values is not None and len(values) == len(lines):
            items += values
            return end
        for line in lines:
            values, bad = objects([line])
            if bad:
                self._rest(line, 0, values)
                self._scanner.give_up()
            items += values
        return end

    def _rest(self, data: bytes, at: int, items: list[Object]) -> None:
        """Object by object to the end of data; of the last one that may be only the beginning."""
        raws: list[bytes] = []
        opening = _OPENING_OR_END if self.array else _OPENING
        while at < len(data) and self.rest is None and not self.broken:
            found = opening.search(data, at)
            stop = len(data) if found is None else found.start()
            self._between(data[at:stop])
            if found is None or self.broken:
                break
            if data[stop] == b"]"[0]:
                self.rest = data[stop + 1 :]
                break
            at = self._scanner.take(data, stop, raws)
        items += self._objects(raws)

    def _between(self, part: bytes) -> None:
        """What is between objects should be blank. A page has no place there: what follows it is none of ours."""
        strange = part.strip(_BETWEEN)
        if strange.startswith(b"<"):
            self.broken = (
                f"a page stands where a message belongs: {tidy(strange[:_SHOWN].decode('utf-8', 'replace'))}"
            )
        elif strange:
            self.bad += 1

    def _objects(self, raws: list[bytes]) -> list[Object]:
        if not raws:
            return []
        items, bad = objects(raws)
        self.bad += bad
        return items


def _is_object(line: bytes) -> bool:
    """Whether a line is a whole object that says something; the first line of one that is pretty is not."""
    value = parsed(line)
    return isinstance(value, dict) and bool(value)
