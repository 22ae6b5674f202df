"""A setting's default as a user would write it: `5s` and not 5.0."""

from __future__ import annotations

from typing import Any

from shipper.config.section import Section


def has_written_default(section: type[Section], name: str) -> bool:
    """Whether leaving the key out means one value that could be written instead (a section has its own defaults)."""
    field = section.declared()[name]
    return not field.is_required() and not isinstance(field.get_default(call_default_factory=True), Section)


def written_default(section: type[Section], name: str) -> Any:
    """The default as JSON would have it."""
    dumped: dict[str, Any] = section.model_construct().model_dump(mode="json", by_alias=True)
    return dumped[name]
