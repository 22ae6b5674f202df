"""The S3 sink and a store that misbehaves: what it answers, that it ends in time, what the bucket has in the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from shipper.sinks.port import Delivered, Outcome, Parked, Retry
from shipper.sinks.s3.sink import S3Sink
from tests.integration.sink_conformance import Sealed, sealed
from tests.servers.fault_proxy import CAPTIVE_PORTAL, SLOW_DOWN, SLOW_DOWN_FOR_7_S, Fault, FaultProxy, refusal
from tests.servers.process import free_port
from tests.servers.s3 import Store, opened
from tests.servers.tls import Tls

T = TypeVar("T")

PATIENT = 20.0  # seconds for an upload that is expected to pass
IMPATIENT = 0.4  # for one that is expected to stall
GRACE = 5.0  # what a busy machine may add


@dataclass(frozen=True, slots=True)
class Line:
    """A sink, the proxy that it talks to, and the bucket behind it."""

    sink: S3Sink
    proxy: FaultProxy
    store: Store
    bucket: str

    async def send(self, one: Sealed) -> Outcome:
        return await self.sink.send(one.batch, one.frames)

    def objects(self) -> dict[str, bytes]:
        return self.store.objects(self.bucket)


@asynccontextmanager
async def connected(store: Store, proxy: FaultProxy, bucket: str, **changes: Any) -> AsyncIterator[Line]:
    """A sink that reaches the bucket through the proxy."""
    options = store.options(
        bucket, **{"endpoint_url": proxy.url, "timeout_s": PATIENT, "prefix": "", **changes}
    )
    async with opened(options) as sink:
        yield Line(sink, proxy, store, bucket)


@pytest.fixture
async def proxy(moto_http: Store) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(moto_http.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def bucket(moto_http: Store, bucket: str) -> str:
    """A bucket that is there."""
    moto_http.make_bucket(bucket)
    return bucket


@pytest.fixture
async def line(moto_http: Store, proxy: FaultProxy, bucket: str) -> AsyncIterator[Line]:
    async with connected(moto_http, proxy, bucket) as line:
        yield line


# The HTTP client itself repeats a PUT once when the connection breaks, so a break has to happen twice to be seen.
FAULTS = {
    "throttled": ([SLOW_DOWN], "SlowDown"),
    "reset before the store saw it": ([Fault.RESET] * 2, "broke"),
    "taken and the answer lost": ([Fault.LOSE_ANSWER] * 2, "broke"),
    "taken and the answer cut short": ([Fault.TRUNCATE], "broke"),
    "answered in another protocol": ([Fault.GARBAGE], "broke"),
    "answered by a captive portal": ([CAPTIVE_PORTAL], "without an ETag"),
}
STALLS = {
    "never answered": Fault.STALL,
    "never even read": Fault.NEVER_READ,
    "taken and stalled after the head of the answer": Fault.STALL_AFTER_HEADERS,
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_any_fault_a_later_attempt_leaves_exactly_one_whole_object(
    line: Line, fault: str
) -> None:
    script, said = FAULTS[fault]
    one = sealed([["x" * 50_000]] * 3)
    line.proxy.plan(script)
    outcome = await line.send(one)
    assert isinstance(outcome, Retry)
    assert said in outcome.reason
    assert not line.proxy.script
    assert isinstance(await line.send(one), Delivered)
    assert line.objects() == {one.batch_key(): b"".join(one.frames)}


@pytest.mark.parametrize("stall", STALLS)
async def test_a_stall_ends_at_the_deadline_and_a_later_attempt_leaves_exactly_one_whole_object(
    line: Line, stall: str
) -> None:
    one = sealed([["x" * 50_000]] * 3)
    line.proxy.plan([STALLS[stall]])
    async with connected(line.store, line.proxy, line.bucket, timeout_s=IMPATIENT) as impatient:
        outcome = await in_time(impatient.send(one), IMPATIENT)
    assert isinstance(outcome, Retry)
    assert "within 0.4 s" in outcome.reason
    line.proxy.plan([])
    assert isinstance(await line.send(one), Delivered)
    assert line.objects() == {one.batch_key(): b"".join(one.frames)}


async def test_a_large_body_that_nobody_reads_ends_at_the_deadline(line: Line) -> None:
    line.proxy.plan([Fault.NEVER_READ])
    large = Sealed(sealed().batch, (b"\0" * (16 * 1024 * 1024),))
    async with connected(line.store, line.proxy, line.bucket, timeout_s=IMPATIENT) as impatient:
        assert isinstance(await in_time(impatient.send(large), IMPATIENT), Retry)


async def test_the_store_s_own_wish_for_a_pause_is_passed_on(line: Line) -> None:
    line.proxy.plan([SLOW_DOWN_FOR_7_S])
    outcome = await line.send(sealed())
    assert isinstance(outcome, Retry)
    assert outcome.after_s == 7.0


async def test_a_bucket_in_another_region_parks_and_names_the_region(line: Line) -> None:
    elsewhere = refusal(b"301 Moved Permanently\r\nx-amz-bucket-region: us-west-2", b"PermanentRedirect")
    line.proxy.plan([elsewhere] * 10)
    outcome = await line.send(sealed())
    assert isinstance(outcome, Parked)
    assert "us-west-2" in outcome.reason
    assert len(line.proxy.requests) < 5  # the SDK follows once by itself


async def test_one_send_is_one_request_when_the_store_says_no(line: Line) -> None:
    line.proxy.plan([SLOW_DOWN] * 5)
    await line.send(sealed())
    assert len(line.proxy.requests) == 1


async def test_uploads_that_wait_for_room_end_in_time_too(line: Line) -> None:
    line.proxy.plan([Fault.STALL] * 3)
    async with connected(line.store, line.proxy, line.bucket, timeout_s=IMPATIENT, memory=1) as impatient:
        sends = asyncio.gather(*(impatient.send(sealed(number=number)) for number in range(3)))
        outcomes = await in_time(sends, 3 * IMPATIENT)
    assert [type(outcome) for outcome in outcomes] == [Retry] * 3


async def test_what_waits_behind_a_stalled_upload_is_sent_when_that_is_given_up(line: Line) -> None:
    line.proxy.plan([Fault.STALL])
    async with connected(line.store, line.proxy, line.bucket, timeout_s=2.0, memory=1) as one_at_a_time:
        sends = asyncio.gather(*(one_at_a_time.send(sealed(number=number)) for number in range(3)))
        outcomes = await sends
    assert [type(outcome) for outcome in outcomes] == [Retry, Delivered, Delivered]


async def test_with_if_none_match_a_lost_answer_is_recognised_as_our_own_object(
    moto_http: Store, proxy: FaultProxy, bucket: str
) -> None:
    async with connected(moto_http, proxy, bucket, if_none_match=True) as line:
        one = sealed()
        proxy.plan([Fault.LOSE_ANSWER])  # the HTTP client repeats the PUT, which is answered with 412
        assert await line.send(one) == Delivered("it was there already")
        assert [request.method for request in proxy.requests] == ["PUT", "PUT", "HEAD"]
        assert line.objects() == {one.batch_key(): b"".join(one.frames)}


async def test_with_if_none_match_another_object_is_never_overwritten(
    moto_http: Store, proxy: FaultProxy, bucket: str
) -> None:
    async with connected(moto_http, proxy, bucket, if_none_match=True) as line:
        one = sealed()
        moto_http.client.put_object(Bucket=bucket, Key=one.batch_key(), Body=b"somebody else's")
        outcome = await line.send(one)
        assert isinstance(outcome, Parked)
        assert "other content" in outcome.reason
        assert line.objects() == {one.batch_key(): b"somebody else's"}


async def test_with_if_none_match_an_object_without_our_digest_is_compared_by_its_etag(
    moto_http: Store, proxy: FaultProxy, bucket: str
) -> None:
    async with connected(moto_http, proxy, bucket, if_none_match=True) as line:
        one = sealed()
        moto_http.client.put_object(Bucket=bucket, Key=one.batch_key(), Body=b"".join(one.frames))
        assert isinstance(await line.send(one), Delivered)


async def test_a_store_that_is_down_is_a_retry_and_opening_does_not_need_it(moto_http: Store) -> None:
    async with opened(moto_http.options("logs", endpoint_url=f"http://127.0.0.1:{free_port()}")) as sink:
        outcome = await sink.send(sealed().batch, sealed().frames)
        assert isinstance(outcome, Retry)
        assert "Connection refused" in outcome.reason


async def test_a_name_that_does_not_resolve_is_a_retry_that_says_so(moto_http: Store) -> None:
    async with opened(moto_http.options("logs", endpoint_url="http://s3.invalid")) as sink:
        outcome = await sink.send(sealed().batch, sealed().frames)
        assert isinstance(outcome, Retry)
        assert "cannot be resolved" in outcome.reason


async def test_a_certificate_of_an_unknown_authority_parks_the_sink(moto_https: Store) -> None:
    async with opened(moto_https.options("logs", ca_file=None)) as sink:
        outcome = await sink.send(sealed().batch, sealed().frames)
        assert isinstance(outcome, Parked)
        assert "ca_file" in outcome.reason


async def test_plain_http_spoken_to_a_tls_port_is_a_retry(moto_https: Store, tls: Tls) -> None:
    url = moto_https.endpoint_url.replace("https:", "http:")
    async with opened(moto_https.options("logs", endpoint_url=url, timeout_s=5.0)) as sink:
        assert isinstance(await sink.send(sealed().batch, sealed().frames), Retry)


async def test_tls_spoken_to_a_plain_port_is_a_retry_that_says_so(moto_http: Store) -> None:
    url = moto_http.endpoint_url.replace("http:", "https:")
    async with opened(moto_http.options("logs", endpoint_url=url, timeout_s=5.0)) as sink:
        outcome = await sink.send(sealed().batch, sealed().frames)
        assert isinstance(outcome, Retry)
        assert "TLS" in outcome.reason


async def test_a_missing_authority_file_is_said_when_opening(moto_https: Store, tls: Tls) -> None:
    sink = S3Sink("archive", moto_https.options("logs", ca_file=tls.ca_file.with_name("missing.pem")))
    with pytest.raises(FileNotFoundError, match=r"missing\.pem"):
        await sink.open()


async def in_time(sending: Awaitable[T], limit: float) -> T:
    """Await it, and hold it to its limit."""
    begin = time.monotonic()
    result = await sending
    assert time.monotonic() - begin < limit + GRACE
    return result
