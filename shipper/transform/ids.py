"""Ids of traces, spans and executions in one form each: 32, 16 hexadecimal digits, and text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

_from_hex = bytes.fromhex  # quicker than an expression; it skips spaces, so the size is looked at too
_TRACE_BITS: Final = 128
_SPAN_BITS: Final = 64
_MAX_TRACE: Final = 160  # characters of the longest form, Google's
_MAX_DIGITS: Final = 39  # of 128 bits
_EXECUTION: Final = re.compile(r"[\w.:/@+=-]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header-field-values
_TRACEPARENT: Final = re.compile(r"[0-9a-fA-F]{2}-([0-9a-fA-F]{32})-([0-9a-fA-F]{16})-[0-9a-fA-F]{2}")
# https://cloud.google.com/logging/docs/structured-logging#structured_logging_special_fields
_GOOGLE: Final = re.compile(r"projects/[^/]{1,64}/traces/([0-9a-fA-F]{32})")

_SEARCHED: Final = 8_192  # characters of a line of text in which ids are looked for
_TRIES: Final = 16  # places of a line where a name seems to stand
_NEEDLES: Final = ("race", "pan", "xecution")  # searched for as texts, which is quicker than any expression
_NAMED: Final = re.compile(
    r"""(?: [Tt]race(?P<parent>parent) | (?P<kind>[Tt]race|[Ss]pan|[Ee]xecution) [_.-]?(?:id|Id|ID) )
        ["']? \s{0,2} [=:] \s{0,2} ["']?
        (?P<value>[\w.:/@+-]{1,128})""",
    re.VERBOSE,
)


def execution_of(value: Any) -> str | None:
    """An execution's id: a text without spaces, or a number."""
    if type(value) is int:
        value = str(value)
    return value if type(value) is str and _EXECUTION.fullmatch(value) else None


def trace_of(value: Any) -> str | None:
    """A trace's id: 32 digits; 16, as B3 also has them; a UUID; a traceparent; a number."""
    if type(value) is not str:
        return _decimal(value, _TRACE_BITS) if type(value) is int else None
    if len(value) == 32:
        return _hexadecimal(value, 16)
    if len(value) == 16:
        span = _hexadecimal(value, 8)
        return span and span.zfill(32)
    if len(value) > _MAX_TRACE:
        return None
    if (parent := trace_of_parent(value)) is not None:
        return parent
    if len(value) == 36:
        return _hexadecimal(value.replace("-", ""), 16)
    google = _GOOGLE.fullmatch(value)
    return _hexadecimal(google[1], 16) if google else None


def span_of(value: Any) -> str | None:
    """A span's id: 16 digits, or a number."""
    if type(value) is not str:
        return _decimal(value, _SPAN_BITS) if type(value) is int else None
    return _hexadecimal(value, 8) if len(value) == 16 else None


def trace_of_datadog(value: Any) -> str | None:
    """As Datadog's libraries write a trace's id: 64 or 128 bits as a decimal number, or 32 hexadecimal digits.

    https://docs.datadoghq.com/tracing/other_telemetry/connect_logs_and_traces/
    """
    return trace_of(value) if type(value) is str and len(value) == 32 else _of_datadog(value, _TRACE_BITS)


def span_of_datadog(value: Any) -> str | None:
    """As Datadog's libraries write a span's id: a decimal number."""
    return _of_datadog(value, _SPAN_BITS)


def trace_of_parent(value: Any) -> str | None:
    """The trace in a W3C `traceparent`."""
    found = _TRACEPARENT.fullmatch(value) if type(value) is str else None
    return _hexadecimal(found[1], 16) if found else None


def span_of_parent(value: Any) -> str | None:
    """The span in a W3C `traceparent`."""
    found = _TRACEPARENT.fullmatch(value) if type(value) is str else None
    return _hexadecimal(found[2], 8) if found else None


def ids_in_text(text: str) -> Iterator[tuple[str, str]]:
    """The ids that a line of text has as `name=value` or `name: value`, by what an entry calls them."""
    for needle in _NEEDLES:
        at = text.find(needle, 1, _SEARCHED)
        for _ in range(_TRIES):
            if at < 0:
                break
            found = _NAMED.match(text, at - 1)
            if found and (at == 1 or not text[at - 2].isalnum() or text.endswith("otel", 0, at - 1)):
                yield from _said(found, text.endswith("dd.", 0, at - 1))
            at = text.find(needle, at + 1, _SEARCHED)


def _said(found: re.Match[str], by_datadog: bool) -> Iterator[tuple[str, str]]:
    value, kind = found["value"], found["kind"]
    ids: tuple[tuple[str, str | None], ...]
    if kind is None:
        ids = (("trace_id", trace_of_parent(value)), ("span_id", span_of_parent(value)))
    elif kind[1] == "r":
        ids = (("trace_id", (trace_of_datadog if by_datadog else trace_of)(value)),)
    elif kind[1] == "p":
        ids = (("span_id", (span_of_datadog if by_datadog else span_of)(value)),)
    else:
        ids = (("execution_id", execution_of(value.rstrip(".:"))),)
    yield from ((name, id_) for name, id_ in ids if id_)


def _hexadecimal(text: str, size: int) -> str | None:
    """Digits of so many bytes, in lower case. Nothing but zeros is no id: https://www.w3.org/TR/trace-context/#trace-id."""
    try:
        read = _from_hex(text)
    except ValueError:
        return None
    return read.hex() if len(read) == size and read.strip(b"\0") else None


def _of_datadog(value: Any, bits: int) -> str | None:
    if type(value) is str:
        if not (value.isascii() and value.isdecimal() and len(value) <= _MAX_DIGITS):
            return None
        value = int(value)
    return _decimal(value, bits) if type(value) is int else None


def _decimal(number: int, bits: int) -> str | None:
    return f"{number:0{bits // 4}x}" if 0 < number < 1 << bits else None
