"""Whether a DSN works, without a trace in its project: a client report that reports nothing.

An empty envelope would not do: Relay takes it before it looks at the key (relay-server/src/endpoints/common.rs). And it
answers 200 to the first request for a key that it does not know yet, before it has asked whose it is; hence a second
request where the first one was taken.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from shipper.sinks.answers import answer_of, failure_of
from shipper.sinks.port import Delivered, Dropped, Malformed, Outcome, Parked, Retry, TooLarge
from shipper.sinks.sentry.envelope import of_nothing
from shipper.sinks.sentry.intake import Intake, Reply
from shipper.sinks.sentry.refusal import ADVICE

CHECK_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 1.0


async def check(intake: Intake, where: str, pause_s: float = _PAUSE_SECONDS) -> Outcome:
    """Try it; within `CHECK_SECONDS`."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            reply = await _ask(intake)
            if reply.status == 200:
                await asyncio.sleep(pause_s)
                reply = await _ask(intake)
    except Exception as error:  # TimeoutError too
        return failure_of(error, where)
    match answer_of(reply.status, reply.headers, reply.body, advice=ADVICE):
        case Delivered():
            return Delivered(f"{where} takes the DSN; what becomes of records there shows in the project")
        case Malformed(reason) | TooLarge(reason):
            return Parked(f"{where} does not take an envelope: {reason}; is it Sentry?")
        case Retry(reason) if reply.status == 429:
            return Delivered(f"{where} knows the DSN and wants nothing just now: {reason}")
        case Retry() | Parked() as refusal:
            return refusal
        case Dropped(reason):
            return Retry(reason)


async def _ask(intake: Intake) -> Reply:
    return await intake.post(of_nothing(int(time.time())).data)
