"""The sink against a server that takes nothing that breaks a rule, and refuses on demand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shipper.entry import Entry
from shipper.sinks.port import Answer, Delivered, Dropped, Malformed, Parked, Retry, TooLarge
from shipper.sinks.sentry.limits import HEADER
from shipper.sinks.sentry.options import SentryOptions
from shipper.sinks.sentry.sink import SentrySink
from tests.fakes.sentry import LOGS, NOW_MS, event, line, partition, traceback
from tests.servers.process import free_port
from tests.servers.sentry_stub import Scripted, SentryStub, sentry_stub
from tests.servers.tls import make_tls


@pytest.fixture
async def stub() -> AsyncIterator[SentryStub]:
    async with sentry_stub() as server:
        yield server


@asynccontextmanager
async def opened(dsn: str, **options: Any) -> AsyncIterator[SentrySink]:
    sink = SentrySink("errors", SentryOptions(dsn, **options), clock=lambda: NOW_MS / 1000)
    await sink.open()
    try:
        yield sink
    finally:
        await sink.aclose()


async def send_all(sink: SentrySink, *entries: Entry) -> list[Answer]:
    return [await sink.send(parcel) for parcel in sink.pack(partition(), entries) if parcel.body is not None]


async def test_what_arrives_is_what_was_packed(stub: SentryStub) -> None:
    async with opened(stub.dsn) as sink:
        answers = await send_all(
            sink, *(line(f"line {number}") for number in range(150)), event(), traceback()
        )
    assert answers == [Delivered()] * 4
    assert [len(container) for container in stub.containers] == [100, 50]
    assert [log["body"] for log in stub.logs] == [f"line {number}" for number in range(150)]
    assert [sent["logger"] for sent in stub.events] == ["ignite.events", "ignite.logs"]
    assert {request.path for request in stub.requests} == {"/api/7/envelope/"}


@pytest.mark.parametrize(
    ("scripted", "answer"),
    [
        (Scripted(400, body='{"detail": "bad event"}'), Malformed),
        (Scripted(413), TooLarge),
        (Scripted(401), Parked),
        (Scripted(403), Parked),
        (Scripted(404), Parked),
        (Scripted(302, {"Location": "http://127.0.0.1:1/"}), Parked),
        (Scripted(429), Retry),
        (Scripted(500), Retry),
        (Scripted(503, {"Retry-After": "7"}), Retry),
        (Scripted(reset=True), Retry),
    ],
)
async def test_each_refusal_means_what_the_table_says(
    stub: SentryStub, scripted: Scripted, answer: type[Answer]
) -> None:
    stub.script.append(scripted)
    async with opened(stub.dsn) as sink:
        (refusal,) = await send_all(sink, event())
    assert isinstance(refusal, answer)
    assert stub.dsn not in refusal.reason  # type: ignore[union-attr]
    assert len(stub.requests) == 1


async def test_a_request_that_hangs_is_given_up_in_time(stub: SentryStub) -> None:
    stub.script.append(Scripted(hang=True))
    async with opened(stub.dsn, timeout_s=0.1) as sink:
        assert isinstance((await send_all(sink, event()))[0], Retry)


async def test_a_server_that_is_not_there_is_tried_again() -> None:
    async with opened(f"http://key@127.0.0.1:{free_port()}/7") as sink:
        (answer,) = await send_all(sink, event())
    assert isinstance(answer, Retry)
    assert "Connection refused" in answer.reason


async def test_a_limit_of_logs_holds_them_without_asking_and_lets_issues_go(stub: SentryStub) -> None:
    stub.script.append(Scripted(429, {HEADER: "30.5:log_item:key:quota"}))
    async with opened(stub.dsn) as sink:
        (first,) = await send_all(sink, line())
        again, issue = await send_all(sink, line()), await send_all(sink, event())
    assert isinstance(first, Retry)
    assert first.after_s == pytest.approx(30.5, abs=1)
    assert isinstance(again[0], Retry)
    assert issue == [Delivered()]
    assert len(stub.requests) == 2


async def test_issues_of_a_batch_do_not_wait_behind_its_limited_logs(stub: SentryStub) -> None:
    stub.only, stub.script = "log", [Scripted(429, {HEADER: "30:log_byte:key"})]
    async with opened(stub.dsn) as sink:
        answers = await send_all(sink, line(), line(), traceback(marks=LOGS))
    assert [type(answer) for answer in answers] == [Delivered, Retry]


async def test_a_limit_that_comes_with_a_200_counts(stub: SentryStub) -> None:
    stub.script.append(Scripted(200, {HEADER: "60:error;default:organization"}, keep=True))
    async with opened(stub.dsn) as sink:
        first, second = await send_all(sink, event(), event(count=2))
        assert first == Delivered()
        assert isinstance(second, Retry)
        assert await send_all(sink, line()) == [Delivered()]


async def test_a_limit_that_lasts_longer_than_is_waited_drops_and_counts(
    stub: SentryStub, caplog: pytest.LogCaptureFixture
) -> None:
    stub.script.append(Scripted(429, {HEADER: "86400:log_item:organization:quota"}))
    async with opened(stub.dsn) as sink:
        with caplog.at_level(logging.WARNING, "shipper.sinks"):
            (first,) = await send_all(sink, line(), line(lines=3))
            (again,) = await send_all(sink, line())
        assert isinstance(first, Dropped)
        assert first.dropped == {"rate_limited": 4}
        assert isinstance(again, Dropped)
        assert await send_all(sink, event()) == [Delivered()]
    assert len(caplog.records) == 1


async def test_an_issue_that_is_dropped_but_leaves_as_a_log_is_no_lost_record(stub: SentryStub) -> None:
    stub.script.append(Scripted(429, {HEADER: "60:error:key"}))
    async with opened(stub.dsn, longest_hold_s=0.0) as sink:
        issue, logs = await send_all(sink, traceback(marks=LOGS))
    assert isinstance(issue, Dropped)
    assert (issue.dropped, issue.altered) == ({}, {"rate_limited": 8})
    assert logs == Delivered()


async def test_a_repeat_of_an_issue_that_was_taken_is_not_sent(stub: SentryStub) -> None:
    async with opened(stub.dsn) as sink:
        await send_all(sink, event())
        assert await send_all(sink, event()) == []
    assert len(stub.events) == 1


async def test_an_issue_that_was_packed_twice_is_sent_once(stub: SentryStub) -> None:
    async with opened(stub.dsn) as sink:
        first, again = (next(iter(sink.pack(partition(), [event()]))) for _ in range(2))
        assert [type(await sink.send(parcel)) for parcel in (first, again)] == [Delivered] * 2
    assert len(stub.events) == 1


async def test_an_issue_whose_answer_was_lost_comes_again_as_the_same_event(stub: SentryStub) -> None:
    stub.script.append(Scripted(reset=True, keep=True))
    async with opened(stub.dsn) as sink:
        assert isinstance((await send_all(sink, event()))[0], Retry)
        assert await send_all(sink, event()) == [Delivered()]
    assert len({str(sent["event_id"]) for sent in stub.events}) == 1
    assert len(stub.events) == 2


async def test_sinks_with_different_dsns_know_nothing_of_each_other(stub: SentryStub) -> None:
    async with sentry_stub() as other, opened(stub.dsn) as one, opened(other.dsn) as two:
        stub.script.append(Scripted(429))
        answers = await asyncio.gather(send_all(one, event()), send_all(two, event()))
    assert [type(answer) for (answer,) in answers] == [Retry, Delivered]
    assert (len(stub.events), len(other.events)) == (0, 1)


async def test_a_check_goes_through_the_key_and_leaves_nothing(stub: SentryStub) -> None:
    async with opened(stub.dsn) as sink:
        assert isinstance(await sink.check(), Delivered)
    assert stub.events == stub.logs == []
    assert [envelope.item.type for envelope in stub.taken] == ["client_report"] * 2


async def test_a_check_says_that_a_key_is_wrong(stub: SentryStub) -> None:
    async with opened(stub.dsn.replace("//0", "//1")) as sink:
        answer = await sink.check()
    assert isinstance(answer, Parked)
    assert "Client Keys" in answer.reason


async def test_a_key_that_is_refused_only_once_it_is_known_is_refused_by_the_check(stub: SentryStub) -> None:
    stub.script += [Scripted(), Scripted(403)]
    async with opened(stub.dsn) as sink:
        assert isinstance(await sink.check(), Parked)


async def test_a_check_of_a_project_that_is_limited_says_so(stub: SentryStub) -> None:
    stub.script.append(Scripted(429))
    async with opened(stub.dsn) as sink:
        answer = await sink.check()
    assert isinstance(answer, Delivered)
    assert "wants nothing just now" in answer.detail


async def test_a_sentry_of_ones_own_is_trusted_by_its_authority_alone(tmp_path: Path) -> None:
    tls = make_tls(tmp_path)
    async with sentry_stub(tls.server_context()) as own:
        async with opened(own.dsn) as sink:
            (unknown,) = await send_all(sink, event())
        async with opened(own.dsn, ca_file=tls.ca_file) as sink:
            assert await send_all(sink, event()) == [Delivered()]
    assert isinstance(unknown, Parked)
    assert "does not prove who it is" in unknown.reason


async def test_a_ca_file_that_is_missing_is_said_at_once() -> None:
    sink = SentrySink("errors", SentryOptions("https://key@127.0.0.1/7", ca_file=Path("/nowhere")))
    with pytest.raises(OSError, match="No such file"):
        await sink.open()
    await sink.aclose()


async def test_closing_twice_is_as_closing_once(stub: SentryStub) -> None:
    async with opened(stub.dsn) as sink:
        await sink.aclose()
