"""The sink that sends records to Datadog."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from shipper.entry import Entry
from shipper.model import Kind, Partition
from shipper.sinks.datadog.body import Body, LogPacker
from shipper.sinks.datadog.intake import Intake
from shipper.sinks.datadog.labels import Labels
from shipper.sinks.datadog.options import DatadogOptions
from shipper.sinks.port import Answer, Outcome, Parcel

UNWANTED: Final = "filtered"


class DatadogSink:
    """Sends records as logs, and platform events as events too, if told so. Implements `sinks.port.RecordSink`.

    At least once: Datadog's logs have no identity, so a request whose answer was lost makes its logs appear twice.
    Nothing here tries twice, and each request ends within its deadline whatever is at the other end.
    """

    def __init__(self, name: str, options: DatadogOptions, clock: Callable[[], float] = time.time) -> None:
        self.name = name
        self.concurrency = options.concurrency
        self._options: Final = options
        self._clock: Final = clock
        self._labels: Final = Labels(
            source=options.source, service=options.service, hostname=options.hostname, tags=options.tags
        )
        self._logs: Final = LogPacker(self._labels, options.late, clock)
        self._intake: Final = Intake(options)

    async def open(self) -> None:
        """Read what TLS needs and, if events go to the Events API, load Datadog's client."""
        await self._intake.open()
        if self._options.events in ("api", "both"):
            await asyncio.to_thread(_load_client)

    def pack(self, partition: Partition, entries: Sequence[Entry]) -> Iterator[Parcel]:
        """See the port."""
        events = self._options.events if partition.kind is Kind.EVENTS else "logs"
        if events == "logs":
            yield from self._logs.pack(partition, entries)
        elif events == "none":
            if entries:
                count = sum(entry.lines for entry in entries)
                yield Parcel(0, len(entries), len(entries), None, {UNWANTED: count})
        else:
            yield from self._pack_events(partition, entries, also_as_logs=events == "both")

    async def send(self, parcel: Parcel) -> Answer:
        """See the port."""
        assert isinstance(parcel.body, Body)
        return await self._intake.post(parcel.body, self._options.timeout_s)

    def _pack_events(
        self, partition: Partition, entries: Sequence[Entry], *, also_as_logs: bool
    ) -> Iterator[Parcel]:
        from shipper.sinks.datadog.events import EventPacker  # `open` has loaded it

        if also_as_logs:  # the events settle and count them
            for parcel in self._logs.pack(partition, entries):
                if parcel.body is not None:
                    yield replace(parcel, settles=0, dropped={}, altered={}, sort="logs")
        yield from EventPacker(self._labels, self._options.source, self._options.late, self._clock).pack(
            entries
        )

    async def check(self) -> Outcome:
        """Validate the key, and try the way to the intake with no logs."""
        from shipper.sinks.datadog.check import check

        return await check(self._options, self._intake)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._intake.aclose()


def _load_client() -> None:
    from shipper.sinks.datadog import events  # noqa: F401 - some 40 ms, which the event loop need not spend
