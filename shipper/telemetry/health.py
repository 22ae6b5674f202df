"""Whether the daemon lives and whether it is ready: what /healthz and /readyz answer.

Liveness is the event loop alone. A platform or a sink that is down must not get the daemon restarted: it would lose its
streams and gain nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from itertools import count
from typing import Final

from shipper.meter import Meter

BEAT_S: Final = 1.0
STALLED_S: Final = 30.0
_REMEMBERED: Final = 60  # beats: a scraper that comes each minute misses no hiccup
_COUNTED: Final = 10  # beats between counts of the tasks: with thousands of them one takes milliseconds


class Liveness:
    """The heartbeat of the event loop.

    A loop that is stuck answers no probe at all; a loop that only crawls is seen by the time since its last beat.
    """

    def __init__(self, meter: Meter, *, stalled_s: float = STALLED_S) -> None:
        self._meter = meter
        self._stalled_s = stalled_s
        self._last: float | None = None
        self._lags: deque[float] = deque(maxlen=_REMEMBERED)

    async def run(self) -> None:
        """Beat until cancelled."""
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        for beat in count():
            if beat % _COUNTED == 0:
                self._meter.level("tasks", len(asyncio.all_tasks()))
            await asyncio.sleep(BEAT_S)
            now = loop.time()
            self._lags.append(max(0.0, now - self._last - BEAT_S))
            self._meter.level("event_loop_lag_seconds", self.lag_s)
            self._last = now

    def silence_s(self) -> float:
        """Seconds since the last beat; 0 before the first one. Must be called on the event loop."""
        return 0.0 if self._last is None else asyncio.get_running_loop().time() - self._last

    @property
    def lag_s(self) -> float:
        """How late a beat came in the last minute, at most."""
        return max(self._lags, default=0.0)

    @property
    def alive(self) -> bool:
        return self.silence_s() < self._stalled_s


class Readiness:
    """Named conditions that must all hold, each with the reason why it does not.

    All names are given at the start with their first reasons, so that nothing is ready before everything was looked at.
    """

    def __init__(self, conditions: Mapping[str, str]) -> None:
        self._unmet: dict[str, str | None] = dict(conditions)

    def met(self, name: str) -> None:
        """The condition holds. KeyError for a name that was not declared."""
        self._set(name, None)

    def unmet(self, name: str, reason: str) -> None:
        """The condition does not hold, because of `reason` (a short text for people, without secrets)."""
        self._set(name, reason)

    @property
    def ready(self) -> bool:
        return not self.reasons()

    def reasons(self) -> dict[str, str]:
        """The conditions that do not hold, with their reasons."""
        return {name: reason for name, reason in self._unmet.items() if reason is not None}

    def conditions(self) -> dict[str, str | None]:
        """Every condition; None where it holds."""
        return dict(self._unmet)

    def _set(self, name: str, reason: str | None) -> None:
        if name not in self._unmet:
            raise KeyError(f"readiness has no condition {name!r}")
        self._unmet[name] = reason
