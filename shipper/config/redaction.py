"""Redaction: what is taken out of records before they leave for a sink."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from shipper.config.section import Section
from shipper.config.types import ExpressionText, Matching, Texts
from shipper.expression import Expression

PatternName = Literal["bearer_token", "jwt", "aws_key", "url_password", "email", "card_number", "ip"]
BY_DEFAULT: Final[tuple[PatternName, ...]] = (
    "bearer_token",
    "jwt",
    "aws_key",
    "url_password",
    "email",
    "card_number",
)


def _check_not_empty(source: str) -> str:
    if Expression(source).can_be_empty():
        raise ValueError(
            "is found where there is nothing, so it would take out nothing; write + in place of *"
        )
    return source


class CustomPattern(Section):
    """A pattern of your own."""

    name: Annotated[
        str,
        Matching(
            r"[a-z][a-z0-9_]{0,39}",
            "is not a name for a pattern: up to 40 small letters, digits or _, the first a letter",
        ),
    ] = Field(description="Its name, which stands in the text in its place and in metrics.")
    pattern: Annotated[ExpressionText, AfterValidator(_check_not_empty)] = Field(
        description=(
            "Regular expression for what is taken out; with a group `(?P<secret>...)` only that part of it. "
            "`(?i)` in front makes upper and lower case the same."
        )
    )

    @model_validator(mode="after")
    def _name_is_its_own(self) -> CustomPattern:
        if self.name in PatternName.__args__:  # type: ignore[attr-defined]
            raise ValueError(f"is named {self.name}, which is a built-in pattern; choose another name")
        return self


class RedactSettings(Section):
    """What is taken out of some records. All entries that fit a sink and an app apply, in their order."""

    app: Texts = Field(
        default=("*",), min_length=1, description='Names or globs of apps. Default `["*"]`: every app.'
    )
    sinks: Texts = Field(
        default=(), min_length=1, description="Names of the sinks that it is for. Default none: all."
    )
    patterns: tuple[PatternName, ...] = Field(
        default=BY_DEFAULT,
        description=(
            "Built-in patterns: `bearer_token` (Authorization headers, API keys), `jwt`, `aws_key`, `url_password` "
            "(`https://user:password@host`), `email`, `card_number` (13 to 19 digits that pass the Luhn check), "
            "`ip` (IPv4 and IPv6). All but `ip` where the key is left out; `[]` for none."
        ),
    )
    custom: tuple[CustomPattern, ...] = Field(
        default=(), description="Patterns of your own, which come before the built-in ones. Default none."
    )

    @model_validator(mode="after")
    def _something_is_taken_out(self) -> RedactSettings:
        if not self.patterns and not self.custom:
            raise ValueError("has neither patterns nor custom, so it would take out nothing")
        return self


def check_names(entries: tuple[RedactSettings, ...]) -> tuple[RedactSettings, ...]:
    """One name means one expression: it is a label of metrics and stands in the text."""
    known: dict[str, str] = {}
    for entry in entries:
        for custom in entry.custom:
            if known.setdefault(custom.name, custom.pattern) != custom.pattern:
                raise ValueError(
                    f"gives the name {custom.name} to two expressions; choose another one for the second"
                )
    return entries
