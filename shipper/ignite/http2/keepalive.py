"""Notices a connection that is dead though nobody said so: after some silence it is asked, by HTTP/2's PING.

gRPC's servers count pings that come too often: by default one within five minutes of the last, with no headers or data
sent in between, is a strike, and the third strike ends the connection with ENHANCE_YOUR_CALM
(https://github.com/grpc/grpc/blob/master/doc/keepalive.md, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS;
grpc-go's handlePing counts the same way). So the first silence after anything came is asked about soon, and the same
silence again only after five minutes. With no stream open nothing is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: of silence before a ping, for its answer, and between pings that nothing came between."""

    silence_s: float = 30.0
    answer_s: float = 15.0
    again_s: float = 330.0  # five minutes, and as much more as a clock may be off

    def calmer(self) -> Timing:
        """For a server that finds these too many."""
        return replace(self, silence_s=2 * self.silence_s, again_s=2 * self.again_s)


DEFAULT: Final = Timing()
_LATE_S: Final = 1.0


class Keepalive:
    """Watches one connection from `start` to `stop`. The connection sets `heard_at` with everything that comes, and
    `brought` with headers and data.

    `wanted` says whether a stream is open, `ping` sends one, `dead` is called when it was not answered.
    """

    __slots__ = (
        "_asked_at",
        "_dead",
        "_loop",
        "_ping",
        "_timer",
        "_timing",
        "_wanted",
        "brought",
        "heard_at",
    )

    def __init__(
        self,
        timing: Timing,
        *,
        wanted: Callable[[], bool],
        ping: Callable[[], None],
        dead: Callable[[str], None],
    ) -> None:
        self._timing = timing
        self._wanted, self._ping, self._dead = wanted, ping, dead
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._asked_at = 0.0
        self.heard_at = self._loop.time()
        self.brought = True

    def start(self) -> None:
        """Begin to watch."""
        self._timer = self._loop.call_later(self._timing.silence_s, self._look)

    def stop(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        due = self.heard_at + self._timing.silence_s
        if not self.brought:
            due = max(due, self._asked_at + self._timing.again_s)
        if now < due or not self._wanted():
            wait = due - now if now < due else self._timing.silence_s
            self._timer = self._loop.call_later(min(wait, self._timing.silence_s), self._look)
            return
        self._asked_at, self.brought = now, False
        self._wait_for_answer(now)
        self._ping()

    def _wait_for_answer(self, now: float) -> None:
        due = now + self._timing.answer_s
        self._timer = self._loop.call_at(due, self._expect, due)

    def _expect(self, due: float) -> None:
        now = self._loop.time()
        if self.heard_at >= self._asked_at:
            self._look()
        elif (
            now > due + _LATE_S
        ):  # the machine slept, and the answer may lie unread: uvloop runs timers first
            self._wait_for_answer(now)
        else:
            self._timer = None
            self._dead(f"did not answer a PING within {self._timing.answer_s:g} s")
