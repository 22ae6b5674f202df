"""Enum values as the archive writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_UNSPECIFIED: Final = "UNSPECIFIED"


class EnumNames(dict[int | str | bytes, str | None]):
    """The wire value to the archive's name: the wire name without its prefix; a number without a name as it came;
    unspecified is None. A platform whose field is a text that holds the name reads the same.
    """

    def __init__(self, table: Mapping[int, str], prefix: str, *, lower: bool = False) -> None:
        super().__init__({0: None})
        self._prefix = prefix
        self._lower = lower
        for number, name in table.items():
            self[number] = self._short_or_none(name) if number == 0 else self._short(name)

    def __missing__(self, value: int | str | bytes) -> str | None:
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        return self._short_or_none(value) if isinstance(value, str) else str(value)

    def _short_or_none(self, name: str) -> str | None:
        return self._short(name) if name and not name.endswith(_UNSPECIFIED) else None

    def _short(self, name: str) -> str:
        short = name.removeprefix(self._prefix)
        return short.lower() if self._lower else short
