"""What the daemon does when it is signalled."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from dataclasses import dataclass, field

log = logging.getLogger("shipper.daemon")


@dataclass(slots=True)
class Stop:
    """SIGTERM and SIGINT: the first asks for a drain, the second ends the process at once."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def listening(self) -> _Listening:
        """Handles the signals while the context lasts."""
        return _Listening(self)

    def signalled(self, number: signal.Signals) -> None:
        if self.asked.is_set():
            log.error(
                "%s again: shipper ends at once; what is not delivered is safe in the buffer", number.name
            )
            os._exit(1)
        log.info("%s: draining", number.name)
        self.asked.set()


@dataclass(frozen=True, slots=True)
class _Listening:
    stop: Stop

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.signalled, number)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
