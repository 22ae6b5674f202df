"""A failure as an error event, of which Sentry makes an issue.

Payload: https://develop.sentry.dev/sdk/foundations/transport/event-payloads/. All its parts are bounded, so that an
event stays far below Sentry's limit of 1 MiB; text that swells in JSON is what `bare` is for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shipper.archive.layout import hour_of, partition_path
from shipper.entry import CodeFrame, Entry, Failure, Level
from shipper.model import App, Kind, Partition
from shipper.sinks.sentry import fingerprint
from shipper.sinks.sentry.cutting import cut
from shipper.sinks.sentry.envelope import CLIENT
from shipper.sinks.sentry.event_kinds import ABOUT, EventFailure, failure_of
from shipper.sinks.sentry.languages import language_of
from shipper.sinks.sentry.logs import seconds
from shipper.sinks.sentry.options import SentryOptions
from shipper.sinks.sentry.origin import (
    Origin,
    origin_of,
    release_of,
    span_id_of,
    tags_of,
    trace_id_of,
    trace_of,
)

_LEVELS: Final = {
    Level.TRACE: "debug",
    Level.DEBUG: "debug",
    Level.INFO: "info",
    Level.WARN: "warning",
    Level.ERROR: "error",
    Level.FATAL: "fatal",
}
_LONGEST_MESSAGE: Final = 8 * 1024
_LONGEST_TEXT: Final = 32 * 1024
_LONGEST_CRUMB: Final = 1024
_LONGEST_NAME: Final = 500
_MOST_FRAMES: Final = 100
_EVENT_FACTS: Final = ("kind", "reason", "severity", "count")


@dataclass(frozen=True, slots=True)
class Issue:
    """A record that is a failure: which issue it belongs to, and which event it is."""

    entry: Entry
    app: App
    hour: int
    event_id: str
    fingerprint: tuple[str, ...]
    event: EventFailure | None = None


class IssueWriter:
    """Finds the failures among records, and writes them as events."""

    def __init__(self, options: SentryOptions) -> None:
        self._options = options

    def find(self, entry: Entry) -> Issue | None:
        """The issue that this record makes, if it makes one."""
        if entry.kind is Kind.EVENTS:
            failure = failure_of(entry.record)
            if failure is None or failure not in self._options.events:
                return None
            app = origin_of(entry).app
            return _issue(entry, app, fingerprint.of_event(app, failure, entry.text), failure)
        if entry.failure is None or not self._options.tracebacks:
            return None
        app = origin_of(entry).app
        return _issue(entry, app, fingerprint.of_failure(app, entry.failure), None)

    def write(self, issue: Issue, *, bare: bool = False) -> dict[str, Any]:
        """The event's payload; a bare one has no breadcrumbs and not the lines themselves."""
        entry, options = issue.entry, self._options
        origin = origin_of(entry)
        event: dict[str, Any] = {
            "event_id": issue.event_id,
            "timestamp": seconds(entry.timestamp_ms),
            "platform": "other",
            "level": _LEVELS[_level_of(issue)],
            "logger": f"ignite.{entry.kind.value}",
            "transaction": cut(origin.app.name, 200),  # shown below the title
            "fingerprint": list(issue.fingerprint),
            "tags": tags_of(origin, options),
            "contexts": self._contexts(issue, origin),
            "sdk": {"name": "shipper", "version": CLIENT.partition("/")[2]},
        }
        _put(event, "server_name", origin.node)
        _put(event, "environment", options.environment)
        _put(event, "release", release_of(origin, options))
        if entry.before and options.breadcrumbs and not bare:
            event["breadcrumbs"] = {"values": _breadcrumbs(entry.before[-options.breadcrumbs :])}
        if entry.failure is not None:
            event |= _exception(entry.failure)
            if not bare:
                event["extra"] = {"lines": cut(entry.text, _LONGEST_TEXT)}
        else:
            event["logentry"] = {"formatted": cut(_told(issue), _LONGEST_MESSAGE)}
        return event

    def _contexts(self, issue: Issue, origin: Origin) -> dict[str, Any]:
        entry, base = issue.entry, self._options.archive
        folders = {
            kind.value: "/".join(filter(None, ((base or "").rstrip("/"), _folder(kind, issue))))
            for kind in dict.fromkeys((Kind.LOGS, entry.kind))
        }
        ignite: dict[str, Any] = {
            "organization": origin.app.organization,
            "app": origin.app.name,
            "replica": origin.replica,
            "node": origin.node,
            "cluster": origin.cluster,
            "stream": entry.record.get("stream"),
            "execution_id": entry.execution_id,
        }
        if entry.kind is Kind.EVENTS:
            ignite |= {f"event_{name}": entry.record.get(name) for name in _EVENT_FACTS}
        trace = {
            "trace_id": trace_id_of(entry) or trace_of(origin),
            "span_id": span_id_of(entry) or _span_of(issue),
        }
        return {
            "ignite": {name: value for name, value in ignite.items() if value not in (None, "")},
            "archive": folders,
            "trace": trace,
        }


def _issue(entry: Entry, app: App, issue: tuple[str, ...], failure: EventFailure | None) -> Issue:
    record = entry.record
    names = ("organization", "app", "replica_id", "stream", "kind", "reason", "count")
    event_id = fingerprint.event_id(
        entry.kind.value, entry.timestamp_ms, *(record.get(name) for name in names), entry.text
    )
    return Issue(entry, app, hour_of(entry.timestamp_ms), event_id, issue, failure)


def _level_of(issue: Issue) -> Level:
    if issue.event is not None:
        return ABOUT[issue.event].level
    return issue.entry.level or Level.ERROR


def _told(issue: Issue) -> str:
    """What an event's issue is called: `OOM killed: Memory cgroup out of memory`."""
    title = ABOUT[issue.event].title if issue.event is not None else "Failure"
    return f"{title}: {issue.entry.text}" if issue.entry.text else title


def _exception(failure: Failure) -> dict[str, Any]:
    language = language_of(failure.language)
    module, _, name = failure.type.rpartition(".") if language.dotted_types else ("", "", failure.type)
    value: dict[str, Any] = {
        "type": cut(name, _LONGEST_NAME) or "Failure",
        "value": cut(failure.message, _LONGEST_MESSAGE),
        "mechanism": {"type": "log"},
    }
    _put(value, "module", cut(module, _LONGEST_NAME))
    if failure.frames:
        frames = [_frame(frame, own=language.is_own(frame)) for frame in failure.frames[-_MOST_FRAMES:]]
        value["stacktrace"] = {"frames": frames}
    return {"platform": language.platform, "exception": {"values": [value]}}


def _frame(frame: CodeFrame, *, own: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"in_app": own, "function": cut(frame.function, _LONGEST_NAME) or "?"}
    _put(shown, "filename", cut(frame.file, _LONGEST_NAME))
    _put(shown, "module", cut(frame.module, _LONGEST_NAME))
    if 0 < frame.line < 2**31:
        shown["lineno"] = frame.line
    return shown


def _breadcrumbs(lines: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    return [
        {
            "timestamp": seconds(timestamp_ms),
            "type": "default",
            "category": "log",
            "level": "info",
            "message": cut(text, _LONGEST_CRUMB),
        }
        for timestamp_ms, text in lines
    ]


def _folder(kind: Kind, issue: Issue) -> str:
    return partition_path(Partition(kind, issue.app.organization, issue.app.name, issue.hour))


def _span_of(issue: Issue) -> str:
    """A trace context needs a span; an event that belongs to none has one of its own."""
    return issue.event_id[:16]


def _put(target: dict[str, Any], name: str, value: object) -> None:
    if value:
        target[name] = value
