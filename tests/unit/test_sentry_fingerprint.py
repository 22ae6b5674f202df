"""What makes two failures the same issue."""

from __future__ import annotations

from dataclasses import replace

from shipper.entry import CodeFrame, Failure
from shipper.model import App
from shipper.sinks.sentry.issues import Issue, IssueWriter
from shipper.sinks.sentry.options import SentryOptions
from tests.fakes.sentry import NOW_MS, TRACE, event, line, traceback

WRITER = IssueWriter(SentryOptions("http://key@127.0.0.1/1"))
HOUR_MS = 3_600_000


def issue(entry: object) -> Issue:
    found = WRITER.find(entry)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_same_failure_in_two_replicas_at_two_times_is_one_issue_and_two_events() -> None:
    first = issue(traceback(replica="checkout-7d9f8b6c5-x2x9p"))
    second = issue(traceback(replica="checkout-5c4d3b2a1-abcde", at=NOW_MS + HOUR_MS))
    assert first.fingerprint == second.fingerprint
    assert first.event_id != second.event_id


def test_the_same_failure_in_another_app_is_another_issue() -> None:
    assert issue(traceback()).fingerprint != issue(traceback(app="billing")).fingerprint
    assert issue(event()).fingerprint != issue(event(app="billing")).fingerprint


def test_the_same_record_is_the_same_event_however_often_it_comes() -> None:
    for entry in (traceback(), event()):
        again = replace(entry, before=((NOW_MS, "something else went before"),))
        assert issue(entry).event_id == issue(again).event_id


def test_an_event_that_recurs_is_another_event_of_the_same_issue() -> None:
    first, again = issue(event(count=1)), issue(event(count=2))
    assert first.fingerprint == again.fingerprint
    assert first.event_id != again.event_id


def test_messages_and_line_numbers_do_not_part_what_fails_in_one_place() -> None:
    moved = tuple(replace(frame, line=frame.line + 3) for frame in TRACE)
    assert (
        issue(traceback("card 4711")).fingerprint == issue(traceback("card 4712", frames=moved)).fingerprint
    )


def test_where_it_fails_parts_issues() -> None:
    elsewhere = (*TRACE[:2], CodeFrame("refund", "/app/checkout/pay.py", 90))
    assert issue(traceback()).fingerprint != issue(traceback(frames=elsewhere)).fingerprint


def test_the_same_code_in_another_folder_and_under_another_server_is_one_issue() -> None:
    elsewhere = (
        CodeFrame("serve", "/venv/lib/python3.13/site-packages/uvicorn/server.py", 1),
        *(replace(frame, file=frame.file.replace("/app/", "/srv/release-8/")) for frame in TRACE[1:]),
    )
    assert issue(traceback()).fingerprint == issue(traceback(frames=elsewhere)).fingerprint


def test_a_recursion_is_one_issue_however_deep_it_went() -> None:
    step = CodeFrame("descend", "/app/tree.py", 7)
    assert (
        issue(traceback(frames=(step,) * 50)).fingerprint == issue(traceback(frames=(step,) * 90)).fingerprint
    )


def test_names_that_a_runtime_makes_up_do_not_part_issues() -> None:
    first = CodeFrame("run", module="com.acme.Pay$$Lambda$14/0x0000000800c8a440")
    again = CodeFrame("run", module="com.acme.Pay$$Lambda$93/0x0000000801d11230")
    one, other = (issue(traceback(frames=(frame,), language="java")) for frame in (first, again))
    assert one.fingerprint == other.fingerprint


def test_without_calls_the_message_decides_less_what_varies_in_it() -> None:
    def of(message: str) -> tuple[str, ...]:
        return issue(traceback(message, frames=())).fingerprint

    first = of(
        "pod checkout-7d9f8b6c5-x2x9p lost 10.4.0.17:5432 after 31 s, id 5f0c1a2b-0d5f-4a7e-9a54-0c0f5d1e2a3b"
    )
    again = of(
        "pod checkout-5c4d3b2a1-abcde lost 10.4.0.99:5432 after 7 s, id 00000000-0d5f-4a7e-9a54-0c0f5d1e2a3b"
    )
    assert first == again
    assert first != of("the disk is full")


def test_probes_of_different_sorts_are_different_issues() -> None:
    liveness = issue(event("Unhealthy", message="Liveness probe failed: HTTP 500"))
    again = issue(event("Unhealthy", message="Liveness probe failed: Get http://10.4.0.1:80/: refused"))
    readiness = issue(event("Unhealthy", message="Readiness probe failed: HTTP 500"))
    assert liveness.fingerprint == again.fingerprint != readiness.fingerprint


def test_what_is_no_failure_or_is_not_asked_for_makes_no_issue() -> None:
    assert WRITER.find(line("ERROR: it did not work")) is None
    assert WRITER.find(event("Scheduled", message="")) is None
    assert WRITER.find(event("Evicted", message="The node was low on resource: memory")) is None
    quiet = IssueWriter(SentryOptions("http://key@127.0.0.1/1", events=frozenset(), tracebacks=False))
    assert quiet.find(event()) is None
    assert quiet.find(traceback()) is None


def test_a_failure_without_any_text_has_an_issue_too() -> None:
    entry = line("", failure=Failure("klingon", "", ""), marks=frozenset())
    assert issue(entry).fingerprint[:2] == (App("acme-corp", "checkout").organization, "checkout")
