"""Conditions on records, split in two: what a partition says by itself, and what each record has to be asked for.

Records are asked in columns: one condition for all of them, then the next for those that are left. An expression reads
the lines of all of them at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from shipper.entry import Entry
from shipper.expression import Expression, Texts
from shipper.model import Kind, Partition

if TYPE_CHECKING:
    from shipper.config.routes import Conditions

_REMEMBERED: Final = 10_000  # names of replicas and the like, while one set of records is asked

Indices = list[int]


class Asked:
    """Entries that conditions ask. Their texts are joined once for all expressions that read the same of them."""

    __slots__ = ("_indices", "_joined", "entries")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self._indices: Indices | None = None
        self._joined: Texts | None = None

    def texts(self, indices: Indices) -> Texts:
        """The texts of these entries. The list is remembered, and is not to be changed."""
        if self._joined is None or self._indices is not indices:
            texts = [self.entries[index].text.encode("utf-8", "surrogatepass") for index in indices]
            self._indices, self._joined = indices, Texts.of(texts)
        return self._joined


Test = Callable[[Asked, Indices], Indices]
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

    def among(self, asked: Asked, indices: Indices) -> Indices:
        """Those that meet all of it."""
        if self.fit is Fit.NONE:
            return []
        for test in self.tests:
            if not indices:
                break
            indices = test(asked, indices)
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
        said = self._conditions
        if (
            (said.kind and partition.kind.value not in said.kind)
            or not _named(said.organization, partition.organization)
            or not _named(said.app, partition.app)
            or ((said.stream or said.level) and partition.kind is not Kind.LOGS)
            or ((said.severity or said.event) and partition.kind is not Kind.EVENTS)
        ):
            return Fitted(Fit.NONE)
        if not self._tests:
            return Fitted(Fit.ALL)
        return Fitted(Fit.SOME, self._tests, needs_level=bool(said.level))


def _named(globs: Sequence[str], name: str) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)


def _tests(said: Conditions) -> Iterable[Test]:
    """The cheapest first."""
    if said.stream:
        yield _field_is("stream", frozenset(said.stream).__contains__)
    if said.replica:
        yield _field_is("replica_id", lambda name: _named(said.replica, str(name)))
    if said.severity:
        yield _field_is("severity", _one_of(said.severity))
    if said.event:
        yield _field_is("kind", _one_of(said.event))
    if said.level:
        yield _level_is(said.level)
    if said.line is not None:
        yield _line_has(Expression(said.line))


def _one_of(names: Sequence[str]) -> Callable[[Any], bool]:
    accepted = {name.casefold() for name in names}
    return lambda value: str(value).casefold() in accepted


def _field_is(field: str, accepts: Callable[[Any], bool]) -> Test:
    """A field has few values, so each is judged once. One that was not sent is the empty text."""

    def test(asked: Asked, indices: Indices) -> Indices:
        entries = asked.entries
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

    def test(asked: Asked, indices: Indices) -> Indices:
        entries = asked.entries
        return [index for index in indices if entries[index].level in accepted]

    return test


def _line_has(expression: Expression) -> Test:
    def test(asked: Asked, indices: Indices) -> Indices:
        return [indices[found] for found in expression.among(asked.texts(indices))]

    return test


def _without(excluded: Fitted) -> Test:
    def test(asked: Asked, indices: Indices) -> Indices:
        gone = set(excluded.among(asked, indices))
        return [index for index in indices if index not in gone]

    return test
