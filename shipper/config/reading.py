"""What is read from lines: the level, the fields of a JSON object, and the ids that connect a line to other data."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from shipper.config.section import Section
from shipper.config.types import ExpressionText, Text


class Finding(Section):
    """Where a value stands in a line."""

    field: Text | None = Field(
        default=None,
        description=(
            "Name of the field in a line that is a JSON object; dots lead inside (`http.request_id`), and a "
            "field that has the dots in its own name counts too. Default null: the usual names, which "
            "[reading.md](reading.md) lists."
        ),
    )
    pattern: ExpressionText | None = Field(
        default=None,
        description=(
            "Regular expression for lines in which the field is not found. The value is the named group "
            "with the setting's own name, such as `(?P<level>[A-Z]+)`; where there is none, the first "
            "group, or the whole match. Default null: none."
        ),
    )


class LevelFinding(Finding):
    """Where the level stands in a line. It is never guessed from the stream."""

    auto: bool = Field(
        default=False,
        description=(
            "Also recognise the usual shapes in plain text: `[ERROR]`, `level=warn`, `E0102 15:04:05`, the "
            "word after a timestamp and so on; a stack trace that says no level is an error. `level: auto` "
            "is short for it. Default false: text is not guessed at."
        ),
    )


def _expand_auto(value: Any) -> Any:
    return {"auto": True} if value == "auto" else value


class ReadSettings(Section):
    """What is read from the lines of some apps."""

    app: Text = Field(
        default="*",
        description=(
            "Glob over the app's name; the first entry of the list that matches applies. Default `*`: every app."
        ),
    )
    as_json: bool = Field(
        default=True,
        alias="json",
        description=(
            "Read lines that are a JSON object as a whole: their fields, and a stack trace in one of them. "
            "The line itself stays as it is. Default true; other lines cost next to nothing."
        ),
    )
    level: Annotated[
        LevelFinding, BeforeValidator(_expand_auto, json_schema_input_type=LevelFinding | Literal["auto"])
    ] = Field(default_factory=LevelFinding, description="The level.")
    execution_id: Finding = Field(default_factory=Finding, description="The id of the execution.")
    trace_id: Finding = Field(default_factory=Finding, description="The id of the trace.")
    span_id: Finding = Field(default_factory=Finding, description="The id of the span.")
