"""Requests out of entries: as many logs in one as Datadog takes, in order, and the compression around them.

The limits (https://docs.datadoghq.com/api/latest/logs/#send-logs): 1,000 logs and 5 MB before compression a request,
1 MB a log. Like its own clients we stop well before: what something on the way adds must not cost a request.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

import zstandard

from shipper.entry import Entry
from shipper.model import Codec, Partition
from shipper.sinks.datadog.cut import cut
from shipper.sinks.datadog.labels import Labels
from shipper.sinks.datadog.late import Window
from shipper.sinks.datadog.mapping import LogWriter
from shipper.sinks.port import Parcel

CUT: Final = "cut"
RESTAMPED: Final = "restamped"

_GZIP_LEVEL: Final = 3  # the next one takes two thirds longer for a tenth fewer bytes: docs/performance.md
_GZIP_WRAPPER: Final = 31  # zlib's way of saying: gzip header and trailer, 32 KiB window
_ZSTD_LEVEL: Final = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may hold: logs, bytes of all of them before compression, bytes of one."""

    most_logs: int = 1000
    most_bytes: int = 4_250_000
    largest_log: int = 1_000_000


class Destination(Enum):
    """Which of Datadog's services a body is for."""

    LOGS = "/api/v2/logs"
    EVENTS = "/api/v1/events"


@dataclass(frozen=True, slots=True)
class Body:
    """What one request carries: JSON, not yet compressed."""

    destination: Destination
    data: bytes


class LogPacker:
    """Packs entries as logs. May be called from several threads."""

    def __init__(
        self,
        labels: Labels,
        late: Literal["restamp", "drop"],
        clock: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        self._labels: Final = labels
        self._late: Final = late
        self._clock: Final = clock
        self._limits: Final = limits or Limits()

    def pack(self, partition: Partition, entries: Sequence[Entry]) -> Iterator[Parcel]:
        """The entries as parcels; see `RecordSink.pack`."""
        writer = LogWriter(self._labels, partition)
        encode, restamps = writer.encode, self._late == "restamp"
        most_logs, most_bytes, largest = (
            self._limits.most_logs,
            self._limits.most_bytes,
            self._limits.largest_log,
        )
        pending = _Pending(0)
        logs = pending.logs
        window = Window(self._clock())
        for index, entry in enumerate(entries):
            stamp_ms: int | None = None
            if not window.oldest_ms <= entry.timestamp_ms <= window.newest_ms:
                if not restamps:
                    pending.dropped[window.why_outside(entry.timestamp_ms)] += entry.lines
                    continue
                stamp_ms = window.now_ms
            log = encode(entry, stamp_ms)
            was_cut = len(log) > largest
            if was_cut:
                log = self._fitted(writer, entry, stamp_ms)
            if logs and (len(logs) >= most_logs or pending.size + len(log) + 1 > most_bytes):
                yield pending.parcel(index)
                pending = _Pending(index)
                logs = pending.logs
                window = Window(self._clock())
            logs.append(log)
            pending.size += len(log) + 1
            if was_cut:
                pending.altered[CUT] += entry.lines
            if stamp_ms is not None:
                pending.altered[RESTAMPED] += entry.lines
        if pending.start < len(entries):
            yield pending.parcel(len(entries))

    def _fitted(self, writer: LogWriter, entry: Entry, stamp_ms: int | None) -> bytes:
        """The log of an entry that is too large: bare of what can be left out, its text cut."""
        text = entry.text
        bare = len(writer.encode_bare(entry, "", stamp_ms, len(text) * 4))
        message, left_out = cut(text, self._limits.largest_log - bare)
        return writer.encode_bare(entry, message, stamp_ms, left_out)


@dataclass(slots=True)
class _Pending:
    """The next request, as far as it goes. `size` counts an opening bracket, and a comma or the closing one a log."""

    start: int
    logs: list[bytes] = field(default_factory=list)
    size: int = 1
    dropped: Counter[str] = field(default_factory=Counter)
    altered: Counter[str] = field(default_factory=Counter)

    def parcel(self, stop: int) -> Parcel:
        body = Body(Destination.LOGS, b"[" + b",".join(self.logs) + b"]") if self.logs else None
        return Parcel(self.start, stop, stop, body, self.dropped, self.altered)


def compressed(codec: Codec, data: bytes) -> bytes:
    """The body as it is sent. Takes processor time: call it in a thread where there is much."""
    match codec:
        case Codec.GZIP:
            return zlib.compress(data, _GZIP_LEVEL, _GZIP_WRAPPER)
        case Codec.ZSTD:
            return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(data)
        case Codec.NONE:
            return data
