"""Routes against each other, against the sinks and against what is read: names that lead nowhere, routes that cannot
match, records that nobody would get.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Final, get_args

from shipper.config.document import Finding
from shipper.config.paths import Path, quoted
from shipper.config.routes import Conditions, KindName, Match, RouteSettings
from shipper.errors import Severity

_KINDS: Final[frozenset[str]] = frozenset(get_args(KindName))
_GLOBS: Final = ("organization", "app", "replica")
_ONLY_OF: Final[Mapping[str, str]] = {
    "stream": "logs",
    "level": "logs",
    "severity": "events",
    "event": "events",
}

Shows = Callable[[Path], bool]
"""Whether what is written at a path may be shown: not where it came from the environment or a file."""


def check_names(data: Mapping[str, Any], sinks: Sequence[str], shows: Shows) -> Iterator[Finding]:
    """Every sink that is named must be configured, also where something else is wrong with the entry."""
    for section in ("routes", "redact"):
        entries = data.get(section)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            names = entry.get("sinks") if isinstance(entry, Mapping) else None
            path: Path = (section, index, "sinks")
            if isinstance(names, str):
                yield from _check_name(path, names, sinks, shows)
            elif isinstance(names, list):
                for place, name in enumerate(names):
                    yield from _check_name((*path, place), name, sinks, shows)


def _check_name(path: Path, name: Any, sinks: Sequence[str], shows: Shows) -> Iterator[Finding]:
    if isinstance(name, str) and name and name not in sinks:
        near = get_close_matches(name, sinks, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sinks) or 'none'}"
        subject = quoted(name) if shows(path) else "the value (from a ${...})"
        yield Finding(path, f"{subject} is not the name of a sink; {hint}")


def check_routes(
    routes: Sequence[RouteSettings], sinks: Mapping[str, str], shows: Shows, *, reads: bool
) -> Iterator[Finding]:
    """What the whole list leads to. `sinks` are the types of the sinks by name; `reads` whether there is `read`."""
    for index, route in enumerate(routes):
        path: Path = ("routes", index)
        if message := _cannot_match(route.match):
            yield _warning((*path, "match"), message)
        elif (before := _taken_before(routes, index)) is not None:
            name = routes[before].name if shows(("routes", before, "name")) else None
            which = f"the route {quoted(name)}" if name else f"route {before + 1} of the list"
            yield _warning(path, f"never takes a record: {which} takes them all before")
        if not reads and (route.match.level or (route.match.not_ is not None and route.match.not_.level)):
            message = "needs the section read: without it no line's level is known, and all are unknown"
            yield _warning((*path, "match"), message)
        if route.sentry_logs and not any(sinks.get(name) == "sentry" for name in route.sinks):
            yield _warning(
                (*path, "sentry_logs"), "means nothing here, as none of the route's sinks is of type sentry"
            )
    yield from _check_reach(routes, sinks)


def _check_reach(routes: Sequence[RouteSettings], sinks: Mapping[str, str]) -> Iterator[Finding]:
    if all(route.drop for route in routes):
        yield _warning(("routes",), "lead to no sink, so that nothing is delivered")
        return
    if not any(not route.drop and "gaps" in _kinds(route.match) for route in routes):
        message = (
            "no route takes gaps, so that the archive would not say what was lost; add one with kind: [gaps]"
        )
        yield _warning(("routes",), message)
    reached = {name for route in routes for name in route.sinks}
    if not reached <= sinks.keys():  # a misspelt name is one problem, and said already
        return
    for name in sinks:
        if name not in reached:
            yield Finding(
                ("sinks", name),
                "no route names this sink, so nothing reaches it",
                Severity.WARNING,
                at_key=True,
            )


def _taken_before(routes: Sequence[RouteSettings], index: int) -> int | None:
    """The first route above that leaves nothing to this one."""
    return next(
        (
            above
            for above in range(index)
            if not routes[above].continue_ and _covers(routes[above].match, routes[index].match)
        ),
        None,
    )


def _covers(wide: Match, narrow: Match) -> bool:
    """Whether `wide` certainly takes every record that `narrow` takes; in doubt it does not."""
    if wide.not_ is not None and wide.not_ != narrow.not_:
        return False
    if wide.line is not None and wide.line != narrow.line:
        return False
    if not all(_globs_cover(getattr(wide, name), getattr(narrow, name)) for name in _GLOBS):
        return False
    if wide.kind and not _kinds(narrow) <= frozenset(wide.kind):
        return False
    return all(_set_covers(getattr(wide, name), getattr(narrow, name)) for name in _ONLY_OF)


def _globs_cover(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    def covered(pattern: str) -> bool:
        exact = not any(magic in pattern for magic in "*?[")
        return any(glob in ("*", pattern) or (exact and fnmatchcase(pattern, glob)) for glob in wide)

    return not wide or all(map(covered, narrow or ("*",)))


def _set_covers(wide: Iterable[str], narrow: Iterable[str]) -> bool:
    accepted, asked = ({value.casefold() for value in values} for values in (wide, narrow))
    return not accepted or (bool(asked) and asked <= accepted)


def _cannot_match(match: Conditions) -> str | None:
    if not _kinds(match):
        of = {name: kind for name, kind in _ONLY_OF.items() if getattr(match, name)}
        name, kind = next(
            (name, kind) for name, kind in of.items() if not match.kind or kind not in match.kind
        )
        other = f"kind says {', '.join(match.kind)}" if match.kind else "another condition is of another kind"
        return f"never matches: {name} is a condition on {kind}, and {other}"
    return None


def _kinds(match: Conditions) -> frozenset[str]:
    """The kinds of the records that it may take: conditions on lines of logs and on events exclude the others."""
    kinds = frozenset(match.kind) or _KINDS
    for name, kind in _ONLY_OF.items():
        if getattr(match, name):
            kinds &= {kind}
    return kinds


def _warning(path: Path, message: str) -> Finding:
    return Finding(path, message, Severity.WARNING)
