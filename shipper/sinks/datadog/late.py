"""Datadog's window of time: what lies outside is answered with 202 and thrown away.

At most 18 hours old (https://docs.datadoghq.com/api/latest/logs/#send-logs; events too), at most two hours ahead
(https://docs.datadoghq.com/logs/log_configuration/processors/log_date_remapper/).
"""

from __future__ import annotations

from typing import Final

_MINUTE: Final = 60_000
OLDEST_MS: Final = 18 * 60 * _MINUTE
NEWEST_MS: Final = 2 * 60 * _MINUTE
ON_THE_WAY_MS: Final = 10 * _MINUTE
"""What a record may still grow older between packing and its arrival: delivery keeps a parcel for five minutes at
most before it packs anew, and then come a wait and a request or two."""

TOO_OLD: Final = "too_old"
TOO_NEW: Final = "too_new"


class Window:
    """Which times Datadog takes now, in Unix milliseconds, bounds included. `now_s` is the wall clock's."""

    __slots__ = ("newest_ms", "now_ms", "oldest_ms")

    def __init__(self, now_s: float) -> None:
        self.now_ms: Final = int(now_s * 1000)
        self.oldest_ms: Final = self.now_ms - OLDEST_MS + ON_THE_WAY_MS
        self.newest_ms: Final = self.now_ms + NEWEST_MS

    def why_outside(self, timestamp_ms: int) -> str:
        """Why a time that lies outside is not taken."""
        return TOO_OLD if timestamp_ms < self.oldest_ms else TOO_NEW
