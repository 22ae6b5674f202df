"""Conditions on records, split in two: what a partition says by itself, and what each record has to be asked for.

Records are asked in columns: one condition for all of them, then the next for those that are left. An expression reads
the lines of all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Final

from shipper.config.routes import Conditions
from shipper.entry import Entry
from shipper.expression import Expression, Texts
from shipper.model import Kind, Partition

_REMEMBERED: Final = 10_000  # names of replicas and the like, while one set of records is asked

Indices = list[int]
Test = Callable[[Sequence[Entry], Indices], Indices]
"""Those of the entries, by index and in order, that meet a condition."""


class Fit(Enum):
    """What a partition alone says about its records."""

    NONE = "none of them"
    SOME = "perhaps some of them"
    ALL = "all of them"


@dataclass(frozen=True, slots=True)
class Fitted:
    """Conditions for one partition: its verdict, and the tests that records have to pass where that is SOME."""

    fit: Fit
    tests: tuple[Test, ...] = ()
    needs_level: bool = False

    def among(self, entries: Sequence[Entry], indices: Indices) -> Indices:
        """Those that meet all of it."""
        if self.fit is Fit.NONE:
            return []
        for test in self.tests:
            if not indices:
                break
            indices = test(entries, indices)
        return indices


class Matcher:
    """The compiled conditions of a route."""

    def __init__(self, conditions: Conditions, excluded: Conditions | None = None) -> None:
        self._conditions = _Compiled(conditions)
        self._excluded = _Compiled(excluded) if excluded is not None else None

    def fitted(self, partition: Partition) -> Fitted:
        """What is left to ask of the records of this partition."""
        fitted = self._conditions.fitted(partition)
        if self._excluded is None or fitted.fit is Fit.NONE:
            return fitted
        excluded = self._excluded.fitted(partition)
        match excluded.fit:
            case Fit.ALL:
                return Fitted(Fit.NONE)
            case Fit.NONE:
                return fitted
        tests = (*fitted.tests, _without(excluded))
        return Fitted(Fit.SOME, tests, fitted.needs_level or excluded.needs_level)

    @property
    def asks_records(self) -> bool:
        """Whether any partition's records would have to be asked."""
        excluded = self._excluded is not None and self._excluded.asks_records
        return self._conditions.asks_records or excluded


class _Compiled:
    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._tests = tuple(_tests(conditions))

    @property
    def asks_records(self) -> bool:
        return bool(self._tests)

    def fitted(self, partition: Partition) -> Fitted:
        asked = self._conditions
        if (
            (asked.kind and partition.kind.value not in asked.kind)
            or not _named(asked.organization, partition.organization)
            or not _named(asked.app, partition.app)
            or ((asked.stream or asked.level) and partition.kind is not Kind.LOGS)
            or ((asked.severity or asked.event) and partition.kind is not Kind.EVENTS)
        ):
            return Fitted(Fit.NONE)
        if not self._tests:
            return Fitted(Fit.ALL)
        return Fitted(Fit.SOME, self._tests, needs_level=bool(asked.level))


def _named(globs: Sequence[str], name: str) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


def _tests(asked: Conditions) -> Iterable[Test]:
    """The cheapest first."""
    if asked.stream:
        yield _field_is("stream", frozenset(asked.stream).__contains__)
    if asked.replica:
        yield _field_is("replica_id", lambda name: _named(asked.replica, str(name)))
    if asked.severity:
        yield _field_is("severity", _one_of(asked.severity))
    if asked.event:
        yield _field_is("kind", _one_of(asked.event))
    if asked.level:
        yield _level_is(asked.level)
    if asked.line is not None:
        yield _line_has(Expression(asked.line))


def _one_of(names: Sequence[str]) -> Callable[[Any], bool]:
    accepted = {name.casefold() for name in names}
    return lambda value: str(value).casefold() in accepted


def _field_is(field: str, accepts: Callable[[Any], bool]) -> Test:
    """A field has few values, so each is judged once. One that was not sent is the empty text."""

    def test(entries: Sequence[Entry], indices: Indices) -> Indices:
        verdicts: dict[Any, bool] = {}
        passed: Indices = []
        for index in indices:
            value = entries[index].record.get(field, "")
            verdict = verdicts.get(value)
            if verdict is None:
                if len(verdicts) >= _REMEMBERED:
                    verdicts.clear()
                verdict = verdicts[value] = accepts(value)
            if verdict:
                passed.append(index)
        return passed

    return test


def _level_is(names: Sequence[str]) -> Test:
    accepted = {None if name == "unknown" else name for name in names}

    def test(entries: Sequence[Entry], indices: Indices) -> Indices:
        return [index for index in indices if entries[index].level in accepted]

    return test


def _line_has(expression: Expression) -> Test:
    def test(entries: Sequence[Entry], indices: Indices) -> Indices:
        texts = [entries[index].text.encode("utf-8", "surrogatepass") for index in indices]
        return [indices[found] for found in expression.among(Texts.of(texts))]

    return test


def _without(excluded: Fitted) -> Test:
    def test(entries: Sequence[Entry], indices: Indices) -> Indices:
        gone = set(excluded.among(entries, indices))
        return [index for index in indices if index not in gone]

    return test
