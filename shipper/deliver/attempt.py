"""One attempt to deliver a batch or a parcel: whatever a sink does, an answer comes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from shipper.model import Batch
from shipper.sinks.port import (
    Answer,
    Delivered,
    Dropped,
    Malformed,
    Outcome,
    Parcel,
    Parked,
    RecordSink,
    Rejected,
    Retry,
    Sink,
    TooLarge,
)

log = logging.getLogger("shipper.deliver")

T = TypeVar("T")

_OUTCOMES: Final = (Delivered, Retry, Rejected, Parked)
_ANSWERS: Final = (Delivered, Retry, Parked, TooLarge, Malformed, Dropped)


async def send_batch(sink: Sink, batch: Batch, frames: Sequence[bytes], *, deadline_s: float) -> Outcome:
    """The sink's answer to a batch. A sink that raises, hangs or answers nonsense broke its contract: that is a Retry
    and said so.

    Only a cancellation of the calling task comes out as an exception.
    """
    about = (sink.name, batch.name)
    return await _attempt(lambda: sink.send(batch, frames), _OUTCOMES, about, deadline_s)


async def send_parcel(sink: RecordSink, parcel: Parcel, batch: Batch, *, deadline_s: float) -> Answer:
    """The sink's answer to a parcel of the batch, in the same way."""
    about = (sink.name, batch.name)
    return await _attempt(lambda: sink.send(parcel), _ANSWERS, about, deadline_s)


def broken(about: tuple[str, str], what: str, error: Exception | None) -> Retry:
    """The answer in place of the one that a sink or a pipeline owes. `about`: the sink's name, the batch's name."""
    log.error(
        "the sink broke its contract, which is a fault in shipper; the batch is tried again",
        extra={"sink": about[0], "key": about[1], "error": what},
        exc_info=error,
    )
    return Retry(what)


def described(error: Exception) -> str:
    """An exception in a line."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def _attempt(
    send: Callable[[], Awaitable[T]], answers: tuple[type, ...], about: tuple[str, str], deadline_s: float
) -> T | Retry:
    try:
        async with asyncio.timeout(deadline_s) as limit:
            answer = await send()
    except asyncio.CancelledError:
        if _cancelled_from_outside():
            raise
        return broken(about, "it cancelled its own work", None)
    except TimeoutError as error:
        if limit.expired():
            return broken(about, f"no answer within {deadline_s:g} s; the attempt was cancelled", None)
        return broken(about, described(error), error)
    except Exception as error:
        return broken(about, described(error), error)
    if not isinstance(answer, answers):
        return broken(about, f"it answered {type(answer).__name__}, which is no answer", None)
    return answer


def _cancelled_from_outside() -> bool:
    """A library inside the sink may leak a CancelledError of its own; then nobody has asked this task to stop."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
