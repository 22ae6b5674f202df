"""How a failure looks as an error event."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shipper.entry import CodeFrame, Entry, Failure, Level
from shipper.model import Kind
from shipper.sinks.sentry.issues import IssueWriter
from shipper.sinks.sentry.options import SentryOptions
from tests.fakes.sentry import NOW_MS, event, traceback
from tests.fakes.sentry_packer import DSN, Packing, events_of

DAY_FOLDER = "org=acme-corp/app=checkout/dt=2026-09-21/hour=14"


def written(entry: Entry, **options: Any) -> dict[str, Any]:
    (sent,) = events_of(Packing(SentryOptions(DSN, **options)).pack([entry]))
    return sent


def test_a_traceback_is_an_exception_with_its_calls_outermost_first() -> None:
    sent = written(traceback())
    assert (sent["platform"], sent["level"], sent["logger"]) == ("python", "error", "ignite.logs")
    (exception,) = sent["exception"]["values"]
    assert (exception["type"], exception["value"]) == ("PaymentError", "card declined")
    frames = exception["stacktrace"]["frames"]
    assert [frame["function"] for frame in frames] == ["main", "handle", "charge"]
    assert [frame["in_app"] for frame in frames] == [False, True, True]
    assert (frames[-1]["filename"], frames[-1]["lineno"]) == ("/app/checkout/pay.py", 88)
    assert sent["extra"]["lines"].startswith("Traceback (most recent call last):")


@pytest.mark.parametrize(
    ("language", "frame", "platform", "own"),
    [
        ("java", CodeFrame("pay", "Pay.java", 3, "com.acme.Pay"), "java", True),
        ("java", CodeFrame("run", "Thread.java", 840, "java.lang.Thread"), "java", False),
        ("go", CodeFrame("main.charge", "/app/main.go", 9), "go", True),
        ("go", CodeFrame("net/http.(*conn).serve", "/usr/local/go/src/net/http/server.go", 1), "go", False),
        ("node", CodeFrame("charge", "/app/src/pay.ts", 3), "node", True),
        ("node", CodeFrame("emit", "node:events", 518), "node", False),
        ("node", CodeFrame("next", "/app/node_modules/express/lib/router.js", 1), "node", False),
        ("rust", CodeFrame("checkout::pay::charge", "./src/pay.rs", 3), "native", True),
        (
            "rust",
            CodeFrame("core::panicking::panic_fmt", "/rustc/abc/library/core/src/panicking.rs"),
            "native",
            False,
        ),
        ("dotnet", CodeFrame("Acme.Pay.Charge", "/src/Pay.cs", 3), "csharp", True),
        ("dotnet", CodeFrame("System.Threading.Tasks.Task.Execute"), "csharp", False),
        ("cobol", CodeFrame("PAY"), "other", True),
    ],
)
def test_each_language_has_sentrys_name_and_knows_its_own_calls(
    language: str, frame: CodeFrame, platform: str, own: bool
) -> None:
    sent = written(traceback(frames=(frame,), language=language))
    (shown,) = sent["exception"]["values"][0]["stacktrace"]["frames"]
    assert (sent["platform"], shown["in_app"]) == (platform, own)


@pytest.mark.parametrize(
    ("language", "written_type", "shown", "module"),
    [
        ("python", "checkout.pay.PaymentError", "PaymentError", "checkout.pay"),
        ("python", "ValueError", "ValueError", None),
        ("java", "java.lang.IllegalStateException", "IllegalStateException", "java.lang"),
        ("go", "panic", "panic", None),
        ("node", "AxiosError", "AxiosError", None),
        ("python", "", "Failure", None),
    ],
)
def test_the_type_of_an_exception_stands_without_its_module(
    language: str, written_type: str, shown: str, module: str | None
) -> None:
    entry = replace(traceback(), failure=Failure(language, written_type, "no"))
    (exception,) = written(entry)["exception"]["values"]
    assert (exception["type"], exception.get("module")) == (shown, module)


@pytest.mark.parametrize(
    ("reason", "message", "level", "title"),
    [
        ("OOMKilling", "Memory cgroup out of memory", "fatal", "OOM killed: Memory cgroup out of memory"),
        (
            "BackOff",
            "Back-off restarting failed container",
            "error",
            "Crash loop: Back-off restarting failed container",
        ),
        ("ErrImagePull", "", "error", "Image pull failed"),
        ("Unhealthy", "Readiness probe failed: 503", "warning", "Probe failed: Readiness probe failed: 503"),
    ],
)
def test_an_event_is_a_message_that_says_what_failed(
    reason: str, message: str, level: str, title: str
) -> None:
    sent = written(event(reason, message=message))
    assert (sent["platform"], sent["level"], sent["logger"]) == ("other", level, "ignite.events")
    assert sent["logentry"] == {"formatted": title}


def test_tags_say_whose_it_is_as_far_as_the_platform_tells() -> None:
    of_line, of_event = written(traceback(), tags={"team": "pay"}), written(event())
    assert of_line["tags"] == {
        "team": "pay",
        "organization": "acme-corp",
        "app": "checkout",
        "replica": "checkout-7d9f8b6c5-x2x9p",
        "node": "node-3",
        "cluster": "eu-1",
    }
    assert of_line["server_name"] == "node-3"
    assert set(of_event["tags"]) == {"organization", "app", "replica"}


def test_the_context_leads_to_the_archives_folder_of_the_hour() -> None:
    assert written(traceback())["contexts"]["archive"] == {"logs": f"kind=logs/{DAY_FOLDER}"}
    sent = written(event(), archive="s3://acme-logs/ignite/")
    assert sent["contexts"]["archive"] == {
        "logs": f"s3://acme-logs/ignite/kind=logs/{DAY_FOLDER}",
        "events": f"s3://acme-logs/ignite/kind=events/{DAY_FOLDER}",
    }


def test_the_lines_before_are_breadcrumbs_the_last_ones_oldest_first() -> None:
    before = tuple((NOW_MS - 100 + number, f"line {number}") for number in range(50))
    crumbs = written(traceback(before=before), breadcrumbs=3)["breadcrumbs"]["values"]
    assert [crumb["message"] for crumb in crumbs] == ["line 47", "line 48", "line 49"]
    assert crumbs[0]["timestamp"] == (NOW_MS - 53) / 1000
    assert "breadcrumbs" not in written(traceback(before=before), breadcrumbs=0)


def test_the_apps_own_trace_connects_an_issue_with_what_sentry_has_of_it() -> None:
    sent = written(traceback(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7"))
    assert sent["contexts"]["trace"] == {
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "00f067aa0ba902b7",
    }


def test_a_line_that_says_how_bad_it_is_is_believed() -> None:
    assert written(traceback(level=Level.FATAL))["level"] == "fatal"
    assert written(traceback(level=Level.TRACE))["level"] == "debug"


def test_environment_and_release_are_sent_where_they_are_told() -> None:
    sent = written(event(), environment="staging", release="{app}@2026.11")
    assert (sent["environment"], sent["release"]) == ("staging", "checkout@2026.11")
    assert "release" not in written(event())


def test_an_issue_knows_the_hour_of_its_record_whatever_batch_it_came_in() -> None:
    found = IssueWriter(SentryOptions(DSN)).find(event(at=3 * 3_600_000 + 1))
    assert found is not None
    assert (found.hour, found.entry.kind) == (3, Kind.EVENTS)
