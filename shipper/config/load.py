"""From a file to settings: `load` for the daemon, `inspect` for whoever wants to know everything that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path as FilePath
from typing import Any, Final, TypeVar, cast

from pydantic import ValidationError

from shipper.config.checks import (
    check_clear_text,
    check_collect,
    check_ignite,
    check_private,
    check_storage,
    check_unalterable,
)
from shipper.config.contents import Looker, files_of
from shipper.config.destinations import SinkSettings
from shipper.config.document import Document, Finding, read_document
from shipper.config.examined import Examined
from shipper.config.messages import explain
from shipper.config.paths import Path, dotted
from shipper.config.platform import CollectSettings, IgniteSettings
from shipper.config.route_checks import check_names, check_routes
from shipper.config.routes import RouteSettings
from shipper.config.secret import Secret
from shipper.config.section import Section
from shipper.config.settings import BufferSettings, Settings
from shipper.config.shape import declared_at, holds_secret, section_at, variants
from shipper.errors import ConfigError, Problem, Severity

MAX_CONFIG_SIZE: Final = 1 << 20
ATTEMPTS: Final = 3  # to look at all files before they are read

# One key and one value on a line, which is no URL with a password or a query: only then is it certain that an excerpt
# shows no secret.
_HARMLESS_LINE: Final = re.compile(r"\s*(- )?([A-Za-z0-9_-]+:)?[^{},#&*!|>@?]*")

S = TypeVar("S", bound=Section)


def load(path: str | PathLike[str], environ: Mapping[str, str]) -> Settings:
    """The settings of a configuration file. Raises ConfigError with all problems; warnings alone do not stop it."""
    settings, problems = inspect(path, environ)
    if settings is None:
        raise ConfigError(tuple(problems))
    return settings


def inspect(
    path: str | PathLike[str], environ: Mapping[str, str]
) -> tuple[Settings | None, Sequence[Problem]]:
    """The settings, None where an error stands in the way, and every problem in the order of the file. Never raises."""
    examined = examine(path, environ)
    return examined.settings, examined.problems


def examine(path: str | PathLike[str], environ: Mapping[str, str]) -> Examined:
    """The same, with the files that were asked for. Never raises."""
    file = FilePath(path)
    source, unreadable = _read_text(file)
    if unreadable is not None:
        return Examined(None, [unreadable])
    document = read_document(source, environ)
    settings: Settings | None = None
    findings = list(document.findings)
    if document.data is not None:
        settings, errors = _validate(document)
        findings += errors
        if isinstance(document.data, Mapping):  # a tag on the whole file leaves nothing that can be looked at
            findings += _cross_check(file, document)
    problems = _problems(str(path), document, findings)
    usable = all(problem.severity is Severity.WARNING for problem in problems)
    files = frozenset(FilePath(name) for _, name in document.files if name)
    return Examined(settings if usable else None, problems, files)


def examine_as_held(
    path: str | PathLike[str], environ: Mapping[str, str], also: Iterable[FilePath] = ()
) -> Examined:
    """The same, with what all these files and those in `also` held before they were read. Never raises."""
    file, looker = FilePath(path), Looker()
    wanted = {file, *also}
    for _ in range(1 if _is_pipe(file) else ATTEMPTS):  # a pipe can be read once
        contents = looker.look(wanted)
        examined = examine(file, environ)
        named = examined.files | files_of(examined.settings)
        if named <= wanted:
            break
        wanted |= named  # which were not looked at before they were read
    return replace(examined, contents=contents)


def _is_pipe(file: FilePath) -> bool:
    try:
        return file.is_fifo()
    except OSError:
        return False  # reading it says what is wrong


def _read_text(file: FilePath) -> tuple[str, Problem | None]:
    def problem(message: str, line: int = 0, column: int = 0) -> tuple[str, Problem]:
        return "", Problem(str(file), line, column, "", message)

    try:
        if file.exists() and not file.is_file() and not file.is_fifo():
            return problem("is not a file")
        with file.open("rb") as opened:
            content = opened.read(MAX_CONFIG_SIZE + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        return problem(f"cannot be read: {reason}")
    if len(content) > MAX_CONFIG_SIZE:
        return problem("is larger than 1MiB, so it is hardly a configuration")
    try:
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        return problem("is not UTF-8 text", line, column)


def _validate(document: Document) -> tuple[Settings | None, list[Finding]]:
    try:
        return Settings.model_validate(document.data), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    return None, explain(Settings, errors, document)


def _cross_check(file: FilePath, document: Document) -> Iterator[Finding]:
    data = document.data
    yield from check_unalterable(file)
    if ignite := _valid(IgniteSettings, data.get("ignite")):
        yield from check_ignite(ignite)
    if collect := _valid(CollectSettings, data.get("collect")):
        yield from check_collect(collect)
    sinks = _valid_sinks(data.get("sinks"))
    yield from check_storage(_valid(BufferSettings, data.get("buffer")), sinks)
    yield from check_clear_text(sinks)
    yield from _check_routes(document)
    for path, name in document.files:
        if _is_secret(path, data):
            yield from check_private(path, FilePath(name))
    in_clear = (path for path, place in document.written.items() if place.literal)
    for path in in_clear:
        if _is_secret(path, data):
            yield from check_private(path, file)
            break


def _check_routes(document: Document) -> Iterator[Finding]:
    data = document.data

    def shows(path: Path) -> bool:
        written = document.written.get(path)
        return written is not None and written.literal

    sinks: Any = data.get("sinks")
    sinks = sinks if isinstance(sinks, Mapping) else {}
    yield from check_names(data, list(sinks), shows)
    written = data.get("routes")
    routes = _valid_items(RouteSettings, written)
    if routes and isinstance(written, list) and len(routes) == len(written):
        types = {
            name: str(sink.get("type")) if isinstance(sink, Mapping) else "" for name, sink in sinks.items()
        }
        yield from check_routes(list(routes.values()), types, shows, reads=bool(data.get("read")))


def _valid(section: type[S], data: Any) -> S | None:
    try:
        return section.model_validate(data)
    except ValidationError:
        return None


def _valid_items(section: type[S], data: Any) -> dict[int, S]:
    """Those of a list that are valid, by their place in it."""
    items = enumerate(data if isinstance(data, list) else ())
    return {index: item for index, value in items if (item := _valid(section, value)) is not None}


def _valid_sinks(data: Any) -> dict[str, SinkSettings]:
    kinds = variants(SinkSettings)
    sinks = {}
    for name, value in data.items() if isinstance(data, Mapping) else ():
        kind = value.get("type") if isinstance(value, Mapping) else None
        section = kinds.get(kind) if isinstance(kind, str) else None
        if section is not None and (sink := _valid(section, value)) is not None:
            sinks[name] = cast(SinkSettings, sink)
    return sinks


def _is_secret(path: Path, data: Any) -> bool:
    declared = declared_at(Settings, path, data)
    return declared is not None and declared.annotation is Secret


def _problems(file: str, document: Document, findings: list[Finding]) -> list[Problem]:
    lines = document.source.splitlines()
    problems = []
    for finding in findings:
        place = finding.place or document.place_of(finding.path, at_key=finding.at_key)
        line = lines[place.line - 1].rstrip() if place.line <= len(lines) else ""
        path, excerpt = dotted(finding.path), line if _may_show(finding.path, line, document.data) else ""
        problems.append(
            Problem(file, place.line, place.column, path, finding.message, finding.severity, excerpt)
        )
    return sorted(problems, key=lambda problem: (problem.line, problem.column, problem.path, problem.message))


def _may_show(path: Path, line: str, data: Any) -> bool:
    """Whether a source line certainly shows no secret. What nothing declares may be one, misspelt."""
    if (
        not path
        or path[:2] in (("ignite", "auth"), ("ignite", "headers"))
        or holds_secret(Settings, path, data)
        or section_at(Settings, path, data)  # its place is its first line, which may be anything in it
    ):
        return False
    return line.isprintable() and _HARMLESS_LINE.fullmatch(line) is not None
