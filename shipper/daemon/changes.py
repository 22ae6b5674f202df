"""What is different between the configuration in force and the one that takes its place. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from shipper.config.archives import ARCHIVES
from shipper.config.contents import Look, files_read_by

if TYPE_CHECKING:
    from shipper.config.destinations import SinkSettings
    from shipper.config.settings import Settings


@dataclass(frozen=True, slots=True)
class Version:
    """A configuration as it was read, with what the files held that it names."""

    settings: Settings
    contents: Look = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to be done so that another configuration is in force.

    `changed` sinks have other settings. Records of `transformed` ones go through another pipeline.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    transformed: tuple[str, ...] = ()
    buffer: bool = False
    platform: bool = False
    tokens: bool = False
    collection: bool = False
    listen: bool = False
    export: bool = False
    log: bool = False
    others: bool = False

    def __bool__(self) -> bool:
        return any(getattr(self, one.name) for one in fields(self))

    def said(self) -> str:
        """For people."""
        return "; ".join(self._parts()) or "nothing"

    def _parts(self) -> Iterator[str]:
        for what, sinks in (("added", self.added), ("changed", self.changed), ("removed", self.removed)):
            if sinks:
                yield f"sinks {what}: {', '.join(sinks)}"
        if self.transformed:
            yield f"records go other ways to {', '.join(self.transformed)}"
        words = {
            "buffer": "the buffer and what goes into it",
            "platform": "the platform, collection begins anew",
            "tokens": "who the daemon is for the platform",
            "collection": "what is collected",
            "listen": "where telemetry listens",
            "export": "where metrics are pushed to",
            "log": "the log",
            "others": "other settings",
        }
        yield from (text for name, text in words.items() if getattr(self, name))


def changes(before: Version, after: Version) -> Changes:
    """From one to the other."""
    old, new = before.settings, after.settings
    files = _files_that_differ(before, after)
    both = [name for name in new.sinks if name in old.sinks]
    changed = [
        name
        for name in both
        if _without_removal(old.sinks[name]) != _without_removal(new.sinks[name])
        or ("sinks", name, "ca_file") in files
    ]
    platform = _but_auth(old) != _but_auth(new) or any(setting[0] == "ignite" for setting in files)
    return Changes(
        added=tuple(name for name in new.sinks if name not in old.sinks),
        changed=tuple(changed),
        removed=tuple(name for name in old.sinks if name not in new.sinks),
        transformed=tuple(
            name for name in both if name not in changed and _way(old, name) != _way(new, name)
        ),
        buffer=_for_the_buffer(old) != _for_the_buffer(new),
        platform=platform,
        tokens=not platform and old.ignite.auth != new.ignite.auth,
        collection=(old.apps, old.collect) != (new.apps, new.collect),
        listen=old.telemetry.listen != new.telemetry.listen,
        export=old.telemetry.otlp != new.telemetry.otlp,
        log=old.log != new.log,
        others=old.shutdown != new.shutdown or _removals(old, both) != _removals(new, both),
    )


def at_next_start(began: Settings, after: Settings) -> tuple[str, ...]:
    """Settings that a running daemon cannot change, and that are not what it began with."""
    fixed = {
        "buffer.path": (began.buffer.path, after.buffer.path),
        "telemetry.sentry_dsn": (began.telemetry.sentry_dsn, after.telemetry.sentry_dsn),
    }
    return tuple(name for name, (one, other) in fixed.items() if one != other)


def _files_that_differ(before: Version, after: Version) -> set[tuple[str, ...]]:
    """The settings that name the same file as before, with other content."""
    old = files_read_by(before.settings)
    return {
        setting
        for setting, file in files_read_by(after.settings).items()
        if old.get(setting) == file and _content(before, file) != _content(after, file)
    }


def _content(version: Version, file: Path) -> str:
    return version.contents.get(file, "")


def _without_removal(sink: SinkSettings) -> dict[str, object]:
    """`on_remove` matters when the sink goes, and to nothing before."""
    return {name: value for name, value in sink if name != "on_remove"}


def _removals(settings: Settings, names: Iterable[str]) -> list[str]:
    return [settings.sinks[name].on_remove for name in names]


def _but_auth(settings: Settings) -> tuple[object, ...]:
    ignite = settings.ignite
    return ignite.endpoint, ignite.organization, ignite.headers, ignite.tls


def _way(settings: Settings, name: str) -> object:
    """What decides how the records of a sink get there, beside its own settings; None where they go as they are."""
    archive = settings.sinks[name].type in ARCHIVES
    if archive and not (settings.routes or settings.redact):
        return None
    others = frozenset(settings.sinks) if settings.routes else frozenset[str]()
    return settings.routes, others, settings.read, settings.redact


def _for_the_buffer(settings: Settings) -> tuple[object, ...]:
    """Sinks, what they are compressed with, and routes decide what is committed for whom."""
    sinks = {name: getattr(sink, "compression", None) for name, sink in settings.sinks.items()}
    return sinks, settings.routes, settings.buffer.max_size, settings.buffer.when_full
