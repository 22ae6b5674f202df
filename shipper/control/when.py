"""Times as people give them to commands: `2h` for two hours ago, or a date and time."""

from __future__ import annotations

from datetime import UTC, datetime

from shipper.config.units import UnitError, parse_duration


def moment_ms(text: str, now_ms: float) -> int:
    """Unix milliseconds. A date without a zone is UTC, one without a time its midnight. Raises ValueError."""
    try:
        return round(now_ms - parse_duration(text) * 1000)
    except UnitError:
        pass
    try:
        then = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time: write 30m or 2h for that long ago, or 2026-11-23T20:15 (UTC)"
        ) from None
    try:
        return round((then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() * 1000)
    except (OverflowError, ValueError):
        raise ValueError(f"{text!r} is no time that a record can have") from None


def shown(at_ms: int) -> str:
    """A time for people, in UTC; the number itself where it is absurd."""
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        return str(at_ms)
