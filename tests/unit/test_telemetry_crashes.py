"""What leaves of the daemon's own faults, and what does not."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from shipper.config.secret import Secret
from shipper.errors import BufferUnavailable
from shipper.telemetry.crashes import CrashReports, is_fault, reported
from shipper.telemetry.redaction import Redaction

DSN = "http://key@127.0.0.1:9/1"
LOG = logging.getLogger("shipper.tests")
SECRET = "s3cret-t0ken"


class Reports:
    """Crash reports whose client keeps what it would send."""

    def __init__(self) -> None:
        redaction = Redaction()
        redaction.add(SECRET)
        self.now = 0.0
        self.sent: list[dict[str, Any]] = []
        self.handler = CrashReports(DSN, redaction, clock=lambda: self.now)
        self.handler._client.transport.capture_envelope = self._capture  # type: ignore[union-attr,method-assign]

    def _capture(self, envelope: Any) -> None:
        self.sent.append(envelope.get_event())


@pytest.fixture
def reports() -> Iterator[Reports]:
    made = Reports()
    logging.getLogger("shipper").addHandler(made.handler)
    yield made
    logging.getLogger("shipper").removeHandler(made.handler)
    made.handler.close()


def fail(line: str) -> None:
    hidden = line.upper()
    raise ValueError(f"cannot read {hidden}")


def log_fault(line: str = "a line of somebody's app") -> None:
    try:
        fail(line)
    except ValueError:
        LOG.exception("the batch of %s broke", line)


def test_a_fault_says_where_it_happened_and_nothing_of_a_record(reports: Reports) -> None:
    log_fault()
    (sent,) = reports.sent
    text = repr(sent).casefold()
    assert "somebody's app" not in text
    (exception,) = sent["exception"]["values"]
    assert exception["type"] == "ValueError"
    assert [frame["function"] for frame in exception["stacktrace"]["frames"]] == ["log_fault", "fail"]
    assert all("vars" not in frame for frame in exception["stacktrace"]["frames"])
    assert sent["logentry"]["formatted"] == "the batch of %s broke"
    assert sent["release"].startswith("shipper@")
    assert not sent.get("server_name")
    assert "breadcrumbs" not in sent or not sent["breadcrumbs"]["values"]


def test_messages_of_our_own_and_of_the_system_leave_without_secrets(reports: Reports) -> None:
    error = BufferUnavailable(f"the disk refuses: {SECRET}")
    error.__cause__ = OSError(28, f"No space left on device {SECRET}")
    reports.handler._send(error, "what %s")
    (sent,) = reports.sent
    values = [value["value"] for value in sent["exception"]["values"]]
    assert len(values) == 2
    assert all("[redacted]" in value for value in values)
    assert SECRET not in repr(sent)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ValueError("x"), True),
        (BufferUnavailable("x"), False),
        (OSError(5, "x"), False),
        (TimeoutError(), False),
        (ExceptionGroup("x", [BufferUnavailable("x")]), False),
        (ExceptionGroup("x", [BufferUnavailable("x"), ExceptionGroup("y", [KeyError("z")])]), True),
        (KeyboardInterrupt(), False),
    ],
)
def test_only_what_nobody_expected_is_a_fault(error: BaseException, fault: bool) -> None:
    assert is_fault(error) is fault


def test_lines_without_a_traceback_and_expected_errors_are_not_reported(reports: Reports) -> None:
    LOG.error("the sink takes nothing until someone acts")
    LOG.error("the buffer refuses", exc_info=BufferUnavailable("full"))
    LOG.warning("it failed", exc_info=ValueError("x"))
    assert reports.sent == []


def test_a_fault_that_repeats_is_reported_once_an_hour(reports: Reports) -> None:
    for _ in range(5):
        log_fault()
    assert len(reports.sent) == 1
    reports.now += 3600
    log_fault()
    assert len(reports.sent) == 2


def test_a_flood_of_different_faults_is_bounded(reports: Reports) -> None:
    for number in range(100):
        reports.handler.report(type(f"Fault{number}", (Exception,), {})(), "")
    assert len(reports.sent) == 20


def test_groups_are_reported_with_what_is_in_them(reports: Reports) -> None:
    reports.handler.report(ExceptionGroup("two failed", [ValueError("a"), KeyError("b")]), "")
    types = {value["type"] for value in reports.sent[0]["exception"]["values"]}
    assert types == {"ExceptionGroup", "ValueError", "KeyError"}
    assert reports.sent[0]["level"] == "fatal"


def test_a_fault_in_the_report_stays_inside(reports: Reports) -> None:
    reports.handler._client = None  # type: ignore[assignment]
    log_fault()
    reports.handler._client = CrashReports(DSN, Redaction())._client


def test_nothing_is_loaded_where_no_dsn_is_set() -> None:
    code = """if True:
        import sys
        from shipper.telemetry.crashes import reported
        from shipper.telemetry.redaction import Redaction
        with reported(None, Redaction()):
            pass
        sys.exit('sentry_sdk' in sys.modules)
    """
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_fault_that_ends_the_process_is_reported_and_goes_on_its_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[BaseException] = []
    monkeypatch.setattr(CrashReports, "report", lambda _, error, what: seen.append(error))
    with pytest.raises(ZeroDivisionError), reported(Secret(DSN), Redaction()):
        1 / 0  # noqa: B018
    assert [type(error) for error in seen] == [ZeroDivisionError]
    assert not any(isinstance(handler, CrashReports) for handler in logging.getLogger("shipper").handlers)
