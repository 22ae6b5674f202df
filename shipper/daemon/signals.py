"""What the daemon does when it is signalled."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

log = logging.getLogger("shipper.daemon")

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_TOGETHER_S: Final = (
    0.5  # timeout(1), and wrappers that pass on what a terminal has sent to all, signal twice at once
)


@dataclass(slots=True)
class Signals:
    """SIGTERM and SIGINT: the first asks for a drain, the next ends the process at once, unless it came together with
    the first. SIGHUP asks for a reload, any number of them until it is begun for one.
    """

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)
    clock: Callable[[], float] = time.monotonic
    end: Callable[[int], object] = os._exit
    _first_at: float = 0.0

    @contextmanager
    def heeded(self) -> Iterator[None]:
        """Handles the signals while the context lasts."""
        loop = asyncio.get_running_loop()
        for number in _STOPPING:
            loop.add_signal_handler(number, self.stopped, number)
        loop.add_signal_handler(signal.SIGHUP, self.hung_up)
        try:
            yield
        finally:
            for number in (*_STOPPING, signal.SIGHUP):
                loop.remove_signal_handler(number)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def stopped(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            if self.clock() - self._first_at >= _TOGETHER_S:
                log.error(
                    "%s again: shipper ends at once; what is not delivered is safe in the buffer", number.name
                )
                self.end(1)
            return
        self._first_at = self.clock()
        log.info("%s: draining", number.name)
        self.stop.set()

    def hung_up(self) -> None:
        if self.stop.is_set():
            log.info("SIGHUP: the configuration is not read again, as the daemon is ending")
            return
        self.reload.set()
