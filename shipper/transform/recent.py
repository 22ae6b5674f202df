"""The last lines of each replica, for what comes before a failure. In memory alone, as far as it goes."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Final

from shipper.entry import Entry
from shipper.model import Kind

MAX_LINES: Final = 20
MAX_LENGTH: Final = 512  # characters of a line that are kept
MAX_REPLICAS: Final = 512  # with full lines of ASCII about 6 MB
_LOGS: Final = Kind.LOGS
_GAPS: Final = Kind.GAPS

_Line = tuple[int, str]


class Recent:
    """Remembers the last lines of the replicas that printed last; one for all partitions of a pipeline.

    It is no part of the pipeline's state: after a restart it is empty, and what `before` shows depends on how
    lines and events came. It never decides what comes out.
    """

    def __init__(self, *, lines: int = MAX_LINES, replicas: int = MAX_REPLICAS) -> None:
        self._limit = lines
        self._replicas = replicas
        self._lines: OrderedDict[tuple[str, str], deque[_Line]] = OrderedDict()

    def follow(self, entries: Sequence[Entry]) -> None:
        """Set `before` of failures and of events, in the entries' order, and remember the lines.

        Lines are those that the replica printed on either stream up to the entry's own time.
        """
        for entry in entries:
            record = entry.record
            key = (record.get("app", ""), record.get("replica_id", ""))
            if entry.kind is not _LOGS:
                if key[1] and entry.kind is not _GAPS:
                    entry.before = self._before(key, entry)
                continue
            if entry.failure is not None:
                entry.before = self._before(key, entry)
            lines = self._lines.get(key)
            if lines is None:
                lines = self._lines[key] = deque(maxlen=self._limit)
                if len(self._lines) > self._replicas:
                    self._lines.popitem(last=False)
            line = (entry.timestamp_ms, entry.text[:MAX_LENGTH])
            # Entries that are tried again after a failure come a second time.
            if not lines or line[0] > lines[-1][0] or line not in lines:
                lines.append(line)
                self._lines.move_to_end(key)

    def _before(self, key: tuple[str, str], entry: Entry) -> tuple[_Line, ...]:
        """The lines up to the entry's time, oldest first; not the entry itself, where it comes a second time."""
        own = (entry.timestamp_ms, entry.text[:MAX_LENGTH])
        lines = [line for line in self._lines.get(key, ()) if line[0] <= entry.timestamp_ms and line != own]
        return tuple(sorted(lines, key=lambda line: line[0]))
