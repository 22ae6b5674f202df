"""The sink that makes issues of failures and, where a route asks for it, logs of lines."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from shipper.entry import Entry
from shipper.model import Partition
from shipper.sinks.answers import answer_of, failure_of, quoted
from shipper.sinks.port import Answer, Delivered, Dropped, Outcome, Parcel, Retry
from shipper.sinks.sentry.check import check
from shipper.sinks.sentry.envelope import LOG_CATEGORIES, Envelope
from shipper.sinks.sentry.guard import Guard
from shipper.sinks.sentry.intake import Address, Intake, Reply
from shipper.sinks.sentry.issues import IssueWriter
from shipper.sinks.sentry.limits import RateLimits
from shipper.sinks.sentry.logs import LogWriter
from shipper.sinks.sentry.options import SentryOptions
from shipper.sinks.sentry.packing import Packer
from shipper.sinks.sentry.refusal import ADVICE

RATE_LIMITED: Final = "rate_limited"
_LOG: Final = logging.getLogger("shipper.sinks")


class SentrySink:
    """Writes into one project. Implements `sinks.port.RecordSink`; at least once.

    Nothing in it is shared with other sinks, nothing is global, and nothing waits: a rate limit is an answer like any
    other. While one stands that is longer than records may be held, they are dropped and counted.
    """

    def __init__(self, name: str, options: SentryOptions, *, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.concurrency = options.concurrency
        self._options: Final = options
        self._clock: Final = clock
        self._limits: Final = RateLimits()
        self._guard: Final = Guard(name, options.issues_per_hour)
        self._packer: Final = Packer(IssueWriter(options), LogWriter(options), self._guard)
        self._told: Final[dict[str, float]] = {}
        self._address: Final = Address.of(options.dsn)
        self._intake: Final = Intake(self._address, options.ca_file, options.concurrency + 1)

    async def open(self) -> None:
        """Make the client; see the port."""
        await self._intake.open()

    def pack(self, partition: Partition, entries: Sequence[Entry]) -> Iterator[Parcel]:
        """Issues, then logs; see the port."""
        return self._packer.pack(entries, (self._clock() - self._options.max_age_s) * 1000)

    async def send(self, parcel: Parcel) -> Answer:
        """Send one envelope; see the port."""
        envelope = parcel.body
        assert isinstance(envelope, Envelope)
        if self._guard.has_delivered(envelope.event_id):  # packed once more after an attempt that failed
            return Delivered("Sentry has it already")
        if self._wait_s(envelope.categories) > 0:
            return self._limited(envelope, "a rate limit stands")
        try:
            async with asyncio.timeout(self._options.timeout_s):
                reply = await self._intake.post(envelope.data)
        except Exception as error:  # TimeoutError too
            return failure_of(error, self._address.host)
        return self._answer(envelope, reply)

    async def check(self) -> Outcome:
        """Whether Sentry takes the DSN; see the port."""
        return await check(self._intake, self._address.host)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._intake.aclose()

    def _answer(self, envelope: Envelope, reply: Reply) -> Answer:
        self._limits.learn(reply.status, reply.headers, envelope.categories, self._now())
        if reply.status == 429:
            return self._limited(envelope, quoted(reply.status, reply.body))
        answer = answer_of(reply.status, reply.headers, reply.body, advice=ADVICE, clock=self._clock)
        if isinstance(answer, Delivered) and envelope.event_id:
            self._guard.delivered(envelope.event_id)
        return answer

    def _limited(self, envelope: Envelope, why: str) -> Retry | Dropped:
        """The answer while a limit stands."""
        wait = self._wait_s(envelope.categories)
        what = "logs" if envelope.categories == LOG_CATEGORIES else "issues"
        if wait <= self._options.longest_hold_s:
            return Retry(f"{why}: no {what} for {wait:.0f} s", wait)
        if self._told.get(what, -math.inf) < self._now():
            self._told[what] = self._now() + wait
            _LOG.warning(
                "Sentry wants no %s for %.0f s, which is not waited for: they are dropped and counted",
                what,
                wait,
                extra={"sink": self.name, "error": why},
            )
        dropped = {RATE_LIMITED: envelope.records} if envelope.records else {}
        altered = {RATE_LIMITED: envelope.also_logs} if envelope.also_logs else {}
        return Dropped(f"{why}: no {what} for {wait:.0f} s", dropped, altered)

    def _wait_s(self, categories: Sequence[str]) -> float:
        return self._limits.wait_s(categories, self._now())

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
