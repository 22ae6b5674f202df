"""What the public contract knows and this version does not do yet; asked for, it is said clearly and never ignored."""

from __future__ import annotations

from typing import Final

from shipper.config.paths import Path

SINK_TYPES: Final = frozenset(("datadog", "sentry"))

_KEYS: Final[dict[Path, str]] = {
    (
        "routes",
    ): "routes are not supported by this version yet: every record goes to every sink; remove the section",
}


def later_key(path: Path) -> str | None:
    """The message for a key that only a later version knows."""
    return _KEYS.get(path)


def later_sink(kind: object) -> str | None:
    """The message for a type of sink that only a later version knows."""
    if not isinstance(kind, str) or kind not in SINK_TYPES:
        return None
    return f"{kind} sinks are not supported by this version yet; it has s3, directory and stdout"
