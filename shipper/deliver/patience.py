"""Asking the buffer again until it does what was asked: a disk that refuses for a while must not end a worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shipper.deliver.retry import Backoff, Draw
from shipper.errors import BufferError

log = logging.getLogger("shipper.deliver")

T = TypeVar("T")


class Patience:
    """Repeats a call of the buffer for as long as it raises BufferError. Cancellation ends it between or in calls."""

    def __init__(self, sink: str, backoff: Backoff, draw: Draw) -> None:
        self._sink = sink
        self._backoff = backoff
        self._draw = draw

    async def insist(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """The call's result. `call` must be safe to repeat; `what` names it in the log."""
        failures = 0
        while True:
            try:
                result = await call()
            except BufferError as error:
                failures += 1
                if failures == 1:
                    log.warning(
                        "the buffer refuses to %s; this is tried again until it works",
                        what,
                        extra={"sink": self._sink, "error": str(error)},
                    )
                await asyncio.sleep(self._backoff.delay_s(failures, self._draw))
                continue
            if failures:
                log.info(
                    "the buffer could %s again", what, extra={"sink": self._sink, "attempt": failures + 1}
                )
            return result
