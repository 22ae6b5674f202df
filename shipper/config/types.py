"""The kinds of value that a setting can hold, each with its check, its message and its form in the JSON Schema.

A check raises ValueError with the rest of a sentence whose subject is the value ("is not ...", "needs ..."), and
never repeats the value itself: whether it may be shown is decided where messages are made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, core_schema

from shipper.config import units
from shipper.config.endpoint import Address, Endpoint, check_http_url, parse_address, parse_endpoint
from shipper.expression import Expression

JsonSchema = dict[str, Any]

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")


def scalar_schema(read: Callable[[Any], Any], write: Callable[[Any], str]) -> CoreSchema:
    """A value that `read` makes of what was written, and `write` turns back into text."""
    written = core_schema.plain_serializer_function_ser_schema(write, return_schema=core_schema.str_schema())
    return core_schema.no_info_plain_validator_function(read, serialization=written)


@dataclass(frozen=True, slots=True)
class DurationIn:
    """Annotates a float of seconds, written with a unit; the bounds are included."""

    minimum: str
    maximum: str

    def read(self, value: object) -> float:
        """Seconds. A number is taken as seconds: only code can pass one, a file's `5` arrives as text."""
        seconds = _number_or(units.parse_duration, value)
        if not units.parse_duration(self.minimum) <= seconds <= units.parse_duration(self.maximum):
            raise ValueError(f"is out of range: {self.minimum} to {self.maximum}")
        return seconds

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return scalar_schema(self.read, units.format_duration)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": f"^{units.DURATION_PATTERN}$"}


@dataclass(frozen=True, slots=True)
class SizeIn:
    """Annotates an int of bytes, written with a unit; the bounds are included."""

    minimum: str
    maximum: str | None = None

    def read(self, value: object) -> int:
        """Bytes. A number is taken as bytes: only code can pass one, a file's `5` arrives as text."""
        size = int(_number_or(units.parse_size, value))
        if size < units.parse_size(self.minimum):
            raise ValueError(f"is too small: at least {self.minimum}")
        if self.maximum is not None and size > units.parse_size(self.maximum):
            raise ValueError(f"is too large: at most {self.maximum}")
        return size

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return scalar_schema(self.read, units.format_size)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": f"^{units.SIZE_PATTERN}$"}


@dataclass(frozen=True, slots=True)
class CountIn:
    """Annotates an int that counts something; the bounds are included."""

    minimum: int
    maximum: int

    def read(self, value: object) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            count = value
        else:
            text = expect_text(value)
            if not re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
                raise ValueError("is not a whole number")
            count = int(text)
        if not self.minimum <= count <= self.maximum:
            raise ValueError(f"is out of range: {self.minimum} to {self.maximum}")
        return count

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True, slots=True)
class Matching:
    """Annotates a text that matches `pattern` as a whole; `hint` completes a sentence about one that does not."""

    pattern: str
    hint: str

    def read(self, value: object) -> str:
        text = check_text(expect_text(value))
        if not re.fullmatch(self.pattern, text, re.ASCII):
            raise ValueError(self.hint)
        return text

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return scalar_schema(self.read, str)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": f"^({self.pattern})$"}


@dataclass(frozen=True, slots=True)
class Shown:
    """Annotates a value with the words that the reference has for it."""

    words: str


def expect_text(value: object) -> str:
    """The scalar as it was written; a list, a mapping or nothing is refused in plain words."""
    if isinstance(value, str):
        return value
    raise ValueError(f"must be a text, not {describe(value)}")


def check_text(text: str) -> str:
    """A text that can stand in a header, a path and a log line: not empty, printable, no spaces around it."""
    if not text:
        raise ValueError("is empty")
    if _UNPRINTABLE.search(text):
        raise ValueError("holds a control character or a line break")
    if text != text.strip():
        raise ValueError("begins or ends with a space")
    return text


def describe(value: object) -> str:
    """What kind of thing was found, never what it says."""
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "a text" if isinstance(value, str) else "something else"


def _number_or(parse: Callable[[str], float], value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    return parse(expect_text(value))


def _read_path(value: object) -> Path:
    if isinstance(value, Path):
        return value
    text = check_text(expect_text(value))
    if text.startswith("~"):
        raise ValueError("begins with ~, which is not expanded here; write the path in full")
    return Path(text)


def _read_endpoint(value: object) -> Endpoint:
    return value if isinstance(value, Endpoint) else parse_endpoint(check_text(expect_text(value)))


def _read_address(value: object) -> Address:
    return value if isinstance(value, Address) else parse_address(check_text(expect_text(value)))


def _read_url(value: object) -> str:
    return check_http_url(check_text(expect_text(value)))


def _check_expression(text: str) -> str:
    if not text:
        raise ValueError("is empty")
    Expression(text)
    return text


def one_is_a_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


_SOME_TEXT: Final = WithJsonSchema({"type": "string", "minLength": 1})
_ENDPOINT_FORM: Final = WithJsonSchema({"type": "string", "pattern": "^(grpc|http)s?://"})
_ADDRESS_FORM: Final = WithJsonSchema({"type": "string", "pattern": "^.+:[0-9]{1,5}$"})
_URL_FORM: Final = WithJsonSchema({"type": "string", "pattern": "^https?://"})

Text = Annotated[str, BeforeValidator(expect_text), AfterValidator(check_text), _SOME_TEXT]
FilePath = Annotated[Path, PlainValidator(_read_path), PlainSerializer(str), _SOME_TEXT]
GrpcEndpoint = Annotated[Endpoint, PlainValidator(_read_endpoint), PlainSerializer(str), _ENDPOINT_FORM]
ListenAddress = Annotated[Address, PlainValidator(_read_address), PlainSerializer(str), _ADDRESS_FORM]
HttpUrl = Annotated[str, PlainValidator(_read_url), _URL_FORM]
ExpressionText = Annotated[
    str,
    BeforeValidator(expect_text),
    AfterValidator(_check_expression),
    Shown("regular expression"),
    _SOME_TEXT,
]
Texts = Annotated[
    tuple[Text, ...],
    BeforeValidator(one_is_a_list, json_schema_input_type=Text | tuple[Text, ...]),
    Shown("text or list of texts"),
]
"""A list, or its only item."""
