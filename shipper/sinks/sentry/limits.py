"""How long Sentry wants to be left alone, by category of data: `X-Sentry-Rate-Limits` and `Retry-After`.

As https://develop.sentry.dev/sdk/foundations/transport/rate-limiting/ says: the header counts on any answer, a 200
too; seconds may have a fraction; no category means every one; unknown ones are ignored; the longest limit of a
category stands, also when a shorter one comes later; a 429 that says nothing means 60 seconds of everything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from shipper.sinks.answers import wish_s

HEADER: Final = "X-Sentry-Rate-Limits"
ALL: Final = ""
"""The category that stands for every one."""
_SILENT_429_S: Final = 60.0
_LONGEST_S: Final = 40 * 86_400.0  # a quota lasts to the end of a month at most
_KNOWN: Final = frozenset({ALL, "error", "default", "log_item", "log_byte"})
_MOST_LIMITS: Final = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of a header. `categories` is never empty: `ALL` where the header names none."""

    seconds: float
    categories: tuple[str, ...]


def parse(header: str) -> list[Limit]:
    """The limits of a header, in order; what is none is left out."""
    limits = []
    for written in header.split(",", _MOST_LIMITS)[:_MOST_LIMITS]:
        seconds, _, rest = written.partition(":")
        length = _seconds(seconds)
        if length is not None and _:
            named = rest.partition(":")[0].split(";")
            categories = tuple(category for category in map(_squeezed, named) if category)
            limits.append(Limit(length, categories or (ALL,)))
    return limits


class RateLimits:
    """What one DSN is told. Times are the event loop's, in seconds."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def learn(self, status: int, headers: Mapping[str, str], categories: Iterable[str], now: float) -> None:
        """Take note of an answer to something of these categories."""
        header = next((value for name, value in headers.items() if name.lower() == HEADER.lower()), None)
        for limit in parse(header or ""):
            self._hold(limit.categories, now + limit.seconds)
        if status != 429 or self.wait_s(categories, now) > 0:
            return
        wish = wish_s(headers)
        if header is None:
            self._hold((ALL,), now + (_SILENT_429_S if wish is None else min(wish, _LONGEST_S)))
        else:  # the header is about something else, and does not say why this was refused
            self._hold(categories, now + (_SILENT_429_S if wish is None else min(wish, _LONGEST_S)))

    def wait_s(self, categories: Iterable[str], now: float) -> float:
        """How long something of these categories has to wait; 0 if it may go."""
        until = max(self._until.get(category, -math.inf) for category in (ALL, *categories))
        return max(0.0, until - now)

    def _hold(self, categories: Iterable[str], until: float) -> None:
        for category in categories:
            if category in _KNOWN:
                self._until[category] = max(until, self._until.get(category, -math.inf))


def _seconds(text: str) -> float | None:
    try:
        seconds = float(_squeezed(text))
    except ValueError:
        return None
    return min(seconds, _LONGEST_S) if math.isfinite(seconds) and seconds >= 0 else None


def _squeezed(text: str) -> str:
    return "".join(text.split())
