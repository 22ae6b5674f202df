"""The daemon's own faults, reported to the Sentry project that `telemetry.sentry_dsn` names.

A fault is what shipper did not expect: an exception that ends the process, and each line of its own log that comes with
a traceback (a task that failed, an error in the event loop, a sink that broke its contract). What is expected (the
errors of `shipper.errors`, an OSError) has its line in the log and is none.

What leaves is where it happened: types, calls and the source around them, versions. A message leaves only where shipper
made it, without secrets; any other may quote a record. No values of variables, no names of apps, no host name.
"""

from __future__ import annotations

import builtins
import logging
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from shipper import __version__
from shipper.config.secret import Secret
from shipper.errors import ShipperError
from shipper.telemetry.redaction import Redaction

FLUSH_S: Final = 2.0
"""How long the end of the process waits for the last report."""
_MOST_AN_HOUR: Final = 20
_HOUR_S: Final = 3600.0
_LONGEST_MESSAGE: Final = 1000
_LEFT_OUT: Final = "(the message is left out: it might quote a record)"
_EXPECTED: Final = (ShipperError, OSError)
# Their messages are the system's and name files and addresses at most.
_OS_ERRORS: Final = frozenset(
    name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, OSError)
)


class CrashReports(logging.Handler):
    """Reports faults by a client of its own: nothing is global, nothing is read from the environment.

    Each place in the code is reported once an hour, and at most twenty in all. Never raises. The client's thread
    begins with the first report.
    """

    def __init__(
        self,
        dsn: str,
        redaction: Redaction,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(logging.ERROR)
        # Imported here, as it takes 70 ms and 4 MiB that a daemon without this setting need not spend.
        from sentry_sdk.client import Client

        from shipper.telemetry.straight_transport import StraightTransport

        self._redaction = redaction
        self._clock = clock
        self._since = clock()
        self._reported: set[tuple[str, ...]] = set()
        self._client = Client(
            dsn,
            release=f"shipper@{__version__}",
            environment="production",
            server_name="",
            transport=StraightTransport,
            debug=False,
            spotlight=False,
            keep_alive=False,
            default_integrations=False,
            auto_enabling_integrations=False,
            auto_session_tracking=False,
            send_client_reports=False,
            propagate_traces=False,
            include_local_variables=False,
            max_breadcrumbs=0,
            in_app_include=["shipper"],
            shutdown_timeout=FLUSH_S,
        )

    def emit(self, record: logging.LogRecord) -> None:
        """A line of the log; only one with a traceback of something unexpected is reported."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            # The line as it is written in the source: filled in, it may name apps and quote records.
            self.report(error, str(record.msg) if isinstance(record.msg, str) else "")

    def report(self, error: BaseException, what: str) -> None:
        """Report a fault, if it is one that was not reported within the hour."""
        try:
            if is_fault(error) and self._is_news(error):
                self._send(error, what)
        except Exception as problem:  # a fault in here must not take the place of what was to be reported
            logging.getLogger("shipper.telemetry").warning(
                "a fault could not be reported: %s", type(problem).__name__
            )

    def close(self) -> None:
        """Send what waits, within `FLUSH_S`."""
        self._client.close(timeout=FLUSH_S)
        super().close()

    def _send(self, error: BaseException, what: str) -> None:
        from sentry_sdk.utils import event_from_exception

        event, _ = event_from_exception(error, client_options=self._client.options)
        for value in event["exception"]["values"]:
            value["value"] = self._message(value)
        sent: dict[str, Any] = {
            **event,
            "level": "fatal" if what == "" else "error",
            "logger": "shipper",
            "tags": {"python": platform.python_version(), "system": platform.system()},
        }
        if what:
            sent["logentry"] = {"formatted": self._redaction.apply(what)}
        self._client.capture_event(sent)  # type: ignore[arg-type]

    def _message(self, value: Any) -> str:
        module, name = str(value.get("module") or ""), str(value.get("type") or "")
        if module.partition(".")[0] != "shipper" and name not in _OS_ERRORS:
            return _LEFT_OUT
        return self._redaction.apply(str(value.get("value") or ""))[:_LONGEST_MESSAGE]

    def _is_news(self, error: BaseException) -> bool:
        now = self._clock()
        if now - self._since >= _HOUR_S:
            self._since, self._reported = now, set()
        place = tuple(_places(error))
        if place in self._reported or len(self._reported) >= _MOST_AN_HOUR:
            return False
        self._reported.add(place)
        return True


@contextmanager
def reported(dsn: Secret | None, redaction: Redaction) -> Iterator[None]:
    """Report faults while the block runs, also the one that ends it. Without a DSN nothing is loaded or done."""
    if dsn is None:
        yield
        return
    reports = CrashReports(dsn.reveal(), redaction)
    log = logging.getLogger("shipper")
    log.addHandler(reports)
    try:
        yield
    except Exception as error:
        reports.report(error, "")
        raise
    finally:
        log.removeHandler(reports)
        reports.close()


def is_fault(error: BaseException) -> bool:
    """Whether it is something that shipper did not expect. A group is where one of it is."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_fault(inner) for inner in error.exceptions)
    return isinstance(error, Exception) and not isinstance(error, _EXPECTED)


def _places(error: BaseException) -> Iterator[str]:
    """What tells one fault from another: types, and the innermost line of each traceback."""
    yield type(error).__qualname__
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is not None:
        yield f"{step.tb_frame.f_code.co_filename}:{step.tb_lineno}"
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _places(inner)
