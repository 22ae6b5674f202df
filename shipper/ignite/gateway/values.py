"""JSON values out of an answer's body, in whichever form the gateway streams them.

Which form that is stands nowhere, so it is told from the content type and the first bytes:

- objects, one a line or one right after the other (NDJSON: https://github.com/ndjson/ndjson-spec),
- one array that grows (what Envoy's transcoder does without its newline option:
  https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/grpc_json_transcoder_filter),
- server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from shipper.ignite.gateway.scanner import MAX_VALUE, Scanner

_BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = b" \t\r\n"
_EVENT_FIELDS: Final = (b"data", b"event", b"id", b"retry")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Values:
    """The JSON objects that one read completed, in order. `bad` counts what was left out: no JSON, or too large."""

    items: list[dict[str, Any]]
    bad: int = 0


@dataclass(slots=True)
class ValueReader:
    """Turns reads into complete values; keeps what is incomplete, at most `limit` bytes of it.

    `broken` says, where it is not empty, why nothing can be understood: what came is none of the forms.
    """

    content_type: str = ""
    limit: int = MAX_VALUE
    broken: str = ""
    _form: _Objects | _Events | None = None
    _first: bytes = b""

    def feed(self, data: bytes) -> Values:
        """The values that `data` completes."""
        if self._form is None:
            data = self._first + data
            self._form = self._told_by(data)
            if self._form is None:
                self._first = data[:MAX_VALUE] if data.strip(_BLANK) else b""
                return Values([])
            data = data.removeprefix(_BOM)
            if isinstance(self._form, _Objects) and data.lstrip(_BLANK)[:1] == b"[":
                self._form.separators = b" \t\r,]"
                data = data.lstrip(_BLANK)[1:]
        return self._form.feed(data)

    @property
    def incomplete(self) -> bool:
        """Whether a value has begun and not ended."""
        return self._form is not None and self._form.incomplete

    def _told_by(self, data: bytes) -> _Objects | _Events | None:
        start = data.removeprefix(_BOM).lstrip(_BLANK)
        if "event-stream" in self.content_type:
            return _Events(self.limit)
        if start[:1] in (b"{", b"["):
            return _Objects(self.limit)
        if start[:1] == b":" or (b":" in start and start.split(b":", 1)[0] in _EVENT_FIELDS):
            return _Events(self.limit)
        unfinished = len(start) < 6 and any(name.startswith(start) for name in _EVENT_FIELDS)
        if start and not unfinished and not _BOM.startswith(data):
            self.broken = f"what it sends begins with {start[:_SHOWN]!r}, which is no JSON"
        return None


@dataclass(slots=True)
class _Objects:
    """Objects one after the other, with or without line ends between them, or the elements of an array.

    Whole lines are the common case and go to the parser all at once; the scanner takes the lines that a read cuts, and
    everything that is not one object a line.
    """

    limit: int
    separators: bytes = b" \t\r"
    _scanner: Scanner = field(init=False)

    def __post_init__(self) -> None:
        self._scanner = Scanner(self.limit)

    @property
    def incomplete(self) -> bool:
        return not self._scanner.between

    def feed(self, data: bytes) -> Values:
        items: list[dict[str, Any]] = []
        bad = 0
        if not self._scanner.between:
            end = data.find(b"\n") + 1 or len(data)
            bad += self._scan(data[:end], items)
            data = data[end:]
        end = data.rfind(b"\n") + 1
        if end and self._scanner.between:
            lines = [line for part in data[:end].split(b"\n") if (line := part.strip(self.separators))]
            parsed = _parsed(b"[" + b",".join(lines) + b"]")
            if parsed is not None and len(parsed) == len(lines) and all(map(_is_object, parsed)):
                items += parsed
            else:
                bad += self._line_by_line(lines, items)
            data = data[end:]
        elif end:
            bad += self._line_by_line(data[:end].splitlines(keepends=True), items)
            data = data[end:]
        bad += self._scan(data, items)
        return Values(items, bad)

    def _line_by_line(self, lines: list[bytes], items: list[dict[str, Any]]) -> int:
        """A value may reach over several lines. If one has begun and a line is an object by itself, then the beginning
        was no value but a line that was cut.
        """
        bad = 0
        for line in lines:
            if line[:1] == b"{" and not self._scanner.between and _is_object(_parsed(line)):
                self._scanner.give_up()
            bad += self._scan(line + b"\n", items)
        return bad

    def _scan(self, data: bytes, items: list[dict[str, Any]]) -> int:
        bad = 0
        for raw in self._scanner.feed(data):
            value = _parsed(raw)
            if _is_object(value):
                items.append(value)
            else:
                bad += 1
        bad += self._scanner.bad
        self._scanner.bad = 0
        return bad


@dataclass(slots=True)
class _Events:
    """Server-sent events: the `data` of each is one value. Comments (keep-alives) and other fields are skipped."""

    limit: int
    _line: bytearray = field(default_factory=bytearray)
    _data: list[bytes] = field(default_factory=list)
    _size: int = 0
    _spoiled: bool = False
    _after_return: bool = False

    @property
    def incomplete(self) -> bool:
        return bool(self._data)

    def feed(self, data: bytes) -> Values:
        if self._after_return and data[:1] == b"\n":  # a line end that was cut in two
            data = data[1:]
        self._after_return = data[-1:] == b"\r"
        *lines, rest = _LINE_END.split(data)
        raws: list[bytes] = []
        bad = 0
        for line in lines:
            self._keep(line)
            bad += self._line_ended(raws)
        self._keep(rest)
        items: list[dict[str, Any]] = []
        for raw in raws:
            value = _parsed(raw)
            if _is_object(value):
                items.append(value)
            elif raw.strip() != b"[DONE]":  # how some streams say goodbye
                bad += 1
        return Values(items, bad)

    def _keep(self, part: bytes) -> None:
        if len(self._line) + len(part) + self._size > self.limit:
            self._spoiled = True
        if self._spoiled:
            part = (
                part[:1] if not self._line else b""
            )  # enough to tell a line that is blank from one that is not
        self._line += part

    def _line_ended(self, raws: list[bytes]) -> int:
        line = bytes(self._line)
        self._line.clear()
        if line:
            name, _, value = line.partition(b":")
            if name == b"data" and not self._spoiled:
                value = value.removeprefix(b" ")
                self._data.append(value)
                self._size += len(value)
            return 0
        bad = int(self._spoiled)
        if self._data and not self._spoiled:
            raws.append(b"\n".join(self._data))
        self._data, self._size, self._spoiled = [], 0, False
        return bad


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None


def _is_object(value: Any) -> bool:
    return type(value) is dict
