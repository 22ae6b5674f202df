"""Texts of JSON to Python's values; what is no JSON, or no object, is left out and counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import orjson

Object = dict[str, Any]

_OBJECTS: Final = frozenset((dict,))


def parsed(raw: bytes) -> Any:
    """The value of one text, None where it is no JSON.

    A text may hold what is no Unicode: an escaped half of a surrogate pair, bytes that are not UTF-8. The fast parser
    refuses both. What an app printed is kept all the same: such texts come as bytes.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        pass
    try:
        return _told_apart(json.loads(raw.decode("utf-8", "surrogateescape")))
    except (ValueError, RecursionError):
        return None


def objects(raws: Sequence[bytes]) -> tuple[list[Object], int]:
    """The objects of these texts, and how many are none."""
    if len(raws) > 1:
        values = objects_in_row(b",".join(raws))
        if values is not None and len(values) == len(raws):
            return values, 0
    items = [value for value in map(parsed, raws) if type(value) is dict]
    return items, len(raws) - len(items)


def objects_in_row(text: bytes) -> list[Object] | None:
    """The objects that a text of them with commas between holds, None where it is none."""
    try:
        values: list[Any] = orjson.loads(b"[%b]" % text)
    except orjson.JSONDecodeError:
        return None
    return values if _OBJECTS.issuperset(map(type, values)) else None


def _told_apart(value: Any) -> Any:
    """The value with bytes in place of texts that are no Unicode."""
    match value:
        case dict():
            return {name: _told_apart(inner) for name, inner in value.items()}
        case list():
            return [_told_apart(inner) for inner in value]
        case str() if not value.isascii():
            return _text_or_bytes(value)
    return value


def _text_or_bytes(text: str) -> str | bytes:
    for errors in ("strict", "surrogateescape"):
        try:
            encoded = text.encode("utf-8", errors)
        except UnicodeEncodeError:
            continue
        return text if errors == "strict" else encoded
    return text.encode("utf-8", "surrogatepass")
