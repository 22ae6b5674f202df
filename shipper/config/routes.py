"""Routes: which records go to which sinks, and which are dropped, sampled or held to a pace on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from shipper.config.section import Section
from shipper.config.types import (
    CountIn,
    ExpressionText,
    JsonSchema,
    Text,
    Texts,
    expect_text,
    one_is_a_list,
    scalar_schema,
)

KindName = Literal["logs", "events", "builds", "gaps"]
LevelName = Literal["trace", "debug", "info", "warn", "error", "fatal", "unknown"]
StreamName = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class RateIn:
    """Annotates an int of records a second, written `100/s`."""

    maximum: int

    def read(self, value: object) -> int:
        """Records a second. A number is taken as it is: only code can pass one."""
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        text = expect_text(value)
        if re.fullmatch(r"[0-9]{1,15}", text, re.ASCII):
            raise ValueError(f"needs its unit; write {text}/s")
        if not (found := re.fullmatch(r"([0-9]{1,15})/s", text, re.ASCII)):
            raise ValueError("is not a pace; write a whole number and /s, for example 100/s")
        if not 1 <= int(found[1]) <= self.maximum:
            raise ValueError(f"is out of range: 1/s to {self.maximum}/s")
        return int(found[1])

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return scalar_schema(self.read, lambda rate: f"{rate}/s")

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": "^[0-9]{1,15}/s$"}


_ANY: Final = "Default none: all."


class Conditions(Section):
    """What a record must be. Every condition that is written has to hold; of a list, one entry has to."""

    kind: Annotated[
        tuple[KindName, ...],
        BeforeValidator(one_is_a_list, json_schema_input_type=KindName | tuple[KindName, ...]),
    ] = Field(default=(), min_length=1, description=f"`logs`, `events`, `builds`, `gaps`. {_ANY}")
    organization: Texts = Field(
        default=(), min_length=1, description=f"Names or globs (`*`, `?`, `[abc]`). {_ANY}"
    )
    app: Texts = Field(default=(), min_length=1, description=f"Names or globs of apps. {_ANY}")
    replica: Texts = Field(default=(), min_length=1, description=f"Names or globs of replicas. {_ANY}")
    stream: Annotated[
        tuple[StreamName, ...],
        BeforeValidator(one_is_a_list, json_schema_input_type=StreamName | tuple[StreamName, ...]),
    ] = Field(
        default=(),
        min_length=1,
        description=f"`stdout`, `stderr`: what the line of a log was printed to. {_ANY}",
    )
    level: Annotated[
        tuple[LevelName, ...],
        BeforeValidator(one_is_a_list, json_schema_input_type=LevelName | tuple[LevelName, ...]),
    ] = Field(
        default=(),
        min_length=1,
        description=(
            "What a line of a log says of itself, found as `read` says: `trace`, `debug`, `info`, `warn`, "
            f"`error`, `fatal`, and `unknown` where it says nothing. {_ANY}"
        ),
    )
    severity: Texts = Field(
        default=(),
        min_length=1,
        description=f"Severity of an event, for example `WARNING`; upper and lower case are the same. {_ANY}",
    )
    event: Texts = Field(
        default=(),
        min_length=1,
        description=(
            "Kind of an event as the archive has it, for example `OOM_KILLED`; upper and lower case are the "
            f"same. {_ANY}"
        ),
    )
    line: ExpressionText | None = Field(
        default=None,
        description=(
            "Regular expression that is found in the line of a log or build, the message of an event, the detail "
            "of a gap; `(?i)` in front makes upper and lower case the same. Default null: all."
        ),
    )


class Match(Conditions):
    """Which records a route takes."""

    not_: Conditions | None = Field(
        default=None,
        alias="not",
        description=(
            "The same conditions once more: a record that meets all of them is not taken. Default null: none."
        ),
    )

    @model_validator(mode="after")
    def _not_says_something(self) -> Match:
        if self.not_ is not None and not self.not_.model_fields_set:
            raise ValueError("has a not without a condition, so that it would take nothing")
        return self


class RouteSettings(Section):
    """One route. A record goes along the list; the first route that matches takes it."""

    name: Text | None = Field(
        default=None, description="Its name in messages. Default null: its number in the list."
    )
    match: Match = Field(default_factory=Match, description="Which records it takes.")
    sinks: Texts = Field(
        default=(),
        min_length=1,
        description="Names of the sinks that get them; none together with `drop`. Default none.",
    )
    drop: bool = Field(default=False, description="They are dropped and counted (`filtered`). Default false.")
    sample: Annotated[int, CountIn(2, 1_000_000)] | None = Field(
        default=None,
        description=(
            "Keep one replica of so many, always the same ones, by a hash of the replica's name; what the "
            "others print is dropped for these sinks and counted (`sampled`). Default null: all."
        ),
    )
    throttle: Annotated[int, RateIn(10_000_000)] | None = Field(
        default=None,
        description=(
            "Keep at most so many records of an app in each second of the records' own time, for example "
            "`100/s`; the rest is dropped for these sinks and counted (`throttled`). Default null: all."
        ),
    )
    continue_: bool = Field(
        default=False,
        alias="continue",
        description="Go on with the routes below, which may bring the record to more sinks. Default false.",
    )
    sentry_logs: bool = Field(
        default=False,
        description="Lines that it brings to a Sentry sink are sent as Sentry Logs, which are billed. Default false.",
    )

    @model_validator(mode="after")
    def _does_one_thing(self) -> RouteSettings:
        if not self.drop and not self.sinks:
            raise ValueError("says neither sinks nor drop: true; write where its records go")
        if self.drop:
            others = {
                "sinks": self.sinks,
                "sample": self.sample,
                "throttle": self.throttle,
                "continue": self.continue_,
                "sentry_logs": self.sentry_logs,
            }
            for name, value in others.items():
                if value:
                    raise ValueError(
                        f"drops its records, so that {name} means nothing; remove one of the two"
                    )
        return self
