"""The daemon's own log: lines on stderr, limited by cause, without secrets."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Self, TextIO

from shipper.telemetry.lines import LINES, LogFormat, message_of
from shipper.telemetry.redaction import Redaction
from shipper.telemetry.repeats import Repeated, Repeats

SWEEP_S: Final = 5.0
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
LEVELS: Final = tuple(_LEVELS)

_loop_log = logging.getLogger("shipper.loop")


class LogHandler(logging.Handler):
    """Prints records; sums up what the same cause says more than a few times a minute. Never raises."""

    def __init__(
        self,
        stream: TextIO,
        form: LogFormat,
        *,
        redaction: Redaction,
        repeats: Repeats | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.redaction = redaction
        self.suppressed: Callable[[int], None] = lambda _: None
        self._stream = stream
        self._line = LINES[form]
        self._repeats = repeats or Repeats()
        self._clock = clock

    def emit(self, record: logging.LogRecord) -> None:
        """Called with the handler's lock held."""
        now = self._clock()
        self._sum_up(now)
        if self._repeats.admit(record, now):
            self._print(record, message_of(record))

    def print_as(self, form: LogFormat) -> None:
        """From the next line on."""
        self._line = LINES[form]

    def sum_up(self, *, all_of_them: bool = False) -> None:
        """Print the sums of the minutes that are over, or of all that have begun."""
        self.acquire()
        try:
            self._sum_up(self._clock(), all_of_them=all_of_them)
        finally:
            self.release()

    def _sum_up(self, now: float, *, all_of_them: bool = False) -> None:
        for repeated in self._repeats.ended(now, all_of_them=all_of_them):
            self.suppressed(repeated.times)
            self._print(repeated.record, _summary(repeated))

    def _print(self, record: logging.LogRecord, message: str) -> None:
        try:
            line = self._line(record, message, self.redaction)
        except Exception as error:  # a fault in here must not take the place of what was to be said
            line = f"a record of {record.name!r} could not be printed: {type(error).__name__}"
        try:
            self._write(line + "\n")
        except (OSError, ValueError):  # stderr is gone or closed: there is nowhere left to say so
            return

    def _write(self, line: str) -> None:
        """In one write, so that lines of other threads and processes do not come between."""
        try:
            self._stream.write(line)
        except UnicodeEncodeError:
            self._stream.write(line.encode("ascii", "backslashreplace").decode())
        self._stream.flush()


class Logging:
    """The installed log of this process, from `configure` until `close`."""

    def __init__(self, handler: LogHandler, level: int) -> None:
        self.redaction: Final = handler.redaction
        self._handler = handler
        self._level = level

    def install(self) -> Self:
        """Print shipper's records from `level` on, other libraries' from WARNING: below that some print credentials."""
        root, own = logging.getLogger(), logging.getLogger("shipper")
        self._before = (root.level, own.level)
        root.addHandler(self._handler)
        self._set_levels()
        logging.captureWarnings(True)
        return self

    def _set_levels(self) -> None:
        logging.getLogger().setLevel(max(self._level, logging.WARNING))
        logging.getLogger("shipper").setLevel(self._level)

    def change(self, form: LogFormat | str, level: str) -> None:
        """Go on in another form or from another level on."""
        self._handler.print_as(LogFormat(form))
        self._level = _LEVELS[level]
        self._set_levels()

    def count_suppressed(self, suppressed: Callable[[int], None]) -> None:
        """From now on tell `suppressed` how many lines each sum stands for."""
        self._handler.suppressed = suppressed

    async def run(self) -> None:
        """Print sums in time even when nothing else is logged, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self._handler.sum_up()

    def close(self) -> None:
        """Print what was held back and put logging back as it was."""
        self._handler.sum_up(all_of_them=True)
        root, own = logging.getLogger(), logging.getLogger("shipper")
        root.removeHandler(self._handler)
        root.setLevel(self._before[0])
        own.setLevel(self._before[1])
        logging.captureWarnings(False)


def configure(
    form: LogFormat | str,
    level: str,
    *,
    stream: TextIO | None = None,
    secrets: Iterable[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> Logging:
    """Install the daemon's log on `stream` (stderr). `level` is one of LEVELS.

    `secrets` are replaced wherever they would be printed; `Logging.redaction.add` takes further ones.
    """
    redaction = Redaction()
    for secret in secrets:
        redaction.add(secret)
    handler = LogHandler(
        stream if stream is not None else sys.stderr,
        LogFormat(form),
        redaction=redaction,
        clock=clock,
    )
    return Logging(handler, _LEVELS[level]).install()


def on_loop_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """For `loop.set_exception_handler`: what nobody awaited becomes one line like any other."""
    error = context.get("exception")
    task = context.get("task") or context.get("future")
    name = task.get_name() if isinstance(task, asyncio.Task) else None
    _loop_log.error(
        "%s; the daemon goes on",
        context.get("message", "unhandled error in the event loop"),
        exc_info=error if isinstance(error, BaseException) else None,
        extra={"task": name},
    )


def _summary(repeated: Repeated) -> str:
    period = "minute" if repeated.seconds >= 60 else f"{repeated.seconds:.0f} s"
    times = "once" if repeated.times == 1 else f"{repeated.times} times"
    return f"{repeated.record.msg} … repeated {times} in the last {period}"
