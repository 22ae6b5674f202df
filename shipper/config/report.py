"""Problems and settings as a person reads them in a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from shipper.config.datadog import DatadogSettings
from shipper.config.destinations import DirectorySettings, S3Settings, SinkSettings, StdoutSettings
from shipper.config.sentry import SentrySettings
from shipper.config.settings import Settings
from shipper.config.units import format_size
from shipper.errors import Problem, Severity


def problem_lines(problems: Iterable[Problem], *, excerpts: bool) -> Iterator[str]:
    """One line for each problem; with `excerpts` also its source line, where that may be shown, and a caret."""
    for problem in problems:
        yield str(problem)
        if excerpts and problem.excerpt:
            yield f"{problem.line:>6} | {problem.excerpt}"
            yield f"{'':>6} | {'':>{problem.column - 1}}^"


def tally(problems: Sequence[Problem], file: str) -> str:
    """`3 errors, 1 warning in shipper.yaml`."""
    counts = [(severity, sum(problem.severity is severity for problem in problems)) for severity in Severity]
    named = [f"{number} {severity}{'s' if number > 1 else ''}" for severity, number in counts if number]
    return f"{', '.join(named)} in {file}"


def summary(settings: Settings) -> Iterator[str]:
    """The settings in a few lines: what is followed and where it goes."""
    collected = [name for name in ("logs", "events") if getattr(settings.collect, name)]
    excluded = f" without {', '.join(settings.apps.exclude)}" if settings.apps.exclude else ""
    full = {"block": "then holds back", "drop_oldest": "then drops the oldest"}[settings.buffer.when_full]
    yield f"endpoint      {settings.ignite.endpoint} ({settings.ignite.auth.type})"
    yield f"organization  {settings.ignite.organization}"
    yield f"apps          {', '.join(settings.apps.include)}{excluded}"
    yield f"collects      {', '.join(collected)}"
    yield f"buffer        {settings.buffer.path}, up to {format_size(settings.buffer.max_size)}, {full}"
    for number, (name, sink) in enumerate(settings.sinks.items()):
        yield f"{'sinks' if number == 0 else '':<14}{name}: {_destination(sink)}"
    if settings.routes:
        yield f"routes        {len(settings.routes)}, the first that matches takes a record"
    if settings.redact:
        names = {name for entry in settings.redact for name in entry.patterns}
        own = {custom.name for entry in settings.redact for custom in entry.custom}
        yield f"redacts       {', '.join(sorted(names | own))}"
    yield f"telemetry     {settings.telemetry.listen or 'off'}"


def _destination(sink: SinkSettings) -> str:
    match sink:
        case S3Settings():
            at = f" at {sink.endpoint_url}" if sink.endpoint_url else ""
            return f"s3://{'/'.join(filter(None, (sink.bucket, sink.prefix)))}{at}, {sink.compression}"
        case DirectorySettings():
            return f"directory {sink.path}, {sink.compression}"
        case DatadogSettings():
            at = f" at {sink.endpoint_url}" if sink.endpoint_url else ""
            return f"datadog {sink.site}{at}"
        case SentrySettings():
            return f"sentry {urlsplit(sink.dsn.reveal()).hostname}"  # the rest of a DSN is its key
        case StdoutSettings():
            return "stdout"
