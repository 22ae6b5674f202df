"""A limit on how often the same cause may be logged: what comes beyond is counted and summed up after its minute."""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from shipper.telemetry.lines import message_of

PER_WINDOW: Final = 10
WINDOW_S: Final = 60.0
_MOST_CAUSES: Final = 2000

Cause = tuple[str, int, str, str, str]


@dataclass(slots=True)
class _Window:
    """What one cause has done since `since`; `last` is the latest record that was held back."""

    since: float
    admitted: int = 0
    held_back: int = 0
    last: logging.LogRecord | None = None


@dataclass(frozen=True, slots=True)
class Repeated:
    """`times` records like `record` were held back within `seconds`."""

    record: logging.LogRecord
    times: int
    seconds: float


class Repeats:
    """Counts by cause. Not thread-safe: the handler's lock guards it. Times are seconds of any one clock."""

    __slots__ = ("_per_window", "_window_s", "_windows")

    def __init__(self, *, per_window: int = PER_WINDOW, window_s: float = WINDOW_S) -> None:
        self._per_window = per_window
        self._window_s = window_s
        self._windows: OrderedDict[Cause, _Window] = OrderedDict()  # the oldest window first

    def admit(self, record: logging.LogRecord, now: float) -> bool:
        """Whether to print the record. Call `ended` first."""
        cause = cause_of(record)
        window = self._windows.get(cause)
        if window is None:
            window = self._windows[cause] = _Window(since=now)
        if window.admitted < self._per_window:
            window.admitted += 1
            return True
        window.held_back += 1
        window.last = _light(record)
        return False

    def ended(self, now: float, *, all_of_them: bool = False) -> Iterator[Repeated]:
        """Forget the windows that are over (or all), or too many; yields those that held something back."""
        while self._windows:
            cause, window = next(iter(self._windows.items()))
            over = now - window.since >= self._window_s
            if not (over or all_of_them or len(self._windows) > _MOST_CAUSES):
                return
            del self._windows[cause]
            if window.last is not None:
                yield Repeated(window.last, window.held_back, min(now - window.since, self._window_s))


def cause_of(record: logging.LogRecord) -> Cause:
    """Records of one logger, level and message template, about the same app and sink, have the same cause."""
    template, app, sink = (
        _known(value) for value in (record.msg, vars(record).get("app"), vars(record).get("sink"))
    )
    return (record.name, record.levelno, template, app, sink)


def _known(value: object) -> str:
    """A text as it is; of anything else only the type, because printing it may raise."""
    return value if isinstance(value, str) else type(value).__name__


def _light(record: logging.LogRecord) -> logging.LogRecord:
    """The record without what it refers to: a traceback kept for a minute would keep whole batches in memory."""
    light = copy.copy(record)
    light.msg, light.args = message_of(record), None
    light.exc_info, light.exc_text = None, None
    return light
