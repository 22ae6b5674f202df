"""What `shipper check --connect` can and cannot say of a bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shipper.sinks.port import Delivered, Parked, Retry
from shipper.sinks.s3.sink import S3Sink
from tests.servers.fault_proxy import SLOW_DOWN, Canned, FaultProxy, refusal
from tests.servers.process import free_port
from tests.servers.s3 import Store, opened

FORBIDDEN = Canned(b"403 Forbidden")


@pytest.fixture
async def proxy(moto_http: Store) -> AsyncIterator[FaultProxy]:
    async with FaultProxy(moto_http.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
async def sink(moto_http: Store, proxy: FaultProxy, bucket: str) -> AsyncIterator[S3Sink]:
    moto_http.make_bucket(bucket)
    async with opened(moto_http.options(bucket, endpoint_url=proxy.url)) as sink:
        yield sink


async def test_a_bucket_that_answers_is_well_and_what_was_not_tried_is_said(
    sink: S3Sink, proxy: FaultProxy
) -> None:
    outcome = await sink.check()
    assert isinstance(outcome, Delivered)
    assert "a check writes nothing" in outcome.detail
    assert [request.method for request in proxy.requests] == ["HEAD"]


async def test_an_identity_that_may_only_put_is_well(sink: S3Sink, proxy: FaultProxy) -> None:
    """The smallest policy of docs/sinks.md: it allows neither HeadBucket nor a listing."""
    proxy.plan([FORBIDDEN, refusal(b"403 Forbidden", b"AccessDenied")])
    outcome = await sink.check()
    assert isinstance(outcome, Delivered)
    assert "may not list" in outcome.detail


async def test_wrong_keys_are_told_from_an_identity_that_may_only_put(
    sink: S3Sink, proxy: FaultProxy
) -> None:
    proxy.plan([FORBIDDEN, refusal(b"403 Forbidden", b"InvalidAccessKeyId")])
    outcome = await sink.check()
    assert isinstance(outcome, Parked)
    assert "access_key_id" in outcome.reason


async def test_a_store_that_knows_no_head_of_a_bucket_is_asked_for_a_listing(
    sink: S3Sink, proxy: FaultProxy
) -> None:
    proxy.plan([Canned(b"400 Bad Request")])
    assert isinstance(await sink.check(), Delivered)
    assert [request.method for request in proxy.requests] == ["HEAD", "GET"]


async def test_a_busy_store_is_a_retry(sink: S3Sink, proxy: FaultProxy) -> None:
    proxy.plan([SLOW_DOWN])
    assert isinstance(await sink.check(), Retry)


async def test_a_store_that_is_down_is_a_retry(moto_http: Store) -> None:
    async with opened(moto_http.options("logs", endpoint_url=f"http://127.0.0.1:{free_port()}")) as sink:
        assert isinstance(await sink.check(), Retry)
