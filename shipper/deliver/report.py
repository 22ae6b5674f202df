"""What delivery counts and tells: the series of one sink, and a line in the log for each change."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from shipper.deliver.backlog import Sealed
from shipper.deliver.breaker import Breaker, News, State, news
from shipper.deliver.health import LastWords
from shipper.deliver.held import HELD
from shipper.deliver.parcels import Settled
from shipper.deliver.port import Stats
from shipper.meter import Meter
from shipper.model import Batch, DeadLetter, Kind
from shipper.sinks.port import (
    Answer,
    Delivered,
    Dropped,
    Malformed,
    Outcome,
    Parked,
    Rejected,
    Retry,
    TooLarge,
)
from shipper.transform.port import Ending

log = logging.getLogger("shipper.deliver")

_OUTCOMES: Final[dict[type[Outcome | Answer], str]] = {
    Delivered: "delivered",
    Retry: "retry",
    Rejected: "rejected",
    Parked: "parked",
    TooLarge: "too_large",
    Malformed: "malformed",
    Dropped: "dropped",
}
_AHEAD_S: Final = 3600.0
_LONGEST_S: Final = 30 * 86_400.0


class Report:
    """The series and the log of one sink."""

    def __init__(self, sink: str, meter: Meter, now_ms: Callable[[], float]) -> None:
        self.words = LastWords()
        self._sink = sink
        self._meter = meter
        self._now_ms = now_ms

    def attempted(self, outcome: Outcome | Answer, seconds: float) -> None:
        """An attempt to send a batch or a parcel ended."""
        if isinstance(outcome, Delivered):
            self.words = replace(self.words, delivered_ms=self._now_ms())
        else:
            self.words = replace(self.words, error=outcome.reason, error_ms=self._now_ms())
        self._meter.count("sink_requests_total", 1, self._sink, _OUTCOMES[type(outcome)])
        self._meter.observe("sink_request_seconds", seconds, self._sink)

    def delivered(self, batch: Batch, records: int, ending: Ending | None, now_ms: float) -> None:
        """A batch was acknowledged. `records` are those that are not counted yet."""
        self._meter.count("records_delivered_total", records, self._sink, batch.partition.kind.value)
        if ending is not None:
            self._transformed(ending)
        if batch.batch_id == HELD:
            return
        self._meter.count("bytes_delivered_total", batch.size, self._sink)
        self._meter.observe("batch_records", batch.records, self._sink)
        self._meter.observe("batch_bytes", batch.size, self._sink)
        for record_ms in (batch.first_ms, batch.last_ms):
            seconds = journey_s(record_ms, now_ms)
            if seconds is not None:
                self._meter.observe("delivery_seconds", seconds, self._sink)

    def _transformed(self, ending: Ending) -> None:
        for reason, records in ending.dropped.items():
            self._meter.count("records_dropped_total", records, self._sink, reason)
        for pattern, times in ending.redacted.items():
            self._meter.count("redactions_total", times, self._sink, pattern)

    def settled(self, kind: Kind, settled: Settled) -> None:
        """Records of a batch are done with."""
        if settled.records:
            self._meter.count("records_delivered_total", settled.records, self._sink, kind.value)
        for reason, records in settled.dropped.items():
            self._meter.count("records_dropped_total", records, self._sink, reason)
        for how, records in settled.altered.items():
            self._meter.count("records_altered_total", records, self._sink, how)

    def buried(self, batch: Batch, letters: Sequence[DeadLetter]) -> None:
        """Records were refused for good. The buffer has them as dead letters and has counted them."""
        log.warning(
            "the sink refused records for good; they are kept as dead letters: shipper deadletter list",
            extra={**self._about(batch, letters[0].reason), "records": len(letters)},
        )

    def doubtful(self, batch: Batch, reason: str, wait_s: float) -> None:
        """Every record of a batch that was tried is refused; perhaps every other would be."""
        log.warning(
            "the sink refuses every record of a batch that was tried; others go first, and it is tried again in %d s",
            wait_s,
            extra=self._about(batch, reason),
        )

    def rejected(self, batch: Batch, reason: str) -> None:
        """A batch was refused for good. The buffer has recorded the gap and counted the loss."""
        log.error(
            "the sink refused a batch for good; its %d records are lost to this sink, and a gap says so",
            batch.records,
            extra=self._about(batch, reason),
        )

    def stuck(self, sealed: Sealed, reason: str) -> None:
        """One batch fails while others pass."""
        log.warning(
            "one batch keeps failing while others pass; it is tried again, and its partition waits for it",
            extra={**self._about(sealed.batch, reason), "attempt": sealed.failures},
        )

    def stepped(self, before: Breaker, after: Breaker, batch: Batch | None, reason: str, now: float) -> None:
        """The sink's health may have changed."""
        if before.state is not after.state:
            self.state(after.state)
        match news(before, after):
            case News.FAILS:
                log.warning(
                    "the sink fails; its records stay in the buffer and are tried again",
                    extra={**self._about(batch, reason), "attempt": after.attempts},
                )
            case News.PARKED:
                log.error(
                    "the sink takes nothing until someone acts on this error; its records stay in the buffer, "
                    "and one batch is tried every %d s",
                    after.pace.parked_s,
                    extra={"sink": self._sink, "error": reason},
                )
            case News.RECOVERED:
                log.info(
                    "the sink takes batches again",
                    extra={"sink": self._sink, "seconds": now - before.since, "attempt": before.attempts + 1},
                )

    def state(self, state: State) -> None:
        """Which state the sink is in."""
        for one in State:
            self._meter.level("sink_state", float(one is state), self._sink, one.value)

    def levels(self, stats: Stats, now_ms: float) -> None:
        """How much waits for the sink, and for how long."""
        self._meter.level("sink_backlog_records", stats.backlog_records.get(self._sink, 0), self._sink)
        oldest_ms = stats.oldest_committed_ms.get(self._sink)
        age_s = 0.0 if oldest_ms is None else max(0.0, (now_ms - oldest_ms) / 1000)
        self._meter.level("sink_oldest_unacked_seconds", age_s, self._sink)

    def _about(self, batch: Batch | None, reason: str) -> dict[str, object]:
        if batch is None:
            return {"sink": self._sink, "error": reason}
        app = f"{batch.partition.organization}/{batch.partition.app}"
        return {
            "sink": self._sink,
            "app": app,
            "kind": batch.partition.kind.value,
            "key": batch.name,
            "error": reason,
        }


def journey_s(record_ms: int, now_ms: float) -> float | None:
    """How long a record travelled; None if its own time cannot be true.

    A clock that is a little ahead makes 0 of it. What claims to be more than an hour from the future, or a month old,
    would only spoil the sum.
    """
    seconds = (now_ms - record_ms) / 1000
    if seconds < -_AHEAD_S or seconds > _LONGEST_S:
        return None
    return max(seconds, 0.0)
