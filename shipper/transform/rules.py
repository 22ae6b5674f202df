"""Which patterns apply to which app, for one sink: the `redact` entries of the configuration, compiled."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from shipper.transform.built_in import IN_ORDER, built_in
from shipper.transform.patterns import Pattern
from shipper.transform.redaction import Redaction

if TYPE_CHECKING:
    from shipper.config.redaction import RedactSettings

_REMEMBERED: Final = 10_000  # apps


class Rules:
    """All entries that are for one sink. Without any, it is false."""

    def __init__(self, entries: Iterable[RedactSettings], sink: str) -> None:
        self._entries = tuple(entry for entry in entries if not entry.sinks or sink in entry.sinks)
        self._patterns: dict[str, Pattern] = {}
        self._redactions: dict[tuple[str, ...], Redaction] = {}
        self._of_app: dict[str, Redaction | None] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    def of(self, app: str) -> Redaction | None:
        """What is to be taken out of the app's records; None for nothing."""
        if app not in self._of_app:
            if len(self._of_app) >= _REMEMBERED:
                self._of_app.clear()
            self._of_app[app] = self._made(app)
        return self._of_app[app]

    def _made(self, app: str) -> Redaction | None:
        fitting = [entry for entry in self._entries if any(fnmatchcase(app, glob) for glob in entry.app)]
        own = {custom.name: custom.pattern for entry in fitting for custom in entry.custom}
        asked = {name for entry in fitting for name in entry.patterns}
        names = (*own, *(name for name in IN_ORDER if name in asked))
        if not names:
            return None
        if names not in self._redactions:
            self._redactions[names] = Redaction([self._pattern(name, own.get(name)) for name in names])
        return self._redactions[names]

    def _pattern(self, name: str, source: str | None) -> Pattern:
        """Each is compiled once, and only if an app has it."""
        if name not in self._patterns:
            self._patterns[name] = built_in(name) if source is None else Pattern.of(name, source)
        return self._patterns[name]
