"""A record on its way to a sink that takes records: what was collected, and what was read from it.

The archive keeps records as they came. Datadog and Sentry want levels, ids and whole stack traces; `transform/` reads
them, and the sinks write them in their own words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from shipper.model import Kind


class Level(StrEnum):
    """How bad a record is, in ascending order."""

    TRACE = "trace"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True)
class CodeFrame:
    """One call of a stack trace. What the text does not say is empty or 0."""

    function: str
    file: str = ""
    line: int = 0
    module: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A stack trace that was recognised in lines.

    `language` is `python`, `java`, `go`, `node`, `rust` or `dotnet`; `type` the exception's class or `panic`; `message`
    its first line; `frames` the calls, outermost first, the innermost ones where there are too many.
    """

    language: str
    type: str
    message: str
    frames: tuple[CodeFrame, ...] = ()


@dataclass(slots=True)
class Entry:
    """One record, or the lines of one stack trace as one. Nobody changes it once the pipeline has handed it out.

    `record` has the fields of the archive's contract, `line` and `message` as they may leave (redacted, joined);
    `text` is the line or lines, the event's message or the gap's detail. `level` is what the line itself says, never
    a guess from its stream. `fields` are those of a line that is a JSON object. `lines` counts the records that became
    this one. `before` has the lines of the same replica that came before a failure, oldest first, as (Unix
    milliseconds, text). `marks` are what the routes that took it want of the sink, such as `logs` of a Sentry sink.
    """

    record: dict[str, Any]
    kind: Kind
    timestamp_ms: int
    text: str
    level: Level | None = None
    fields: Mapping[str, Any] | None = None
    execution_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    lines: int = 1
    failure: Failure | None = None
    before: tuple[tuple[int, str], ...] = ()
    marks: frozenset[str] = field(default_factory=frozenset)
