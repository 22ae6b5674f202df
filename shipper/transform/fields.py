"""Which fields of a JSON line say what: the usual names, and those that a configuration gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from shipper.entry import Entry
from shipper.transform.ids import (
    execution_of,
    span_of,
    span_of_datadog,
    span_of_parent,
    trace_of,
    trace_of_datadog,
    trace_of_parent,
)
from shipper.transform.levels import level_of_otel, level_of_python, level_of_value

Reading: TypeAlias = Callable[[Any], Any]


# What is looked for in a line, by the name that an entry has for it. Plain texts: an enumeration's members are hashed
# by a function in Python, which would take longer than all the rest.
LEVEL: Final = "level"
EXECUTION_ID: Final = "execution_id"
TRACE_ID: Final = "trace_id"
SPAN_ID: Final = "span_id"
STACK: Final = "stack"


def _stack_of(value: Any) -> str | None:
    """A stack trace has at least a line for the error and one for a call."""
    return value if type(value) is str and "\n" in value else None


_LEVEL_NAMES: Final = (
    "level", "severity", "levelname", "level_name", "lvl", "log.level", "loglevel", "log_level", "logLevel", "LogLevel",
    "Level", "Severity", "severity_text", "severityText", "SeverityText", "@level", "@l", "record.level.name",
    "status", "priority", "PRIORITY",
)  # fmt: skip
_STACK_NAMES: Final = (
    "error.stack", "err.stack", "error.stack_trace", "exception.stacktrace", "exception.stackTrace", "stack_trace",
    "stackTrace", "stacktrace", "stack", "exc_info", "exc_text", "exception", "traceback", "Exception", "@x", "err",
    "error", "errorVerbose", "record.exception",
)  # fmt: skip
# In the order in which they count where a line has several.
USUAL: Final[Mapping[str, tuple[tuple[str, Reading], ...]]] = {
    LEVEL: (
        *((name, level_of_value) for name in _LEVEL_NAMES),
        ("levelno", level_of_python),
        *((name, level_of_otel) for name in ("severity_number", "severityNumber", "SeverityNumber")),
    ),
    EXECUTION_ID: tuple(
        (name, execution_of)
        for name in (
            "execution_id", "executionId", "executionID", "execution.id", "x-ignite-execution-id",
            "headers.x-ignite-execution-id",
        )
    ),
    TRACE_ID: (
        *((name, trace_of) for name in ("trace_id", "traceId", "traceID", "TraceId", "trace.id", "otelTraceID")),
        *((name, trace_of_parent) for name in ("traceparent", "headers.traceparent")),
        ("dd.trace_id", trace_of_datadog),
        *((name, trace_of) for name in ("logging.googleapis.com/trace", "@tr", "span.trace_id")),
    ),
    SPAN_ID: (
        *((name, span_of) for name in ("span_id", "spanId", "spanID", "SpanId", "span.id", "otelSpanID")),
        *((name, span_of_parent) for name in ("traceparent", "headers.traceparent")),
        ("dd.span_id", span_of_datadog),
        *((name, span_of) for name in ("logging.googleapis.com/spanId", "@sp")),
    ),
    STACK: tuple((name, _stack_of) for name in _STACK_NAMES),
}  # fmt: skip
_MAX_SHAPES: Final = 256  # lists of names that are remembered
_MAX_NAMES: Final = 64  # names of one that is

Place: TypeAlias = tuple[str, tuple[str, ...], Reading]


@dataclass(frozen=True, slots=True)
class Shape:
    """What is asked of lines with one list of names, and where it may stand.

    `plain` are the fields that alone may say a thing, which is nearly always so; `others` are looked at in order.
    """

    plain: tuple[tuple[str, str, Reading], ...]
    others: tuple[tuple[str, tuple[Place, ...]], ...]
    stacks: tuple[Place, ...]


class Names:
    """Finds what is asked among the fields of a line.

    An app's lines have few lists of names, so where to look is remembered for each list. A place is a field, the
    names below it, and how its value is read.
    """

    def __init__(self, wanted: Mapping[str, Iterable[tuple[str, Reading]]]) -> None:
        self._places: dict[str, list[Place]] = {}
        for asked, names in wanted.items():
            places = self._places[asked] = []
            for name, reading in names:
                places.append((name, (), reading))
                first, *below = name.split(".")
                if below:
                    places.append((first, tuple(below), reading))
        self._known = frozenset(name for places in self._places.values() for name, _, _ in places)
        self._shapes: dict[tuple[str, ...], Shape] = {}

    def fill(self, entry: Entry, fields: Mapping[str, Any]) -> str | None:
        """Give an entry what the fields say; of several places the first that says something counts.

        Returns the stack trace that is in one of them.
        """
        names = tuple(fields)
        shape = self._shapes.get(names)
        if shape is None:
            shape = self._shape(names)
        for asked, name, reading in shape.plain:
            said = reading(fields[name])
            if said is not None:
                setattr(entry, asked, said)
        for asked, places in shape.others:
            said = _first(places, fields)
            if said is not None:
                setattr(entry, asked, said)
        return _first(shape.stacks, fields) if shape.stacks else None

    def _shape(self, names: tuple[str, ...]) -> Shape:
        known = self._known.intersection(names)
        wanted = {
            asked: tuple(place for place in places if place[0] in known)
            for asked, places in self._places.items()
        }
        stacks = wanted.pop(STACK, ())
        plain = {asked: places for asked, places in wanted.items() if len(places) == 1 and not places[0][1]}
        shape = Shape(
            tuple((asked, places[0][0], places[0][2]) for asked, places in plain.items()),
            tuple((asked, places) for asked, places in wanted.items() if places and asked not in plain),
            stacks,
        )
        if len(names) <= _MAX_NAMES:
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            self._shapes[names] = shape
        return shape


def _first(places: Iterable[Place], fields: Mapping[str, Any]) -> Any:
    for name, below, reading in places:
        value = fields[name]
        for key in below:
            value = value.get(key) if type(value) is dict else None
        if value is not None and (said := reading(value)) is not None:
            return said
    return None
