"""A section's values without the library that has checked them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn


class Snapshot:
    """Stands for a `Section` where nobody checks any more: in the daemon, which has its settings from another process.

    It has the attributes of the section that it was made of, is equal to another of the same kind and values, and
    answers to what else the daemon asks of sections: iteration and `as_data`.
    """

    __slots__ = ("_data", "_section", "_values")

    _data: Mapping[str, Any]
    _section: str
    _values: Mapping[str, Any]

    def __init__(self, section: str, values: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        for name, value in (("_section", section), ("_values", values), ("_data", data)):
            object.__setattr__(self, name, value)

    def as_data(self, *without: str) -> dict[str, Any]:
        """What it says as plain data, as JSON can hold it; secrets are masked. `without` are fields of this section."""
        return {name: value for name, value in self._data.items() if name not in without}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # also before there are values
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"{self._section} has no setting {name!r}") from None

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{self._section} is frozen")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{self._section} is frozen")

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self._values.items())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Snapshot):
            return NotImplemented
        return self._section == other._section and self._values == other._values

    def __hash__(self) -> int:
        return hash((self._section, *self._values.values()))

    def __repr__(self) -> str:
        return f"{self._section}({', '.join(f'{name}={value!r}' for name, value in self)})"
