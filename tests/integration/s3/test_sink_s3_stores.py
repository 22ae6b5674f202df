"""The S3 sink against S3 servers: moto over HTTP and HTTPS, and versitygw, which checks signatures and digests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
from botocore.exceptions import ClientError

from shipper.sinks.s3.request import make_body, put_arguments
from shipper.sinks.s3.sink import S3Sink
from tests.integration.sink_conformance import ArchiveSinkContract, sealed
from tests.servers.s3 import Store, opened


@dataclass(frozen=True, slots=True)
class S3Harness:
    store: Store
    bucket: str
    sink: S3Sink
    prefix: str = "ignite"

    def objects(self) -> Mapping[str, bytes]:
        return self.store.objects(self.bucket)


@asynccontextmanager
async def harness_of(store: Store, bucket: str) -> AsyncIterator[S3Harness]:
    store.make_bucket(bucket)
    async with opened(store.options(bucket)) as sink:
        yield S3Harness(store, bucket, sink)


class TestOverMoto(ArchiveSinkContract):
    @pytest.fixture
    async def harness(self, moto_http: Store, bucket: str) -> AsyncIterator[S3Harness]:
        async with harness_of(moto_http, bucket) as harness:
            yield harness


class TestOverMotoWithTls(ArchiveSinkContract):
    @pytest.fixture
    async def harness(self, moto_https: Store, bucket: str) -> AsyncIterator[S3Harness]:
        async with harness_of(moto_https, bucket) as harness:
            yield harness


class TestOverVersitygw(ArchiveSinkContract):
    @pytest.fixture
    async def harness(self, versity: Store, bucket: str) -> AsyncIterator[S3Harness]:
        async with harness_of(versity, bucket) as harness:
            yield harness


def test_a_store_that_checks_our_digests_takes_what_is_right_and_refuses_what_is_not(
    versity: Store, bucket: str
) -> None:
    versity.make_bucket(bucket)
    options = versity.options(bucket)
    body = make_body([b"one", b"two"])
    versity.client.put_object(**put_arguments(options, "right", body, on_aws=True))
    for wrong in (replace(body, md5=make_body([b"x"]).md5), replace(body, crc32=make_body([b"x"]).crc32)):
        with pytest.raises(ClientError, match=r"did not match|BadDigest"):
            versity.client.put_object(**put_arguments(options, "wrong", wrong, on_aws=True))
    assert versity.objects(bucket) == {"right": b"onetwo"}


async def test_an_object_carries_its_digest(moto_http: Store, bucket: str) -> None:
    async with harness_of(moto_http, bucket) as harness:
        one = sealed()
        await harness.sink.send(one.batch, one.frames)
        head = moto_http.head(bucket, one.key(harness))
    assert head["Metadata"] == {"sha256": sha256(b"".join(one.frames)).hexdigest()}
