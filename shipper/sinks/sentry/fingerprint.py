"""What makes two failures the same issue: the app, the failure and where it is, never the replica or the time.

Sentry groups events by their `fingerprint` where they have one
(https://docs.sentry.io/concepts/data-management/event-grouping/). Line numbers are not in it, so that an edit
elsewhere in a file does not make an old issue a new one.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

from shipper.entry import CodeFrame, Failure
from shipper.model import App
from shipper.sinks.sentry.event_kinds import EventFailure
from shipper.sinks.sentry.languages import language_of

_INNERMOST: Final = 5
_LONGEST: Final = 200
_UUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_POD: Final = r"(?<=-)[0-9a-f]{6,10}-[a-z0-9]{5}\b"
_VARYING: Final = re.compile(rf"0x[0-9a-fA-F]+|{_UUID}|{_POD}|\b(?=[0-9a-f]*[0-9])[0-9a-f]{{8,}}\b|\d+")
_GENERATED: Final = re.compile(r"0x[0-9a-fA-F]+|(?<=Lambda)\$?\d+|(?<=\$)\d+|\d{3,}")
_PROBES: Final = ("liveness", "readiness", "startup")


def of_event(app: App, failure: EventFailure, message: str) -> tuple[str, ...]:
    """An event's issue: one for each failure of an app; probes apart, as they fail for reasons of their own."""
    probe: tuple[str, ...] = ()
    if failure is EventFailure.PROBE_FAILED:
        probe = tuple(name for name in _PROBES if message.casefold().startswith(name))
    return (app.organization, app.name, failure.value, *probe)


def of_failure(app: App, failure: Failure) -> tuple[str, ...]:
    """A stack trace's issue: its type and its innermost calls, the app's own where it has any; else its message."""
    where = _where(failure)
    told = where or (_stable(failure.message),)
    return (app.organization, app.name, failure.language, _stable(failure.type), *told)


def event_id(*parts: object) -> str:
    """32 hex digits that are a pure function of the parts: the same record is the same event, however often sent."""
    digest = blake2b(digest_size=16, person=b"shipper.event")
    for part in parts:
        raw = str(part).encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()


def _where(failure: Failure) -> tuple[str, ...]:
    language = language_of(failure.language)
    own = [frame for frame in failure.frames if language.is_own(frame)]
    called: list[str] = []
    for frame in own or failure.frames:
        name = _call(frame)
        if name and (not called or called[-1] != name):  # recursion to whatever depth is one call
            called.append(name)
    return tuple(called[-_INNERMOST:])


def _call(frame: CodeFrame) -> str:
    place = frame.module or frame.file.replace("\\", "/").rpartition("/")[2]
    return ":".join(part for part in (_generated(place), _generated(frame.function)) if part)


def _generated(name: str) -> str:
    return _GENERATED.sub("#", name)[:_LONGEST]


def _stable(text: str) -> str:
    """The text without what varies from one time to the next: numbers, hashes, ids, names of pods."""
    return _VARYING.sub("#", text[: 4 * _LONGEST])[:_LONGEST]
