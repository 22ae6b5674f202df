"""A stack trace as Datadog's Error Tracking wants it: https://docs.datadoghq.com/error_tracking/backend/logs/"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shipper.entry import Entry, Failure


def error_of(entry: Entry, failure: Failure) -> dict[str, str]:
    """The attribute `error` of a log. The stack is the text of the lines, or what one of a JSON line's fields says."""
    stack = None if entry.fields is None else _stack_in(entry.fields, failure)
    return {"kind": failure.type, "message": failure.message, "stack": stack or entry.text}


def _stack_in(fields: Mapping[str, Any], failure: Failure) -> str | None:
    """The longest text of several lines among the fields, and rather one that names the failure."""
    texts = [text for text in _texts(fields) if "\n" in text]
    return max(texts, key=lambda text: (failure.type in text, len(text)), default=None)


def _texts(fields: Mapping[str, Any]) -> Iterator[str]:
    """Texts at the top, and one object below, as in `error.stack`."""
    for value in fields.values():
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from (inner for inner in value.values() if isinstance(inner, str))
