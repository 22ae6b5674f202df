"""One attempt to deliver a batch: whatever a sink does, an outcome comes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from shipper.model import Batch
from shipper.sinks.port import Delivered, Outcome, Parked, Rejected, Retry, Sink

log = logging.getLogger("shipper.deliver")


async def attempt(sink: Sink, batch: Batch, frames: Sequence[bytes], *, deadline_s: float) -> Outcome:
    """The sink's answer. A sink that raises, hangs or answers nonsense broke its contract: that is a Retry and said so.

    Only a cancellation of the calling task comes out as an exception.
    """
    try:
        async with asyncio.timeout(deadline_s) as limit:
            outcome = await sink.send(batch, frames)
    except asyncio.CancelledError:
        if _cancelled_from_outside():
            raise
        return _broken(sink, batch, "it cancelled its own work", None)
    except TimeoutError as error:
        if limit.expired():
            return _broken(sink, batch, f"no answer within {deadline_s:g} s; the attempt was cancelled", None)
        return _broken(sink, batch, _described(error), error)
    except Exception as error:
        return _broken(sink, batch, _described(error), error)
    if not isinstance(outcome, Delivered | Retry | Rejected | Parked):
        return _broken(sink, batch, f"it answered {type(outcome).__name__}, which is no outcome", None)
    return outcome


def _cancelled_from_outside() -> bool:
    """A library inside the sink may leak a CancelledError of its own; then nobody has asked this task to stop."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _broken(sink: Sink, batch: Batch, what: str, error: Exception | None) -> Retry:
    log.error(
        "the sink broke its contract, which is a fault in shipper; the batch is tried again",
        extra={"sink": sink.name, "key": batch.name, "error": what},
        exc_info=error,
    )
    return Retry(what)


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
