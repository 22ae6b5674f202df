"""Messages as ProtoJSON (https://protobuf.dev/programming-guides/json/), in the ways in which servers differ."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import orjson
from google.protobuf.descriptor import FieldDescriptor

from shipper.emulator.http_style import HttpStyle

_LONG: Final = frozenset(
    (
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_UINT64,
    )
)


def object_of(message: Any, style: HttpStyle) -> dict[str, Any]:
    """A message as an object of JSON. A log line is text, whatever the emulator's own classes hold it in."""
    found: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            values = [_value(field, each, style) for each in value]
            if values or not style.sparse:
                found[_name(field, style)] = values
        elif field.message_type is not None:
            if message.HasField(field.name):
                found[_name(field, style)] = object_of(value, style)
        elif value or not style.sparse:
            found[_name(field, style)] = _value(field, value, style)
    return found


def text_of(value: dict[str, Any]) -> bytes:
    """JSON without line ends. What is no UTF-8 leaves as the bytes that it is."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogateescape")


def _name(field: Any, style: HttpStyle) -> str:
    name: str = field.name if style.snake else field.json_name
    return name


def _value(field: Any, value: Any, style: HttpStyle) -> Any:
    if field.message_type is not None:
        return object_of(value, style)
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return value if style.enum_numbers or named is None else named.name
    if isinstance(value, bytes):
        if field.name == "line":
            return value.decode("utf-8", "surrogateescape")
        return base64.b64encode(value).decode()
    return str(value) if field.cpp_type in _LONG and not style.numbers else value
