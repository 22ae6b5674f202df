"""A section of the configuration: a frozen mapping of declared keys that refuses all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.fields import FieldInfo


class Section(BaseModel):
    """What every section has in common.

    A section that is written but empty (`collect:` with nothing below it) is a section with its defaults. An empty
    text where null is accepted is null, so that `region: ${AWS_REGION:-}` means "not set".
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_unset(cls, data: Any) -> Any:
        if data is None:
            return {}
        if not isinstance(data, Mapping):
            return data
        return {key: None if value == "" and cls.is_nullable(key) else value for key, value in data.items()}

    def as_data(self, *without: str) -> dict[str, Any]:
        """What it says as plain data, as JSON can hold it; secrets are masked. `without` are fields of this section."""
        return self.model_dump(mode="json", exclude=set(without))

    @classmethod
    def declared(cls) -> dict[str, FieldInfo]:
        """What is declared, by the key that is written: `continue` and `not` cannot be names in Python."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @classmethod
    def is_nullable(cls, key: object) -> bool:
        """Whether null is accepted for this key."""
        field = cls.declared().get(key) if isinstance(key, str) else None
        return field is not None and type(None) in get_args(field.annotation)
