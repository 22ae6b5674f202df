"""What the public contract knows and this version does not do yet; asked for, it is said clearly and never ignored."""

from __future__ import annotations

from typing import Final

SINK_TYPES: Final = frozenset(("sentry",))


def later_sink(kind: object) -> str | None:
    """The message for a type of sink that only a later version knows."""
    if not isinstance(kind, str) or kind not in SINK_TYPES:
        return None
    return f"{kind} sinks are not supported by this version yet; it has s3, directory, stdout and datadog"
