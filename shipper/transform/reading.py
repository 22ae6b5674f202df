"""What a line says about itself: its level, the fields of a JSON object, the ids of execution, trace and span."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import orjson

from shipper.entry import Entry, Failure, Level
from shipper.expression import Expression
from shipper.model import Kind
from shipper.transform.fields import EXECUTION_ID, LEVEL, SPAN_ID, TRACE_ID, USUAL, Names, Reading
from shipper.transform.ids import execution_of, ids_in_text, span_of, trace_of
from shipper.transform.levels import level_in_text, level_of_value
from shipper.transform.stacks.port import MAX_MESSAGE
from shipper.transform.stacks.table import failure_of

if TYPE_CHECKING:
    from shipper.config.reading import Finding, ReadSettings

_LOGS: Final = Kind.LOGS  # members are looked up slowly
_MAX_JSON: Final = 256 << 10  # characters; a larger line is not parsed
_MAX_DEPTH: Final = 32  # objects and lists inside each other
_MAX_TEXT: Final = 64 << 10  # characters of a line that patterns see


class Reader:
    """Reads lines as `read` in the configuration asks; without that section nothing is read.

    A line's level comes from the line alone, never from its stream. What cannot be read is left as it was: a hostile
    line costs a bounded time and nothing else.
    """

    def __init__(self, rules: Sequence[tuple[str, Rule]]) -> None:
        self._rules = rules
        self._of_app: dict[str, Rule | None] = {}

    @classmethod
    def of(cls, read: Sequence[ReadSettings]) -> Reader:
        """A reader by the settings; for each app the first that matches counts."""
        return cls([(settings.app, Rule(settings)) for settings in read])

    def read(self, app: str, entry: Entry) -> None:
        """Fill `level`, `fields`, `execution_id`, `trace_id`, `span_id` of a log entry, and `failure` where one of
        its JSON fields has a stack trace. What the entry already has is kept where nothing is found.
        """
        if entry.kind is not _LOGS:
            return
        try:
            rule = self._of_app[app]
        except KeyError:
            rule = next((rule for glob, rule in self._rules if fnmatchcase(app, glob)), None)
            self._of_app[app] = rule
        if rule is not None:
            rule.read(entry)


class Rule:
    """One entry of `read`, made ready."""

    def __init__(self, settings: ReadSettings) -> None:
        self._json = settings.as_json
        self._auto = settings.level.auto
        findings: Mapping[str, tuple[Finding, Reading]] = {
            LEVEL: (settings.level, level_of_value),
            EXECUTION_ID: (settings.execution_id, execution_of),
            TRACE_ID: (settings.trace_id, trace_of),
            SPAN_ID: (settings.span_id, span_of),
        }
        own = {
            name: ((finding.field, reading),)
            for name, (finding, reading) in findings.items()
            if finding.field
        }
        self._names = Names({**USUAL, **own})
        self._patterns = tuple(
            (name, Expression(finding.pattern), reading)
            for name, (finding, reading) in findings.items()
            if finding.pattern
        )
        # Where the configuration says where an id stands, it is not looked for elsewhere.
        self._in_text = frozenset(
            name for name, (finding, _) in findings.items() if not finding.field and not finding.pattern
        )

    def read(self, entry: Entry) -> None:
        text = entry.text
        if self._json and text.startswith("{") and (fields := _fields(text)) is not None:
            entry.fields = fields
            stack = self._names.fill(entry, fields)
            if stack is not None and entry.failure is None:
                entry.failure = _failure(stack, fields)
        elif "race" in text or "xecution" in text:
            for name, value in ids_in_text(text):
                if name in self._in_text and getattr(entry, name) is None:
                    setattr(entry, name, value)
        for name, expression, reading in self._patterns:
            if getattr(entry, name) is None:
                captured = expression.capture(text[:_MAX_TEXT], name)
                setattr(entry, name, None if captured is None else reading(captured))
        if self._auto and entry.level is None:
            if entry.fields is None:
                entry.level = level_in_text(text)
            if entry.level is None and entry.failure is not None:
                entry.level = Level.ERROR


def _fields(text: str) -> dict[str, Any] | None:
    """The object that a line is as a whole; None for anything else, too much, or too deep."""
    if len(text) > _MAX_JSON:
        return None
    try:
        fields: dict[str, Any] = orjson.loads(text)  # it begins with a brace
    except ValueError:
        return None
    if text.find("{", 1) < 0 and "[" not in text:
        return fields
    return fields if text.count("{") + text.count("[") <= _MAX_DEPTH or _is_shallow(fields) else None


def _is_shallow(fields: dict[str, Any]) -> bool:
    level: list[Any] = [fields]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return True
    return False


def _failure(stack: str, fields: Mapping[str, Any]) -> Failure | None:
    """The failure in a stack trace, with the name and message that the line's other fields give one without."""
    failure = failure_of(stack)
    if failure is None or failure.type:
        return failure
    message = next((said for name in _MESSAGES if type(said := fields.get(name)) is str), "")
    return replace(failure, type="error", message=message.partition("\n")[0][:MAX_MESSAGE])


_MESSAGES: Final = ("error", "err", "msg", "message")
