"""What the S3 sink puts on the wire, read off raw requests."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import md5, sha256
from typing import Any

import pytest

from shipper.model import Codec
from shipper.sinks.port import Delivered
from tests.integration.sink_conformance import sealed
from tests.servers.fault_proxy import FaultProxy, Recorded
from tests.servers.s3 import Store, opened
from tests.servers.tls import Tls


@pytest.fixture(params=["http", "https"])
async def proxy(moto_http: Store, tls: Tls, request: pytest.FixtureRequest) -> AsyncIterator[FaultProxy]:
    """Recording, over both schemes: the SDK takes different paths for them."""
    context: ssl.SSLContext | None = tls.server_context() if request.param == "https" else None
    async with FaultProxy(moto_http.endpoint_url, context) as proxy:
        yield proxy


class Wire:
    """Sends one batch and gives the request for it."""

    def __init__(self, store: Store, proxy: FaultProxy, bucket: str, tls: Tls) -> None:
        self._store, self._proxy, self._bucket, self._tls = store, proxy, bucket, tls

    async def put(self, **changes: Any) -> Recorded:
        options = self._store.options(
            self._bucket, endpoint_url=self._proxy.url, ca_file=self._tls.ca_file, **changes
        )
        one = sealed()
        async with opened(options) as sink:
            assert isinstance(await sink.send(one.batch, one.frames), Delivered)
        (request,) = self._proxy.requests
        return request


@pytest.fixture
def wire(moto_http: Store, proxy: FaultProxy, bucket: str, tls: Tls) -> Wire:
    moto_http.make_bucket(bucket)
    return Wire(moto_http, proxy, bucket, tls)


async def test_the_body_is_plain_and_whole_with_its_length_and_digests(wire: Wire) -> None:
    request = await wire.put()
    body = b"".join(sealed().frames)
    assert request.body == body
    assert request.headers["content-length"] == str(len(body))
    assert request.headers["content-md5"] == b64encode(md5(body).digest()).decode()
    assert request.headers["x-amz-meta-sha256"] == sha256(body).hexdigest()


async def test_nothing_is_asked_that_other_stores_do_not_know(wire: Wire) -> None:
    request = await wire.put()
    assert "expect" not in request.headers
    assert "aws-chunked" not in request.headers.get("content-encoding", "")
    assert "transfer-encoding" not in request.headers
    assert "content-encoding" not in request.headers
    names = [
        name for name in request.headers if name.startswith(("x-amz-checksum", "x-amz-trailer", "x-amz-sdk"))
    ]
    assert names == []
    assert "if-none-match" not in request.headers
    assert "x-amz-expected-bucket-owner" not in request.headers


async def test_a_custom_endpoint_has_the_bucket_in_the_path(wire: Wire, bucket: str) -> None:
    request = await wire.put()
    assert request.method == "PUT"
    assert request.target.startswith(f"/{bucket}/ignite/kind%3Dlogs/org%3Dacme/")


@pytest.mark.parametrize(
    ("codec", "content_type"),
    [
        (Codec.ZSTD, "application/zstd"),
        (Codec.GZIP, "application/gzip"),
        (Codec.NONE, "application/x-ndjson"),
    ],
)
async def test_the_type_follows_the_compression(wire: Wire, codec: Codec, content_type: str) -> None:
    request = await wire.put(compression=codec)
    assert request.headers["content-type"] == content_type


async def test_options_of_storage_are_headers(wire: Wire) -> None:
    request = await wire.put(
        storage_class="STANDARD_IA",
        encryption="aws:kms",
        kms_key_id="alias/logs",
        if_none_match=True,
        expected_bucket_owner="123456789012",
    )
    assert request.headers["x-amz-storage-class"] == "STANDARD_IA"
    assert request.headers["x-amz-server-side-encryption"] == "aws:kms"
    assert request.headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/logs"
    assert request.headers["x-amz-server-side-encryption-bucket-key-enabled"] == "true"
    assert request.headers["if-none-match"] == "*"
    assert request.headers["x-amz-expected-bucket-owner"] == "123456789012"


async def test_sse_s3_asks_for_no_key(wire: Wire) -> None:
    request = await wire.put(encryption="AES256", bucket_key=True)
    assert request.headers["x-amz-server-side-encryption"] == "AES256"
    assert "x-amz-server-side-encryption-bucket-key-enabled" not in request.headers


async def test_over_plain_http_the_body_is_signed_and_over_tls_it_need_not_be(
    wire: Wire, proxy: FaultProxy
) -> None:
    request = await wire.put()
    signed = request.headers["x-amz-content-sha256"]
    body = b"".join(sealed().frames)
    assert signed == ("UNSIGNED-PAYLOAD" if proxy.url.startswith("https") else sha256(body).hexdigest())


async def test_temporary_keys_send_their_token_and_no_secret(wire: Wire) -> None:
    request = await wire.put(session_token="the-token")
    assert request.headers["x-amz-security-token"] == "the-token"
    assert not any("test-secret-key" in value for value in request.headers.values())
