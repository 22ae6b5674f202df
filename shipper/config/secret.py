"""A secret: a value that only `reveal()` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Never

if TYPE_CHECKING:  # the daemon has secrets, and no use for the library that checks them
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic_core import CoreSchema

    from shipper.config.types import JsonSchema

MASK: Final = "***"


class Secret:
    """Hidden from `str`, `repr`, `format`, JSON, `vars` and pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that sends it."""
        return self._value

    def __str__(self) -> str:
        return MASK

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> Never:
        raise TypeError("a Secret is not pickled")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from shipper.config.types import scalar_schema

        return scalar_schema(_read_secret, str)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "minLength": 1, "writeOnly": True}


def _read_secret(value: object) -> Secret:
    from shipper.config.types import check_text, expect_text

    return value if isinstance(value, Secret) else Secret(check_text(expect_text(value)))


def secrets_in(value: Any) -> Iterator[str]:
    """Every secret of a section and what is below it, revealed: for a log that must know what never to print."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from secrets_in(inner)
    elif hasattr(value, "as_data"):  # a section, or a copy of one
        for _, inner in value:
            yield from secrets_in(inner)
