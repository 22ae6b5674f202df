"""One line of the daemon's own log: as text for people, as JSON for machines.

Values come from the platform and from servers. None of them can end a line, move a cursor or look like another line:
control characters, line separators, direction marks and lone surrogates are printed as escapes.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from shipper.telemetry.redaction import Redaction

LONGEST_VALUE: Final = 8192

FIRST_FIELDS: Final = ("app", "replica", "kind", "sink", "key", "attempt", "seconds", "error")
"""Printed in this order; other extras follow in the order they were given."""

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_TAKEN: Final = frozenset({"time", "level", "area", "exception"})
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
_BARE: Final = re.compile(r"[^\s\"=\\]+")
_LEVELS: Final = {"WARNING": "WARN", "CRITICAL": "ERROR"}

Field = str | int | float | bool


class LogFormat(StrEnum):
    """`log.format`."""

    TEXT = "text"
    JSON = "json"


Line = Callable[[logging.LogRecord, str, Redaction], str]


def text_line(record: logging.LogRecord, message: str, redaction: Redaction) -> str:
    """`2026-01-02T03:04:05.678Z WARN  deliver: message app=acme/shop error="no route"`, a traceback indented below."""
    words = [f"{_time(record)} {_level(record):<5} {_area(record)}: {escape(redaction.apply(message))}"]
    words += [f"{name}={_quoted(value)}" for name, value in _fields(record, redaction)]
    line = " ".join(words)
    below = redaction.apply(_exception(record))
    return line + "".join(f"\n    | {escape(part)}" for part in below.splitlines())


def json_line(record: logging.LogRecord, message: str, redaction: Redaction) -> str:
    """One JSON object in ASCII: time, level, area, message, the fields, exception."""
    entry: dict[str, Field] = {
        "time": _time(record),
        "level": _level(record).lower(),
        "area": _area(record),
        "message": redaction.apply(message),
    }
    entry.update(_fields(record, redaction))
    if exception := _exception(record):
        entry["exception"] = redaction.apply(exception)
    return json.dumps(entry, allow_nan=False)


LINES: Final[dict[LogFormat, Line]] = {LogFormat.TEXT: text_line, LogFormat.JSON: json_line}


def message_of(record: logging.LogRecord) -> str:
    """The message with its arguments; the bare template where they do not fit it."""
    try:
        message = record.getMessage()
    except Exception:  # whatever a faulty call or a __str__ raises, the line matters more
        template = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        message = f"{template} (its arguments cannot be printed)"
    return _cut(message)


def escape(text: str) -> str:
    """`text` on one line, with nothing in it that a terminal obeys."""
    return _UNSAFE.sub(lambda match: match.group().encode("unicode_escape", "surrogatepass").decode(), text)


def _fields(record: logging.LogRecord, redaction: Redaction) -> Iterator[tuple[str, Field]]:
    """The extras of shipper's own records. Other libraries' extras are not made for reading."""
    if record.name.partition(".")[0] != "shipper":
        return
    extras = {
        name: value for name, value in vars(record).items() if name not in _STANDARD and value is not None
    }
    for name in sorted(extras, key=_place):
        yield (f"{name}_" if name in _TAKEN else name), _value(extras[name], redaction)


def _place(name: str) -> int:
    return FIRST_FIELDS.index(name) if name in FIRST_FIELDS else len(FIRST_FIELDS)


def _value(value: object, redaction: Redaction) -> Field:
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return (
            round(value, 3) if abs(value) < 1e15 else str(value)
        )  # also takes the ones that JSON has not: inf, nan
    try:
        text = str(value)
    except Exception as error:  # a value that cannot be printed must not cost the line
        text = f"unprintable {type(value).__name__}: {type(error).__name__}"
    return redaction.apply(_cut(text))


def _quoted(value: Field) -> str:
    """Bare where that is unambiguous. In quotes a backslash is doubled, so that a value cannot end its own quotes."""
    if not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else f"{value}"
    if _BARE.fullmatch(value) and not _UNSAFE.search(value):
        return value
    return '"' + escape(value.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _exception(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")


def _cut(text: str) -> str:
    if len(text) <= LONGEST_VALUE:
        return text
    return f"{text[:LONGEST_VALUE]}… ({len(text) - LONGEST_VALUE} more characters)"


def _time(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _level(record: logging.LogRecord) -> str:
    return _LEVELS.get(record.levelname, record.levelname)


def _area(record: logging.LogRecord) -> str:
    """The room, for shipper's own loggers `shipper.<room>`; the whole name for other libraries'."""
    return record.name.removeprefix("shipper.")
